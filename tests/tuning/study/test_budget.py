"""How much of a search is used and what is left of it."""

from __future__ import annotations

import pytest

from tuning.study.budget import Progress


@pytest.mark.parametrize(("progress", "used_up", "must_stop", "may_begin"), [
    (Progress(), "", "", True),
    (Progress(begun=2, trials=3), "", "", True),
    (Progress(begun=3, trials=3), "trials", "", False),
    (Progress(begun=3, epochs=5, promised=4, total_epochs=10), "", "", True),
    (Progress(begun=3, epochs=5, promised=5, total_epochs=10), "", "", False),
    (Progress(begun=3, epochs=10, total_epochs=10), "total_epochs", "total_epochs", False),
    (Progress(begun=3, trials=4, seconds=60.0, total_seconds=60.0), "minutes", "minutes", False),
    (Progress(begun=3, trials=3, seconds=60.0, total_seconds=60.0), "trials", "minutes", False),
])
def test_bounds(progress: Progress, used_up: str, must_stop: str, may_begin: bool) -> None:
    """Trials bound what begins; epochs and minutes also stop what runs; promised epochs keep others from beginning."""
    assert (progress.used_up, progress.must_stop, progress.may_begin) == (used_up, must_stop, may_begin)


@pytest.mark.parametrize(("progress", "left"), [
    (Progress(begun=4, ended=0, trials=10, seconds=8.0), None),
    (Progress(begun=4, ended=2, trials=10, seconds=8.0), 32.0),
    (Progress(begun=4, ended=2, trials=10, seconds=8.0, total_seconds=20.0), 12.0),
    (Progress(begun=4, ended=2, epochs=20, total_epochs=30, seconds=8.0), 4.0),
    (Progress(begun=10, ended=10, trials=10, seconds=8.0), 0.0),
    (Progress(begun=10, ended=10, seconds=8.0), None),
])
def test_the_time_left(progress: Progress, left: float | None) -> None:
    """The bound that comes first at the pace so far tells how long the rest takes."""
    assert progress.seconds_left == left
