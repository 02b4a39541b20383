"""A held search: what is written goes to the journal first and is known afterwards, as one piece of code sees to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tuning.errors import StoreError
from tuning.folder import SearchFolder
from tuning.study.journal import Journal, Record
from tuning.study.lock import SearchLock
from tuning.study.replay import SearchState


class Ledger:
    """The journal and what it tells, while this process holds the search's folder.

    Args:
        folder: The search's folder.

    Attributes:
        state: What is known.
        is_new: Whether the journal was empty.
        notes: What the user is to know of the opening.

    Raises:
        StoreError: Another process holds the folder, or the journal cannot be opened.
    """

    def __init__(self, folder: SearchFolder) -> None:
        self._folder = folder
        self._lock = SearchLock(folder.lock)
        try:
            self._journal = Journal(folder.journal)
        except BaseException:
            self._lock.release()
            raise
        self._batch: list[Record] | None = None
        self._closed = False
        content = self._journal.content
        self.is_new = not content.lines
        self.notes = () if self._journal.cut is None else (
            "the journal's last line was left half-written by a crash; it was cut off and is kept in "
            f"{self._journal.cut.name}",)
        self.state = SearchState()
        for record in content.records:
            self.state.apply(record)

    @property
    def in_batch(self) -> bool:
        """Whether what is written waits for the end of a batch."""
        return self._batch is not None

    @property
    def closed(self) -> bool:
        """Whether the folder is left to others."""
        return self._closed

    def write(self, *records: Record) -> None:
        """Writes records, waits until the disk has them, and takes them in; in a batch the wait comes at its end.

        Args:
            *records: As `tuning.study.records` makes them.

        Raises:
            StoreError: The journal cannot be written, or is closed; nothing is taken in.
        """
        self.require_open()
        if self._batch is None:
            self._journal.append(records)
        else:
            self._batch.extend(records)
        for record in records:
            self.state.apply(record)

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Writes what is told inside as one line at the end.

        Raises:
            StoreError: The journal cannot be written. Nothing inside is kept, and the ledger is closed.
        """
        if self._batch is not None:  # one inside another ends with it
            yield
            return
        self.require_open()
        self._batch = []
        try:
            yield
        finally:
            written, self._batch = self._batch, None
            if not self._closed:
                with self.closed_if_it_fails():
                    self._journal.append(written)

    @contextlib.contextmanager
    def closed_if_it_fails(self) -> Iterator[None]:
        """Leaves the folder if what is inside fails, which then knows more or less than the journal."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def require_open(self) -> None:
        """Refuses to go on with a closed search.

        Raises:
            StoreError: The ledger is closed.
        """
        if self._closed:
            raise StoreError(f"The study of {self._folder.path} is closed. Open it again to go on.")

    def close(self) -> None:
        """Leaves the folder to others; a second time does nothing."""
        self._closed = True
        self._journal.close()
        self._lock.release()
