"""The ledger knows nothing that the journal does not have."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tuning.errors import StoreError
from tuning.folder import SearchFolder
from tuning.study import records
from tuning.study.journal import read_journal
from tuning.study.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(SearchFolder.at(tmp_path))


def remarks(path: Path) -> list[str]:
    return [record["text"] for record in read_journal(path / "journal.jsonl").records]


def test_a_batch_is_kept_as_a_whole(ledger: Ledger, tmp_path: Path) -> None:
    """What is written in a batch, and in one inside it, is known at once and on the disk at its end as one line."""
    with ledger.batch():
        ledger.write(records.remark(1.0, "a"))
        with ledger.batch():
            ledger.write(records.remark(2.0, "b"))
        assert [remark.text for remark in ledger.state.remarks] == ["a", "b"] and remarks(tmp_path) == []
        assert ledger.in_batch
    assert remarks(tmp_path) == ["a", "b"] and len(read_journal(tmp_path / "journal.jsonl").lines) == 1
    ledger.close()


def test_a_batch_that_is_broken_off_keeps_what_was_told(ledger: Ledger, tmp_path: Path) -> None:
    """An exception inside a batch comes out, and what was told before it is written."""
    with pytest.raises(ZeroDivisionError), ledger.batch():
        ledger.write(records.remark(1.0, "a"))
        1 / 0  # noqa: B018
    assert remarks(tmp_path) == ["a"] and not ledger.closed
    with pytest.raises(ZeroDivisionError), ledger.batch(), ledger.closed_if_it_fails():
        1 / 0  # noqa: B018
    assert ledger.closed


def test_a_batch_without_room_closes_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    """What is known and not on the disk may not be built upon: the ledger is closed and the journal as before."""
    ledger.write(records.remark(1.0, "a"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "journal.jsonl").stat().st_size + 9, hard))
        with pytest.raises(StoreError, match="make room"), ledger.batch():
            ledger.write(records.remark(2.0, "b"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ledger.closed and remarks(tmp_path) == ["a"]
    with pytest.raises(StoreError, match="closed"):
        ledger.write(records.remark(3.0, "c"))
    Ledger(SearchFolder.at(tmp_path)).close()


def test_records_of_a_later_version_are_left_out(ledger: Ledger, tmp_path: Path) -> None:
    """A kind of record that is not known here breaks nothing."""
    ledger.write({"kind": "colour", "time": 5.0}, records.remark(6.0, "a"))
    ledger.close()
    again = Ledger(SearchFolder.at(tmp_path))
    assert [remark.text for remark in again.state.remarks] == ["a"]
    again.close()
