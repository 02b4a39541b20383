"""Who lives, by files and by this machine's clock alone."""

from __future__ import annotations

import pytest

from tuning.executors.keras_tuner_environment import MeetingPlace
from tuning.executors.keras_tuner_roster import Roster
from tuning.folder import SearchFolder


class Clock:
    """Goes when it is told to."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def place(tmp_path):
    place = MeetingPlace(SearchFolder.at(tmp_path))
    place.prepare()
    return place


@pytest.fixture
def roster(place, clock):
    return Roster(place, 10.0, clock)


def test_a_worker_lives_while_its_file_changes(place, roster, clock):
    """After ten seconds without a change it is dead; with the next change it lives again."""
    place.write_beat("a", {"beat": 1, "host": "h"})
    roster.look()
    assert (roster.living, roster.host("a")) == (("a",), "h")
    clock.now += 9
    place.write_beat("a", {"beat": 2})
    roster.look()
    clock.now += 9
    roster.look()
    assert roster.lives("a")
    clock.now += 2
    roster.look()
    assert not roster.lives("a")
    place.write_beat("a", {"beat": 3})
    roster.look()
    assert roster.lives("a")


def test_a_worker_holds_the_trials_that_its_file_names_while_it_lives(place, roster, clock):
    """What a dead worker's file still names is free."""
    place.write_beat("a", {"beat": 1, "trials": ["0003"]})
    roster.look()
    assert (roster.holder("0003"), roster.holder("0004")) == ("a", "")
    clock.now += 11
    assert roster.holder("0003") == ""


def test_a_struck_or_vanished_worker_is_gone(place, roster):
    """Taking leave removes the file, and whoever lost its file does not live."""
    for name in ("a", "b"):
        place.write_beat(name, {"beat": 1, "trials": [name]})
    roster.look()
    roster.strike("a")
    assert roster.living == ("b",)
    assert not place.beat("a").exists()
    place.beat("b").unlink()
    roster.look()
    assert roster.living == ()
    assert roster.host("b") == ""
