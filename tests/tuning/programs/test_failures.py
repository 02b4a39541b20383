"""What an exception in a trial means for it."""

from __future__ import annotations

import errno

import pytest
import tensorflow as tf

from tuning.programs.failures import outcome_of
from zoo.errors import ArgumentError, TrainingError


def raised(error: Exception, cause: BaseException | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:
        return caught


@pytest.mark.parametrize(("error", "kind"), [
    (raised(MemoryError()), "memory"),
    (raised(TrainingError("Out of memory in epoch 2."), tf.errors.ResourceExhaustedError(None, None, "OOM")), "memory"),
    (raised(ArgumentError("`epochs` must be whole.")), "error"),
    (raised(ValueError("shapes differ")), "error"),
])
def test_kinds(error: Exception, kind: str) -> None:
    """Memory may suffice another time; whatever else was raised would come again."""
    outcome = outcome_of(error)
    assert (outcome.status, outcome.kind) == ("failed", kind)


@pytest.mark.parametrize("error", [
    raised(OSError(errno.ENOSPC, "No space left on device")),
    raised(TrainingError("The checkpoint could not be written"), OSError(errno.ENOSPC, "No space left on device")),
    raised(TrainingError("not written: I/O error: No space left on device (os error 28)")),
    raised(OSError(errno.EDQUOT, "Disk quota exceeded")),
])
def test_a_full_disk_is_no_fault_of_the_trial(error: Exception) -> None:
    """The attempt does not count, so that the trial goes on where it was when there is room again."""
    outcome = outcome_of(error)
    assert outcome.status == "interrupted" and outcome.kind == ""
    assert outcome.error.startswith("The disk is full: ")


def test_messages_are_short_and_say_where() -> None:
    """Our own messages stand as they are; a foreign exception has its kind and the line it came from."""
    assert outcome_of(raised(ArgumentError("Give `data`."))).error == "Give `data`."
    words = outcome_of(raised(ZeroDivisionError("division by zero\nin two lines"))).error
    assert words.startswith("ZeroDivisionError: division by zero in two lines (test_failures.py, line ")
    assert len(outcome_of(raised(ValueError("x" * 5000))).error) == 600
    assert outcome_of(raised(KeyError())).error.startswith("KeyError (test_failures.py")
