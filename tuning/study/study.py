"""The study: what was tried, what is tried next, what stops early. It keeps the journal and runs nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self

from tuning.config import SearchConfig
from tuning.errors import SearchError, StoreError
from tuning.folder import SearchFolder
from tuning.oracles.protocol import Driver, Exhausted, Proposal, Waiting
from tuning.study import records
from tuning.study.budget import Progress, progress_of
from tuning.study.events import EndReason, EpochDone, Event, Listener, Remark, SearchEnded, TrialBegun, TrialEnded
from tuning.study.judging import TRIED_AGAIN, judged
from tuning.study.ledger import Ledger
from tuning.study.measures import beats, best_trial, may_win
from tuning.study.opening import Opened, open_search
from tuning.study.recipe import Recipes
from tuning.study.replay import SearchState
from tuning.study.state import front_of
from tuning.study.stopping import stopper_for
from tuning.trial import EpochReport, Trial, TrialOutcome, TrialTask

# Trials that fail one after the other for a reason that would come again, before no more are begun.
_FAILURES_IN_A_ROW = 5


class Study:
    """What was tried, what is tried next, and which trials stop early. Use `Study.open`; one thread calls it.

    Everything that happens is in the journal, on the disk, before the call that tells of it returns. After any crash
    the same `open` goes on: finished trials stay, those that were running are asked for again before new ones.
    """

    def __init__(self, opened: Opened, listener: Listener | None, clock: Callable[[], float]) -> None:
        self._folder = opened.folder
        self._config = opened.config
        self._ledger: Ledger = opened.ledger
        self._state: SearchState = opened.ledger.state
        self._driver: Driver = opened.driver
        self._listener = listener
        self._clock = clock
        self._stopper = stopper_for(opened.config)
        self._recipes = Recipes(opened.config, opened.folder)
        self._waiting = list(self._state.open)  # attempts that ended with the process that ran them
        self._running: dict[str, str] = {}  # trial -> why it was told to stop: "", "rule", "budget" or "asked"
        self._best = best_trial(self._state.trials.values(), self._config)
        self._ended = sum(trial.has_ended for trial in self._state.trials.values())
        self._proposal: Proposal | None = None
        self._exhausted = False
        self._failures = 0
        self._asked_to_stop = False

    @classmethod
    def open(cls, folder: SearchFolder, config: SearchConfig | None = None, *, listener: Listener | None = None,
             clock: Callable[[], float] = time.time,
             declare: Callable[[Mapping[str, Any]], Callable[[Any], Any]] | None = None,
             driver: Callable[..., Driver] | None = None) -> Self:
        """Begins a search, or goes on with one.

        Args:
            folder: The search's folder; it is made if it does not exist.
            config: What is searched; None takes what stands in the folder. A search that is gone on with may be given
                other bounds (trials, total_epochs, minutes, retries, trial_minutes), and nothing else.
            listener: Is told of each event.
            clock: Returns seconds since 1970.
            declare: From a program's description to what declares a hypermodel's own space; a registered model's
                space stands in the configuration.
            driver: Makes what chooses the trials from configuration, folder and declaration; None takes KerasTuner's
                oracles (`tuning.oracles.driver.make_driver`).

        Returns:
            The study, which holds the folder's lock until it is closed.

        Raises:
            StoreError: The folder is in use, broken, full, or holds another search.
            SearchError: The search cannot begin, for instance because its space is empty.
        """
        opened = open_search(folder, config, clock=clock, declare=declare, driver=driver)
        with opened.ledger.closed_if_it_fails():
            study = cls(opened, listener, clock)
            study._make_good()
        return study

    # === What is known ===

    @property
    def config(self) -> SearchConfig:
        """What is searched."""
        return self._config

    @property
    def folder(self) -> SearchFolder:
        """Where everything lies."""
        return self._folder

    @property
    def program(self) -> dict[str, Any]:
        """What runs in each trial's process, JSON-ready; `tuning.programs.loading.load_program` reads it."""
        return self._config.to_dict()

    @property
    def trials(self) -> Mapping[str, Trial]:
        """All trials by id, in the order in which they were begun."""
        return MappingProxyType(self._state.trials)

    @property
    def running(self) -> tuple[str, ...]:
        """The trials that were asked for and whose outcome was not told yet."""
        return tuple(self._running)

    @property
    def progress(self) -> Progress:
        """How much of the budget is used."""
        return progress_of(self._config, begun=len(self._state.trials), ended=self._ended, epochs=self._state.epochs,
                           promised=self._state.promised, seconds=self._state.seconds(self._clock()))

    @property
    def stopping(self) -> bool:
        """Whether somebody asked the search to stop; it goes on when it is opened again."""
        self._asked_to_stop = self._asked_to_stop or self._folder.stop_request.exists()
        return self._asked_to_stop

    @property
    def done(self) -> bool:
        """Whether all trials have ended and no more will begin."""
        return not self._running and not self._waiting and self._no_more

    @property
    def _no_more(self) -> bool:
        return (self._exhausted or self._failures >= _FAILURES_IN_A_ROW
                or (self._proposal is None and bool(self.progress.used_up)))

    def best(self) -> Trial | None:
        """Returns the best trial that met the constraints, by the first objective; None if there is none yet."""
        return self._best

    def front(self) -> tuple[Trial, ...]:
        """Returns the trials that no other beats in every objective; with one objective the best alone."""
        return front_of(self._state.trials, self._config)

    # === What happens ===

    def ask(self) -> TrialTask | None:
        """Returns the next attempt to run; None where the search is done, is to stop, or waits for running trials.

        Raises:
            StoreError: The journal cannot be written; the same call later returns the same attempt.
        """
        self._ledger.require_open()
        if self.stopping:
            return None
        if self._waiting:
            return self._begin_again(self._waiting[0])
        if self._proposal is None and not self._no_more and self.progress.may_begin:
            self._proposal = self._propose()
        return None if self._proposal is None else self._begin(self._proposal)

    def report(self, trial_id: str, report: EpochReport) -> bool:
        """Takes the measures after an epoch; the same epoch again changes nothing.

        Args:
            trial_id: A trial that runs.
            report: The measures.

        Returns:
            Whether the trial goes on; False asks it to stop here.

        Raises:
            SearchError: There is no such trial.
            StoreError: The journal cannot be written; the epoch is not known then.
        """
        self._ledger.require_open()
        trial = self._trial(trial_id)
        if trial_id not in self._running:
            return False
        decided = self._state.open[trial_id].decided
        place = (report.execution, report.epoch)
        is_new = place not in decided
        if is_new:
            stop = any(decided.values()) or self._stopper.decide(trial, report, self.trials)
            self._ledger.write(records.epoch(self._clock(), trial_id, report, stop=stop))
        else:
            stop = decided[place]
        goes_on = self._goes_on(trial_id, report, stop)
        if is_new:
            self._tell_listener(EpochDone(trial=self._state.trials[trial_id], report=report, goes_on=goes_on))
        return goes_on

    def tell(self, trial_id: str, outcome: TrialOutcome) -> None:
        """Takes how an attempt ended; of a trial that does not run nothing is taken.

        Args:
            trial_id: A trial that was asked for.
            outcome: How it ended.

        Raises:
            SearchError: There is no such trial.
            StoreError: The disk is full. What the journal has is not lost; open the search again.
        """
        self._ledger.require_open()
        trial = self._trial(trial_id)
        if trial_id not in self._running:
            return
        outcome = judged(trial, outcome, self._config, asked_to_stop=self._running[trial_id] == "asked")
        if outcome.status == "interrupted":
            self._rest(trial_id, outcome, counts=False)
        elif outcome.kind in TRIED_AGAIN and self._state.open[trial_id].failures < self._config.retries:
            self._rest(trial_id, outcome, counts=True)
            self.remark(f"trial {trial_id} failed ({outcome.kind}) and is tried again: {outcome.error}", trial_id)
        else:
            self._end(trial_id, outcome)

    def remark(self, text: str, trial: str = "") -> None:
        """Notes down something worth knowing.

        Args:
            text: A line.
            trial: The trial that it is about, or "".

        Raises:
            StoreError: The journal cannot be written.
        """
        self._ledger.require_open()
        self._ledger.write(records.remark(self._clock(), text, trial))
        self._tell_listener(Remark(text=text, trial=trial))

    def request_stop(self) -> None:
        """Asks running trials to stop after their epoch and begins no others."""
        self._asked_to_stop = True

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Writes what the calls inside tell as one line, with one wait for the disk; answers count from its end on.

        Raises:
            StoreError: The journal cannot be written: nothing of it is kept, and the study is closed.
        """
        with self._ledger.batch():
            yield
        self._save()

    def close(self) -> None:
        """Leaves the search to others; a second time does nothing. Trials that run count as interrupted."""
        if self._ledger.closed:
            return
        reason = self._why_it_ends()
        try:
            with contextlib.suppress(StoreError):  # a full disk: what is missing is made anew by the next `open`
                self._ledger.write(records.closed(self._clock(), reason))
                self._driver.save(force=True)
        finally:
            self._ledger.close()
        self._tell_listener(SearchEnded(reason=reason))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    # === How ===

    def _why_it_ends(self) -> EndReason:
        if self.done:
            return "failing" if self._failures >= _FAILURES_IN_A_ROW else "finished"
        return "asked" if self.stopping else "interrupted"

    def _propose(self) -> Proposal | None:
        with self._ledger.closed_if_it_fails():
            found = self._driver.next()
        if isinstance(found, Proposal):
            return found
        if isinstance(found, Waiting) and not self._running:
            self.remark("the oracle waits for trials although none runs; the search ends here")
            found = Exhausted()
        self._exhausted = isinstance(found, Exhausted)
        return None

    def _begin(self, proposal: Proposal) -> TrialTask:
        parent = self._state.tasks.get(proposal.parent)
        seed = self._config.seed + len(self._state.trials) * self._config.executions
        task = TrialTask(trial=proposal.trial, values=records.plain(proposal.values),
                         seed=seed if parent is None else parent.seed, executions=self._config.executions,
                         epochs=self._config.epochs, until_epoch=proposal.until_epoch, parent=proposal.parent)
        self._ledger.write(records.begun(self._clock(), task, first=True))
        self._proposal = None
        self._save()
        return self._began(task)

    def _begin_again(self, trial_id: str) -> TrialTask:
        known = self._state.tasks[trial_id]
        task = TrialTask.from_dict({**known.to_dict(), "attempt": known.attempt + 1})
        self._ledger.write(records.begun(self._clock(), task, first=False))
        self._waiting.remove(trial_id)
        return self._began(task)

    def _began(self, task: TrialTask) -> TrialTask:
        self._running[task.trial] = ""
        self._tell_listener(TrialBegun(trial=self._state.trials[task.trial], task=task))
        return task

    def _goes_on(self, trial_id: str, report: EpochReport, stop: bool) -> bool:
        task = self._state.tasks[trial_id]
        if report.epoch >= task.until_epoch and report.execution >= task.executions - 1:
            return True  # nothing is left that could be spared
        reason = "rule" if stop else "asked" if self.stopping else "budget" if self.progress.must_stop else ""
        self._running[trial_id] = reason
        return not reason

    def _rest(self, trial_id: str, outcome: TrialOutcome, *, counts: bool) -> None:
        self._ledger.write(records.attempt(self._clock(), trial_id, outcome, counts=counts))
        del self._running[trial_id]
        self._waiting.append(trial_id)
        place = {name: index for index, name in enumerate(self._state.open)}
        self._waiting.sort(key=place.__getitem__)

    def _end(self, trial_id: str, outcome: TrialOutcome) -> None:
        self._ledger.write(records.ended(self._clock(), trial_id, outcome))
        del self._running[trial_id]
        trial = self._state.trials[trial_id]
        self._ended += 1
        self._exhausted = False
        self._failures = self._failures + 1 if trial.kind == "error" else 0
        with self._ledger.closed_if_it_fails():
            self._driver.ended(trial, self.trials)
        is_best = may_win(trial, self._config) and beats(trial, self._best, self._config)
        self._best = trial if is_best else self._best
        self._recipes.write_trial(trial, self._state.tasks[trial_id])
        self._save()
        if self._failures == _FAILURES_IN_A_ROW:
            self.remark(f"{_FAILURES_IN_A_ROW} trials failed one after the other, the last with: {trial.error}; no "
                        "more are begun. Mend the cause and run the same command again.")
        self._tell_listener(TrialEnded(trial=trial, is_best=is_best))

    def _make_good(self) -> None:
        """Writes what a crash may have kept from being written after the journal had it."""
        for text in self._ledger.notes:
            self.remark(text)
        self._recipes.write_missing(self._state.trials.values(), self._state.tasks)
        self._save()

    def _save(self) -> None:
        if not self._ledger.in_batch:
            self._recipes.write_winner(self._best, self._state.tasks)
            self._driver.save()

    def _trial(self, trial_id: str) -> Trial:
        if trial_id not in self._state.trials:
            raise SearchError(f"There is no trial {trial_id!r} in {self._folder.path}. Known: "
                              f"{', '.join(self._state.trials) or 'none'}.")
        return self._state.trials[trial_id]

    def _tell_listener(self, event: Event) -> None:
        if self._listener is not None:
            self._listener(event)
