"""Quiet on a node whose trials are watched by processes that know nothing of each other.

Two files of the node are locked (flock), and the system gives the locks back when whoever holds them dies, so nobody
stands still for ever. Every trial that computes shares "busy". Who wants to measure takes "turn" for itself; the
others see that, stop their trial and give "busy" back; with all of "busy" it is quiet.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from tuning.errors import EngineError


class NodeQuiet:
    """The part of this process in it. Nothing here waits: what is not to be had now is asked for again.

    Args:
        folder: Where the two files are; None takes one of this user's on this machine.

    Raises:
        EngineError: The folder belongs to somebody else.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or Path(tempfile.gettempdir()) / f"zoo-quiet-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise EngineError(f"The folder {folder} belongs to another user, so trials cannot agree on when one of "
                              "them measures. Remove it, or set TMPDIR to a folder of your own on this node.")
        self._turn = os.open(folder / "turn", os.O_RDWR | os.O_CREAT, 0o600)
        self._busy = os.open(folder / "busy", os.O_RDWR | os.O_CREAT, 0o600)

    def compute(self) -> bool:
        """Begins to share "busy"; False while somebody measures or wants to."""
        return not self.wanted() and _locked(self._busy, fcntl.LOCK_SH)

    def rest(self) -> None:
        """Gives "busy" back; the trial must stand still."""
        fcntl.flock(self._busy, fcntl.LOCK_UN)

    def wanted(self) -> bool:
        """Tells whether somebody else measures or wants to."""
        if not _locked(self._turn, fcntl.LOCK_SH):
            return True
        fcntl.flock(self._turn, fcntl.LOCK_UN)
        return False

    def take(self) -> bool:
        """Takes both for this process; False while another measures or still computes. Ask again until it is True."""
        return _locked(self._turn, fcntl.LOCK_EX) and _locked(self._busy, fcntl.LOCK_EX)

    def leave(self) -> None:
        """Gives back all that this process holds."""
        fcntl.flock(self._busy, fcntl.LOCK_UN)
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        """Closes the files; nothing is held any more."""
        os.close(self._busy)
        os.close(self._turn)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
