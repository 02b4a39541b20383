"""What the chief answers: trials are given to workers, taken back from dead ones, and never run twice at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from tuning.executors.keras_tuner_roster import Roster
from tuning.study.study import Study
from tuning.trial import EpochReport, TrialOutcome, TrialTask


class Desk:
    """Stands between the workers and the study; one thread calls it.

    Args:
        study: The study.
        roster: Who works.
        clock: Returns seconds that only grow.
    """

    def __init__(self, study: Study, roster: Roster, clock: Callable[[], float] = time.monotonic) -> None:
        self._study = study
        self._roster = roster
        self._clock = clock
        self._given: dict[str, tuple[str, TrialTask, float]] = {}
        self._held: list[TrialTask] = []

    @property
    def busy(self) -> tuple[str, ...]:
        """The workers that have trials."""
        return tuple(dict.fromkeys(worker for worker, _, _ in self._given.values()))

    def ask(self, worker: str, running: Iterable[str] | None) -> TrialTask | None:
        """Gives a worker a trial to run.

        Args:
            worker: Its name.
            running: The trials that it knows it has. One that it was given and does not know was lost on the way, and
                is given again. None for a worker that runs one trial and asks because it has none any more.

        Returns:
            The trial, or None where there is none now.
        """
        known = set(running or ())
        for trial, (holder, task, _) in list(self._given.items()):
            if holder == worker and trial not in known:
                if running is not None:
                    return task
                self.tell(worker, trial, TrialOutcome(status="interrupted", error="The worker began anew."))
        for task in self._held:
            if not self._roster.holder(task.trial):
                self._held.remove(task)
                return self._give(worker, task)
        while (found := self._study.ask()) is not None:
            if not self._roster.holder(found.trial):
                return self._give(worker, found)
            self._held.append(found)  # its processes still run where an earlier chief had given it
        return None

    def trials_of(self, worker: str) -> tuple[str, ...]:
        """Returns the trials that a worker was given.

        Args:
            worker: Its name.
        """
        return tuple(trial for trial, (holder, _, _) in self._given.items() if holder == worker)

    def has(self, worker: str, trial: str) -> bool:
        """Tells whether a trial is a worker's.

        Args:
            worker: Its name.
            trial: The trial.
        """
        return trial in self._given and self._given[trial][0] == worker

    def worker_of(self, trial: str) -> str:
        """Returns the worker that a trial was given to, or "".

        Args:
            trial: The trial.
        """
        return self._given[trial][0] if trial in self._given else ""

    def report(self, worker: str, trial: str, report: EpochReport) -> bool:
        """Takes the measures of an epoch; False asks the trial to stop, as does a trial that is not the worker's."""
        return self.has(worker, trial) and self._study.report(trial, report)

    def tell(self, worker: str, trial: str, outcome: TrialOutcome) -> None:
        """Takes how a trial ended; of one that is not the worker's nothing is taken."""
        if self.has(worker, trial):
            del self._given[trial]
            self._study.tell(trial, outcome)

    def lose(self, worker: str, why: str) -> None:
        """Takes a dead worker's trials back, so that others run them.

        Args:
            worker: Its name.
            why: What is known of its death.
        """
        trials = self.trials_of(worker)
        which = f"its trial {', '.join(trials)} is" if len(trials) == 1 else f"its trials {', '.join(trials)} are"
        what = f"; {which} taken back" if trials else ""
        self._study.remark(f"the worker {worker} is lost: {why}{what}")
        for trial in trials:
            del self._given[trial]
            self._study.tell(trial, TrialOutcome(status="failed", kind="lost", error=f"The worker {worker} was lost: "
                                                                                     f"{why}."))

    def overdue(self, minutes: float) -> list[tuple[str, str]]:
        """Returns workers and trials that have taken longer than they may, by the chief's clock.

        Args:
            minutes: How long a trial may take.
        """
        return [(worker, trial) for trial, (worker, _, since) in self._given.items()
                if self._clock() - since > minutes * 60]

    def _give(self, worker: str, task: TrialTask) -> TrialTask:
        self._given[task.trial] = (worker, task, self._clock())
        return task
