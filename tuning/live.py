"""A search as it goes: a live table on a terminal, a line per ended trial in a pipe."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from tuning.config import SearchConfig
from tuning.objectives import Objective
from tuning.study.budget import progress_of
from tuning.study.events import EpochDone, Event, Remark, TrialBegun, TrialEnded
from tuning.study.measures import best_trial
from tuning.study.state import SearchView
from tuning.trial import Trial

_SHOWN_ENDED = 8  # ended trials in the table, beside the best one and the running ones
_REFRESHES = 2  # a second


class LiveSearch:
    """Listens to a study and shows it on standard error.

    Args:
        config: The search.
        before: What was known of it before, when it goes on.
        quiet: Whether nothing is shown.
    """

    def __init__(self, config: SearchConfig, before: SearchView | None = None, *, quiet: bool = False) -> None:
        self._config = config
        self._trials = dict(before.trials) if before else {}
        self._seconds_before = before.progress.seconds if before else 0.0
        self._until = {trial: task.until_epoch * task.executions for trial, task in before.tasks.items()} if (
            before) else {}
        best = best_trial(self._trials.values(), config)
        self._best = "" if best is None else best.id
        self._quiet = quiet
        self._live: Any = None
        self._lock = threading.Lock()  # the table is drawn in a thread of its own
        self._began = time.monotonic()

    def __enter__(self) -> LiveSearch:
        self._began = time.monotonic()
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), get_renderable=self._render, transient=True,
                              refresh_per_second=_REFRESHES)
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: Event) -> None:
        """Takes note of an event.

        Args:
            event: Of the study.
        """
        with self._lock:
            if isinstance(event, TrialBegun | EpochDone | TrialEnded):
                self._trials[event.trial.id] = event.trial
            if isinstance(event, TrialBegun):
                self._until[event.trial.id] = event.task.until_epoch * event.task.executions
            if isinstance(event, TrialEnded) and event.is_best:
                self._best = event.trial.id
        if isinstance(event, Remark):
            self.say(f"{f'trial {event.trial}: ' if event.trial else ''}{event.text}")
        elif isinstance(event, TrialEnded):
            self.say(self.line(event.trial))

    def say(self, text: str) -> None:
        """Shows a line, above the table where there is one.

        Args:
            text: The line.
        """
        if self._quiet:
            return
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def line(self, trial: Trial) -> str:
        """Returns what is said of an ended trial.

        Args:
            trial: The trial.
        """
        objective = self._config.objectives[0]
        said = [f"trial {trial.id} {trial.status}", settings_of(trial)]
        said.append(measures_of(trial, [o.name for o in self._config.objectives]) if trial.measures else trial.error)
        said.append(f"{trial.epochs} epochs, {trial.seconds:.1f} s")
        best = self._trials.get(self._best)
        if best is not None and objective.name in best.measures:
            said.append("best so far" if best.id == trial.id else
                        f"best {best.measures[objective.name]:.4g} (trial {best.id})")
        left = self._seconds_left()
        if left:
            said.append(f"{duration(left)} left")
        return "; ".join(word for word in said if word)

    # === Details ===

    def _seconds_left(self) -> float | None:
        trials = self._trials.values()
        return progress_of(self._config, begun=len(trials), ended=sum(trial.has_ended for trial in trials),
                           epochs=sum(trial.epochs for trial in trials), promised=0,
                           seconds=self._seconds_before + time.monotonic() - self._began).seconds_left

    def _render(self) -> Any:
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            trials, best = dict(self._trials), self._best
        objective = self._config.objectives[0]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
        table.add_column("trial", no_wrap=True)
        table.add_column("hyperparameters", no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column("epoch", justify="right", no_wrap=True)
        table.add_column(objective.name, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        ended = [trial for trial in trials.values() if trial.has_ended and trial.id != best]
        rows = [trials[best]] if best in trials else []
        rows += ended[-_SHOWN_ENDED:] + [trial for trial in trials.values() if not trial.has_ended]
        for trial in rows:
            until = self._until.get(trial.id)
            epoch = f"{trial.epochs}/{until}" if until and not trial.has_ended else str(trial.epochs)
            table.add_row(trial.id, settings_of(trial), epoch, _value(trial, objective),
                          "best" if trial.id == best else trial.status, style="bold" if trial.id == best else None)
        return Group(table, Text(self._footer(trials, best, objective)))

    def _footer(self, trials: Mapping[str, Trial], best: str, objective: Objective) -> str:
        counts = {status: sum(trial.status == status for trial in trials.values())
                  for status in ("stopped", "infeasible", "failed", "running")}
        ended = sum(trial.has_ended for trial in trials.values())
        bound = f" of {self._config.trials}" if self._config.trials is not None else ""
        said = [f"{ended}{bound} trials", *(f"{count} {status}" for status, count in counts.items() if count)]
        if best in trials:
            said.append(f"best {objective.name} {_value(trials[best], objective)} (trial {best})")
        said.append(f"{duration(time.monotonic() - self._began)} so far")
        left = self._seconds_left()
        return ", ".join(said + ([f"about {duration(left)} left"] if left else []))


def settings_of(trial: Trial) -> str:
    """Returns a trial's hyperparameters as text: "learning_rate=0.001, units=32".

    Args:
        trial: The trial.
    """
    return ", ".join(f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
                     for name, value in trial.searched.items())


def measures_of(trial: Trial, names: Iterable[str]) -> str:
    """Returns a trial's measures as text, with their spread over executions where there is one.

    Args:
        trial: The trial.
        names: The measures.
    """
    return ", ".join(f"{name} {trial.measures[name]:.4g}"
                     + (f" ± {trial.spread[name]:.2g}" if name in trial.spread else "")
                     for name in names if name in trial.measures)


def duration(seconds: float) -> str:
    """Returns a time as people say it: "40 s", "3 min 20 s", "2 h 05 min".

    Args:
        seconds: The time.
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _value(trial: Trial, objective: Objective) -> str:
    if objective.name in trial.measures:
        return f"{trial.measures[objective.name]:.4g}"
    known = [report.values[objective.name] for report in trial.history if objective.name in report.values]
    return f"{known[-1]:.4g}" if known else ""
