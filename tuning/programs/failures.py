"""What an exception in a trial means for the trial."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from pathlib import Path

from tuning.trial import TrialOutcome
from zoo.errors import ZooError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_LONGEST_MESSAGE = 600
# Of TensorFlow, by name: this file is read where TensorFlow is not.
_OUT_OF_MEMORY = "ResourceExhaustedError"
_LIBRARIES = ("site-packages", "dist-packages")


def outcome_of(error: Exception) -> TrialOutcome:
    """Turns what a trial raised into its outcome.

    A full disk is nobody's fault and would end every trial alike, so the attempt counts as "interrupted": what was
    saved stays, and the search goes on when there is room.

    Args:
        error: What was raised.

    Returns:
        "interrupted" for a full disk; else "failed", of kind "memory" or "error".
    """
    chain = tuple(_chain(error))
    if any((isinstance(link, OSError) and link.errno in _NO_ROOM) or "No space left on device" in str(link)
           for link in chain):
        return TrialOutcome(status="interrupted", error=f"The disk is full: {_words(error)}")
    if any(isinstance(link, MemoryError) or type(link).__name__ == _OUT_OF_MEMORY for link in chain):
        return TrialOutcome(status="failed", kind="memory", error=_words(error))
    return TrialOutcome(status="failed", kind="error", error=_words(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _words(error: Exception) -> str:
    """Returns the message on one line; for what the zoo did not raise on purpose, with its kind and place."""
    text = " ".join(str(error).split())
    if not isinstance(error, ZooError):
        text = f"{type(error).__name__}: {text}{_place(error)}" if text else f"{type(error).__name__}{_place(error)}"
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE - 3]}..."


def _place(error: Exception) -> str:
    """Returns where it happened: in the last file that is no library's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if not set(Path(frame.filename).parts) & set(_LIBRARIES)]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
