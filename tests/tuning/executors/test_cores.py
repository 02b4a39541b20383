"""Shares of the machine: disjoint, complete, and bounded by what the container allows."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tuning.executors.cores import cards, divided, shares, usable_cores
from zoo.errors import ArgumentError


@pytest.fixture
def one_core() -> Iterator[int]:
    """The process is bound to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield min(before)
    os.sched_setaffinity(0, before)


@pytest.mark.parametrize("count", range(1, 8))
def test_cores_are_divided_without_overlap(count: int) -> None:
    """Each of up to seven jobs gets one of seven cores or more, none is given twice, none is left over."""
    cores = (0, 4, 1, 5, 2, 6, 3)
    blocks = divided(cores, count)
    assert [core for block in blocks for core in block] == list(cores)
    assert len(blocks) == count
    assert max(map(len, blocks)) - min(map(len, blocks)) <= 1


def test_more_jobs_than_cores_share_them_evenly() -> None:
    """Five jobs on two cores: three on one of them, two on the other."""
    assert divided((0, 1), 5) == ((0,), (1,), (0,), (1,), (0,))


def test_only_usable_cores_are_shared_out(one_core: int) -> None:
    """A process that is bound to a core gives no trial another one, and by itself runs one trial at a time."""
    assert usable_cores() == (one_core,)
    assert [share.cores for share in shares(2)] in ([(one_core,), (one_core,)], [(), ()])
    assert [share.threads for share in shares()] == [1]


def test_threads_are_as_many_as_cores() -> None:
    """Alone a trial has all the cores of this machine and as many threads."""
    share, = shares(1)
    assert share.threads == len(share.cores or usable_cores()) or not share.cores
    assert set(share.cores) <= set(usable_cores())


@pytest.mark.parametrize(("named", "expected"), [(None, ("0", "1")), ("1", ("1",)), ("", ()), ("-1", ()),
                                                 ("1,-1,0", ("1",)), ("GPU-8932, 0", ("GPU-8932", "0"))])
def test_cards_are_those_that_are_visible(named: str | None, expected: tuple[str, ...]) -> None:
    """The variable names cards, and the first that is none ends the list; where it is not set all are visible."""
    assert cards(named, 2) == expected
    assert cards(named, 0) == ()


@pytest.mark.parametrize("jobs", [0, -1, True, 1.5])
def test_jobs_are_a_number_above_0(jobs: int) -> None:
    """Anything else is refused."""
    with pytest.raises(ArgumentError, match="whole number above 0"):
        shares(jobs)
