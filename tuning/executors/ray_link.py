"""Between Ray Tune and a study: what Tune asks is answered by the study, what trials say is told to it.

Nothing here is of Ray, and nothing decides: Tune's searcher and scheduler are thin on top of it. All of it is called
in the thread that runs Tune, which is the one that the study belongs to.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tuning.errors import EngineError
from tuning.study.study import Study
from tuning.trial import EpochReport, FailureKind, TrialOutcome, TrialTask

EVENT = "zoo_event"
"""The key of Tune's results that carries what a trial says, as JSON: Tune takes nested results apart."""

_PATIENCE_SECONDS = 10.0
_NO_ROOM_SECONDS = 30.0


@dataclass(frozen=True)
class Loss:
    """Why an attempt ended without a word from it.

    Args:
        kind: As a `TrialOutcome` names it.
        error: The reason in a line or two.
        engine: Whether no trial could be run in this way, so that the search cannot go on.
    """

    kind: FailureKind
    error: str
    engine: bool = False


class StudyLink:
    """Answers Tune for a study, and keeps which of Tune's trials is which attempt.

    Args:
        study: An open study.
        stop: Tells the attempt of Tune's id to stop after the epoch that it has just reported.
        end: Tells all attempts to end at once.
        slots: Returns how many trials may run at once at present.
        has_room: Tells whether any node can hold a trial at present.
        clock: Seconds, never going back.
    """

    def __init__(self, study: Study, *, stop: Callable[[str], None], end: Callable[[], None],
                 slots: Callable[[], int], has_room: Callable[[], bool],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._study = study
        self._stop = stop
        self._end = end
        self._slots = slots
        self._has_room = has_room
        self._clock = clock
        self._running: dict[str, TrialTask] = {}
        self._ending_since: float | None = None
        self._no_room_since: float | None = None
        self.error: Exception | None = None

    @property
    def running(self) -> Mapping[str, TrialTask]:
        """What is being run, by Tune's id."""
        return self._running

    def next(self, attempt: str) -> TrialTask | None:
        """Returns what Tune shall run next, or None where there is nothing or no room at present.

        Args:
            attempt: Tune's id of what it would begin.
        """
        if self.finished or len(self._running) >= self._slots():
            return None
        task: TrialTask | None = self._guarded(self._study.ask)
        if task is not None:
            self._running[attempt] = task
        return task

    @property
    def finished(self) -> bool:
        """Whether Tune need not ask again."""
        return self.error is not None or self._study.stopping or self._study.done

    def said(self, attempt: str, text: str) -> None:
        """Takes what a trial says: an epoch that was saved, or how it ended.

        Args:
            attempt: Tune's id.
            text: The value at `EVENT` of Tune's result.
        """
        task = self._running.get(attempt)
        if task is None:
            return
        event = json.loads(text)
        if "outcome" in event:
            outcome = TrialOutcome.from_dict(event["outcome"])
            if outcome.status == "interrupted" and not self.ending:
                self.lost(attempt, Loss("lost", f"The trial was ended although the search goes on. {outcome.error}"))
            else:
                self._tell(attempt, outcome)
            return
        report = EpochReport(**event["report"])
        if self._guarded(lambda: self._study.report(task.trial, report)) is False:
            self._stop(attempt)

    def lost(self, attempt: str, loss: Loss) -> None:
        """Takes that an attempt ended without a word.

        Args:
            attempt: Tune's id.
            loss: Why.
        """
        if attempt not in self._running:
            return
        if loss.engine:
            self._fail(EngineError(loss.error))
        # An attempt that dies while everything is being ended, dies of that.
        if self.ending:
            self._tell(attempt, TrialOutcome(status="interrupted"))
        else:
            self._tell(attempt, TrialOutcome(status="failed", kind=loss.kind, error=loss.error))

    @property
    def ending(self) -> bool:
        """Whether all trials are to end at once."""
        return self.error is not None or self._study.stopping

    def must_abandon(self) -> bool:
        """Orders trials to end where that is due; True once those that still run have had time enough.

        To be asked several times a second.
        """
        if not self.ending:
            self._notice_lack_of_room()
            return False
        if self._ending_since is None:
            self._ending_since = self._clock()
            self._end()
        return self._clock() - self._ending_since > _PATIENCE_SECONDS

    def close(self) -> None:
        """Tells the study that what still runs was interrupted, and raises what went wrong.

        Raises:
            Exception: What the study raised, or EngineError.
        """
        for attempt in list(self._running):
            self._tell(attempt, TrialOutcome(status="interrupted"))
        if self.error is not None:
            raise self.error

    def _tell(self, attempt: str, outcome: TrialOutcome) -> None:
        task = self._running.pop(attempt)
        self._guarded(lambda: self._study.tell(task.trial, outcome))

    def _notice_lack_of_room(self) -> None:
        now = self._clock()
        if self._has_room():
            self._no_room_since = None
        elif self._no_room_since is None:
            self._no_room_since = now
        elif now - self._no_room_since > _NO_ROOM_SECONDS:
            self._no_room_since = math.inf  # it is told once
            self._guarded(lambda: self._study.remark("No node of the Ray cluster can hold a trial at present; waiting "
                                                     "for one."))

    def _guarded(self, call: Callable[[], Any]) -> Any:
        # Tune would make its own error of what a searcher or scheduler raises, and call it a trial's.
        try:
            return call()
        except Exception as error:
            self._fail(error)
            return None

    def _fail(self, error: Exception) -> None:
        if self.error is None:
            self.error = error
