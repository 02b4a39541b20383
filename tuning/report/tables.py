"""The trials of a search as tables: CSV with everything, and rows for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tuning.config import SearchConfig
from tuning.trial import Trial

_FACTS = ("trial", "status", "attempts", "parent", "epochs", "started", "ended", "seconds")


def trials_csv(trials: Sequence[Trial], config: SearchConfig) -> str:
    """Returns one row per trial: how it ended, its hyperparameters, its measures and their spread.

    Args:
        trials: The trials.
        config: The search; its objectives stand before the other measures.
    """
    hyperparameters = _names(trial.searched for trial in trials)
    measures = _names([dict.fromkeys(name for name in config.measured
                                     if any(name in trial.measures for trial in trials)),
                       *(trial.measures for trial in trials)])
    spreads = _names(trial.spread for trial in trials)
    rows = [[trial.id, trial.status, trial.attempts, trial.parent, trial.epochs, trial.started, trial.ended,
             trial.seconds, *(trial.searched.get(name) for name in hyperparameters),
             *(trial.measures.get(name) for name in measures), *(trial.spread.get(name) for name in spreads),
             trial.kind, trial.error] for trial in trials]
    return _csv([*_FACTS, *(f"hp/{name}" for name in hyperparameters), *measures,
                 *(f"{name}/spread" for name in spreads), "failure", "error"], rows)


def epochs_csv(trials: Sequence[Trial]) -> str:
    """Returns one row per epoch that was reported.

    Args:
        trials: The trials.
    """
    measures = _names(report.values for trial in trials for report in trial.history)
    return _csv(["trial", "execution", "epoch", "seconds", *measures],
                [[trial.id, report.execution, report.epoch, report.seconds,
                  *(report.values.get(name) for name in measures)] for trial in trials for report in trial.history])


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table in Markdown; signs in the cells cannot break it.

    Args:
        head: Names of the columns.
        rows: The cells.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def _names(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Returns the keys of all mappings, each once, in the order in which they come."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
