"""The report in words: report.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

from tuning.report.axes import words_of
from tuning.report.tables import markdown_table
from tuning.study.pareto import measure_of
from tuning.trial import Trial

if TYPE_CHECKING:
    from tuning.report.search_report import SearchReport

_ROWS = 50  # a longer table is read in trials.csv
_STATUS_WORDS = {"completed": "completed", "stopped": "stopped early", "infeasible": "outside the constraints",
                 "failed": "failed", "running": "still running"}
_PICTURES = {"history.png": "How the search went on", "curves.png": "Every trial's training",
             "parallel.png": "Hyperparameters and result", "front.png": "Objectives against each other"}


def summary_sentence(report: SearchReport) -> str:
    """Says in two or three sentences what was tried and what the best is.

    Args:
        report: The report.

    Returns:
        Plain text.
    """
    count = len(report.trials)
    if not count:
        return "No trial has begun yet."
    statuses = ", ".join(f"{number} {_STATUS_WORDS[status]}" for status, number in report.statuses.items())
    text = (f"{count} trial{'s' if count != 1 else ''} ({statuses}), {report.epochs} "
            f"epoch{'s' if report.epochs != 1 else ''} in {_duration(report.seconds)}.")
    if report.best is None:
        return f"{text} No trial has a result that meets the constraints yet."
    return f"{text} The best is trial {report.best.id} with {results_of(report.best, report)}."


def results_of(trial: Trial, report: SearchReport) -> str:
    """Returns a trial's results in the objectives and constraints: "val_accuracy 0.981 ± 0.002, latency_ms 1.2".

    Args:
        trial: The trial.
        report: The report.
    """
    parts = [f"{objective.name} {measure_of(trial, objective):.4g}{_spread(trial, objective.name)}"
             for objective in report.config.objectives]
    names = [objective.name for objective in report.config.objectives]
    parts += [f"{name} {trial.measures[name]:.4g}{_spread(trial, name)}" for name in report.config.measured
              if name not in names and name in trial.measures]
    return ", ".join(parts)


def markdown(report: SearchReport, pictures: Collection[str]) -> str:
    """Returns report.md.

    Args:
        report: The report.
        pictures: Names of the plots that lie beside it.
    """
    config = report.config
    objectives = ", ".join(map(str, config.objectives))
    bounds = f" with {', '.join(map(str, config.constraints))}" if config.constraints else ""
    source = f" on {config.data.path}" if config.data else ""
    name = config.model or config.hypermodel.rpartition("/")[2]  # a file's folder stands in report.json
    parts = [f"# Search: {name}{source}", summary_sentence(report)]
    if report.running:
        parts.append("The search is still running.")
    parts.append(f"Objectives: {objectives}{bounds}. Oracle: {config.oracle}, early stopping: {config.stopper}, "
                 f"seed {config.seed}, {config.epochs} epochs, {config.executions} "
                 f"execution{'s' if config.executions != 1 else ''} per trial.")
    if report.best is not None:
        parts += [f"## Trial {report.best.id}, the best", markdown_table(
            ["hyperparameter", "value"], [[name, words_of(value)] for name, value in report.best.searched.items()])]
    if len(config.objectives) > 1 and report.front:
        parts += ["## Pareto front", "No other trial is better than one of these in every objective.",
                  _trials_table(report, report.front), *_picture("front.png", pictures)]
    parts += _picture("history.png", pictures, "## History") + _picture("curves.png", pictures)
    parts += ["## Importance", *_importance(report, pictures), *_picture("parallel.png", pictures)]
    parts += _failures(report)
    ranked = sorted(report.trials, key=lambda trial: (config.objectives[0].loss(
        measure_of(trial, config.objectives[0])), trial.id))
    left_out = f" The first {_ROWS} of {len(ranked)}; all are in trials.csv." if len(ranked) > _ROWS else ""
    parts += ["## Trials", f"Best first.{left_out}", _trials_table(report, ranked[:_ROWS])]
    if report.remarks:
        parts += ["## Remarks", "\n".join(f"- {' '.join(remark.split())}" for remark in report.remarks)]
    return "\n\n".join(parts) + "\n"


def _trials_table(report: SearchReport, trials: Collection[Trial]) -> str:
    objectives = [objective.name for objective in report.config.objectives]
    others = [name for name in report.config.measured if name not in objectives]
    names = [axis.name for axis in report.axes]
    rows = [[trial.id, _STATUS_WORDS[trial.status],
             *(f"{measure_of(trial, objective):.4g}{_spread(trial, objective.name)}"
               for objective in report.config.objectives),
             *(f"{trial.measures[name]:.4g}" if name in trial.measures else "-" for name in others),
             str(trial.epochs), *(words_of(trial.values[name]) if name in trial.values else "-" for name in names)]
            for trial in trials]
    return markdown_table(["trial", "status", *objectives, *others, "epochs", *names], rows)


def _importance(report: SearchReport, pictures: Collection[str]) -> list[str]:
    found = report.importance
    parts = []
    if found.shares:
        rows = [[name, f"{share:.1%}"] for name, share in found.shares.items()]
        rows += [[f"{first} with {second}", f"{share:.1%}"] for (first, second), share in found.pairs.items()
                 if share >= 0.01]
        stopped = "stopped" in report.statuses
        early = " Trials that were stopped early count with what they had reached." if stopped else ""
        parts = [f"The share of the variance of {report.config.objectives[0].name} over {found.trials} trials that "
                 "each hyperparameter brings about (functional ANOVA on a forest, which explains "
                 f"{max(found.explained or 0.0, 0.0):.0%} of the variance on trials that it has not seen).{early}",
                 markdown_table(["hyperparameter", "share"], rows), *_picture("importance.png", pictures)]
    return parts + ([found.note] if found.note else [])


def _failures(report: SearchReport) -> list[str]:
    causes = Counter((trial.kind or "error", " ".join(trial.error.split())) for trial in report.trials
                     if trial.status == "failed")
    if not causes:
        return []
    return ["## Failures", markdown_table(["trials", "cause", "what was said"], [
        [str(number), kind, text[:300]] for (kind, text), number in causes.most_common(20)])]


def _picture(name: str, pictures: Collection[str], head: str = "") -> list[str]:
    if name not in pictures:
        return []
    return [head] * bool(head) + [f"![{_PICTURES.get(name, 'Importance of each hyperparameter')}]({name})"]


def _spread(trial: Trial, name: str) -> str:
    return f" ± {trial.spread[name]:.2g}" if name in trial.spread else ""


def _duration(seconds: float) -> str:
    if seconds < 60.0:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.1f} minutes" if seconds < 5400.0 else f"{seconds / 3600:.1f} hours"
