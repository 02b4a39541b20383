"""An engine that runs trials in this process, one after the other: for tests of what stands around engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tuning.study.study import Study
from tuning.trial import EpochReport, TrialOutcome

Measure = Callable[[Mapping[str, Any], int], dict[str, float]]  # of the hyperparameters and the epoch


class InlineEngine:
    """Trains nothing: a function says what a trial measures after each epoch.

    Args:
        measure: The function; what it raises makes the trial fail.
        stop_after: Trials after which the search is asked to stop, or None.
    """

    def __init__(self, measure: Measure, *, stop_after: int | None = None) -> None:
        self._measure = measure
        self._stop_after = stop_after
        self.ran: list[str] = []

    def run(self, study: Study) -> None:
        while (task := study.ask()) is not None:
            self.ran.append(task.trial)
            try:
                measures = {}
                for epoch in range(1, task.until_epoch + 1):
                    measures = self._measure(task.values, epoch)
                    if not study.report(task.trial, EpochReport(epoch=epoch, values=measures)):
                        break
                study.tell(task.trial, TrialOutcome(status="completed", executions=(measures,), seconds=0.5))
            except ValueError as error:
                study.tell(task.trial, TrialOutcome(status="failed", kind="error", error=str(error)))
            if len(self.ran) == self._stop_after:
                study.request_stop()
