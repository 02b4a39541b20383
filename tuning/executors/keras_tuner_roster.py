"""Which workers live, by the files that they write anew every few seconds, and which trials they still hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tuning.executors.keras_tuner_environment import MeetingPlace


@dataclass
class _Seen:
    content: dict[str, Any]
    changed: float


class Roster:
    """Who works on a search.

    A worker lives as long as its file changes. When it changed is told by this machine's clock alone, so that clocks
    of other machines, and of the shared folder, do not matter.

    Args:
        place: Where workers write their files.
        patience_s: How long a file may stay as it is.
        clock: Returns seconds that only grow.
    """

    def __init__(self, place: MeetingPlace, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._patience = patience_s
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._gone: set[str] = set()

    @property
    def living(self) -> tuple[str, ...]:
        """The names of workers that live."""
        return tuple(name for name in self._seen if self.lives(name))

    def look(self) -> None:
        """Reads the workers' files."""
        beats = self._place.read_beats()
        for name, content in beats.items():
            seen = self._seen.get(name)
            if seen is None or seen.content != content:
                self._seen[name] = _Seen(content, self._clock())
                self._gone.discard(name)
        for name in [name for name in self._seen if name not in beats]:
            del self._seen[name]

    def lives(self, worker: str) -> bool:
        """Tells whether a worker has written its file lately.

        Args:
            worker: Its name.
        """
        seen = self._seen.get(worker)
        return seen is not None and worker not in self._gone and self._clock() - seen.changed < self._patience

    def host(self, worker: str) -> str:
        """Returns the machine of a worker, or "" where it is not known.

        Args:
            worker: Its name.
        """
        seen = self._seen.get(worker)
        return str(seen.content.get("host", "")) if seen else ""

    def holder(self, trial: str) -> str:
        """Returns the living worker that has a trial's processes, or "".

        Args:
            trial: The trial.
        """
        return next((name for name in self.living if trial in self._seen[name].content.get("trials", ())), "")

    def strike(self, worker: str) -> None:
        """Notes that a worker has ended, whatever its file says.

        Args:
            worker: Its name.
        """
        self._gone.add(worker)
        self._place.beat(worker).unlink(missing_ok=True)
