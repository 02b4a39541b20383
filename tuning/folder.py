"""A search's folder: the names in it, which are those of KerasTuner's project folder where it has them.

    <folder>/search.json             the configuration
    <folder>/journal.jsonl           what happened, in order; the truth that everything else is made from
    <folder>/journal.jsonl.cut1      an end that a crash left half-written, as it was found and cut off
    <folder>/lock                    held by the process that works on the search
    <folder>/stop                    asks that process to stop
    <folder>/oracle.json, tuner0.json, trial_0007/trial.json     what KerasTuner reads
    <folder>/trial_0007/execution0/  the run folder of an execution, as `zoo train` leaves it
    <folder>/trial_0007/recipe.json  what rebuilds this trial, as winner.json does the best
    <folder>/trial_0007/log.txt      what the trial's processes printed
    <folder>/winner.json             what rebuilds the best trial: `zoo build` and `zoo train --from-search`
    <folder>/report/                 tables and plots
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SearchFolder:
    """Where everything of a search lies.

    Args:
        path: The search's folder; it need not exist.
    """

    path: Path

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> SearchFolder:
        """Returns the folder at an absolute path, so that it is found from every working directory."""
        return cls(Path(path).absolute())

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.path / "search.json"

    @property
    def journal(self) -> Path:
        """What happened."""
        return self.path / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """Held while a process works on the search."""
        return self.path / "lock"

    @property
    def stop_request(self) -> Path:
        """Asks the process to stop."""
        return self.path / "stop"

    @property
    def winner(self) -> Path:
        """What rebuilds the best trial."""
        return self.path / "winner.json"

    @property
    def report(self) -> Path:
        """Tables and plots."""
        return self.path / "report"

    def trial(self, trial: str) -> Path:
        """Returns the folder of a trial."""
        return self.path / f"trial_{trial}"

    def execution(self, trial: str, execution: int = 0) -> Path:
        """Returns the run folder of one execution of a trial."""
        return self.trial(trial) / f"execution{execution}"

    def log(self, trial: str) -> Path:
        """Returns the file of what a trial's processes printed."""
        return self.trial(trial) / "log.txt"
