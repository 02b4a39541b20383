"""Addresses, the shared folder and versions, looked at before anything begins."""

from __future__ import annotations

import socket
import stat

import pytest

from tuning.errors import EngineError
from tuning.executors.keras_tuner_environment import (
    Address,
    MeetingPlace,
    chief_problems,
    different_versions,
    refusal,
    versions,
    worker_problems,
)
from tuning.folder import SearchFolder


@pytest.fixture
def place(tmp_path):
    return MeetingPlace(SearchFolder.at(tmp_path))


@pytest.mark.parametrize(("text", "host", "port"), [("10.0.0.5:8571", "10.0.0.5", 8571), ("chief-1:0", "chief-1", 0),
                                                    ("[::1]:80", "[::1]", 80)])
def test_an_address_is_host_and_port(text, host, port):
    """Names, IPv4 and bracketed IPv6 are read, and written as they were."""
    address = Address.parse(text)
    assert (address.host, address.port, str(address)) == (host, port, text)


@pytest.mark.parametrize("text", ["10.0.0.5", "host:", ":80", "host:99999", "http://host:80", "a b:80", "::1:80"])
def test_other_forms_are_refused_with_an_example(text):
    """The message shows the form."""
    with pytest.raises(EngineError, match=r"HOST:PORT.*10\.0\.0\.5:8571.*Received"):
        Address.parse(text)


def test_kerastuners_own_variables_name_the_chief(monkeypatch):
    """Both of them, and only where no address is given; one alone is an error."""
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "10.1.1.1")
    with pytest.raises(EngineError, match="belong together"):
        Address.given(None)
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", "8000")
    assert str(Address.given(None)) == "10.1.1.1:8000"
    assert str(Address.given("127.0.0.1:1")) == "127.0.0.1:1"
    monkeypatch.delenv("KERASTUNER_ORACLE_IP")
    monkeypatch.delenv("KERASTUNER_ORACLE_PORT")
    assert str(Address.given(None)) == "127.0.0.1:0"


def test_the_token_stays_and_is_its_owners_alone(place):
    """A chief that is begun anew knows its workers, and others on the machine cannot read the token."""
    token = place.prepare()
    assert len(token) == 32
    assert place.prepare() == token
    assert stat.S_IMODE(place.token.stat().st_mode) == 0o600


def test_beats_are_read_whole(place):
    """What is torn or no object is left out."""
    place.prepare()
    place.write_beat("a", {"beat": 1})
    place.beat("b").write_text('{"beat"')
    place.beat("c").write_text("[]")
    assert place.read_beats() == {"a": {"beat": 1}}


def test_a_chief_learns_of_all_its_problems_together(tmp_path):
    """A port in use and a folder in the way of ours, both; and none where all is well."""
    assert chief_problems(Address("127.0.0.1", 0), MeetingPlace(SearchFolder.at(tmp_path / "good"))) == []
    (tmp_path / "workers").write_text("")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        problems = chief_problems(Address("127.0.0.1", taken.getsockname()[1]), MeetingPlace(SearchFolder.at(tmp_path)))
    assert len(problems) == 2
    foreign = chief_problems(Address("203.0.113.9", 8571), MeetingPlace(SearchFolder.at(tmp_path / "good")))
    assert "an address of this machine" in foreign[0]


def test_a_worker_learns_what_is_wrong_with_its_folder(place, tmp_path):
    """No folder, another folder, an unreadable token: each by name."""
    assert "is not there" in worker_problems(MeetingPlace(SearchFolder.at(tmp_path / "none")), "w")[0]
    assert "is not the folder that the chief works in" in worker_problems(place, "w")[0]
    place.prepare()
    assert worker_problems(place, "w") == []
    place.token.unlink()
    assert "token cannot be read" in worker_problems(place, "w")[0]


def test_different_versions_are_named_with_both(monkeypatch):
    """Those that are missing on one side too."""
    assert different_versions(versions()) == []
    theirs = {**versions(), "keras": "1.0", "numpy": ""} | {"python": "2.7"}
    lines = different_versions({name: value for name, value in theirs.items() if name != "numpy"})
    assert any(line.startswith("keras is ") and "1.0 at the chief" in line for line in lines)
    assert any(line.startswith("numpy is ") and "missing at the chief" in line for line in lines)
    assert len(lines) == 3


def test_a_refusal_lists_every_problem():
    """One line each."""
    assert str(refusal("It cannot begin", ["one", "two"])) == "It cannot begin:\n  - one\n  - two"
