"""A search that plain KerasTuner began: its project folder read as trials, so that it goes on here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tuning.config import SearchConfig
from tuning.errors import StoreError
from tuning.folder import SearchFolder
from tuning.oracles.project_files import ProjectFiles
from tuning.spaces.space import SearchSpace
from tuning.trial import Trial, TrialStatus

_STATUSES: Mapping[str, TrialStatus] = {"COMPLETED": "completed", "FAILED": "failed", "RUNNING": "running",
                                        "INVALID": "running"}


def adopted_trials(folder: SearchFolder, config: SearchConfig) -> tuple[Trial, ...]:
    """Reads the trials of a KerasTuner project.

    Args:
        folder: The project's folder, with oracle.json and trial_*/trial.json.
        config: The search that goes on with them.

    Returns:
        The trials in the order in which they were begun. One that KerasTuner was running, or would have retried, is
        "running", so that it is the first to be run here. KerasTuner keeps no epochs, so none has a history.

    Raises:
        StoreError: The files cannot be read, or the trials are no part of such a search: other hyperparameters, no
            value of an objective, another Hyperband.
    """
    files = ProjectFiles(folder)
    state = files.read_oracle()
    if state is None:
        raise _refusal(folder, f"{files.oracle.name} cannot be read as JSON")
    _require_same_rounds(folder, config, state)
    _require_same_space(folder, config, state)
    started = [str(trial) for trial in state.get("start_order", ())]
    names = started + [name for name in files.trial_names() if name not in started]
    return tuple(_trial(folder, files, config, state, name) for name in names)


def _trial(folder: SearchFolder, files: ProjectFiles, config: SearchConfig, state: Mapping[str, Any],
           name: str) -> Trial:
    record = files.read_trial(name)
    if record is None:
        raise _refusal(folder, f"{files.trial(name).relative_to(folder.path)} is missing or cannot be read as JSON")
    try:
        values = dict(record["hyperparameters"]["values"])
        status = _STATUSES[record["status"]]
        measures = {metric: _best(entry) for metric, entry in record["metrics"]["metrics"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _refusal(folder, f"{files.trial(name).relative_to(folder.path)} is no trial of KerasTuner 1.4 "
                               f"({type(error).__name__}: {error})") from error
    if status == "completed":
        _require_objectives(folder, config, name, measures)
    has_ended = status != "running"
    return Trial(id=name, values=values, status=status, measures=measures if has_ended else {},
                 executions=(measures,) if measures and has_ended else (), attempts=1,
                 error=_last_line(record.get("message")) if status == "failed" else "",
                 kind="error" if status == "failed" else "", parent=str(values.get("tuner/trial_id", "")),
                 started=_started(state, name), ended=files.trial(name).stat().st_mtime if has_ended else None)


def _best(entry: Mapping[str, Any]) -> float:
    # KerasTuner writes one observation, of the best epoch; who reported every epoch has several.
    means = [math.fsum(values) / len(values) for values in
             (observation["value"] for observation in entry["observations"]) if values]
    numbers = [mean for mean in means if not math.isnan(mean)]
    if not numbers:
        return math.nan
    return max(numbers) if entry["direction"] == "max" else min(numbers)


def _started(state: Mapping[str, Any], name: str) -> float | None:
    try:
        return datetime.fromisoformat(state["display"]["trial_start"][name]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None


def _last_line(message: Any) -> str:
    # KerasTuner keeps the whole traceback; its last line is the error.
    lines = [line.strip() for line in str(message or "").splitlines() if line.strip()]
    return lines[-1] if lines else "KerasTuner recorded no message."


def _require_objectives(folder: SearchFolder, config: SearchConfig, trial: str, measures: Mapping[str, float]) -> None:
    missing = [objective.name for objective in config.objectives if objective.name not in measures]
    if missing:
        raise _refusal(folder, f"its trial {trial} has no value of {', '.join(missing)}, which this search is for; it "
                               f"has {', '.join(sorted(measures)) or 'none'}", "Name one of these as the objective, or")


def _require_same_space(folder: SearchFolder, config: SearchConfig, state: Mapping[str, Any]) -> None:
    if not config.space:
        return  # A hypermodel of the user's declares its own.
    theirs = {str(entry["config"]["name"]) for entry in state.get("hyperparameters", {}).get("space", ())}
    ours = set(SearchSpace.from_dict(config.space).names)
    if theirs != ours:
        differences = [f"it has {_list(theirs - ours)}, which this search has not"] if theirs - ours else []
        differences += [f"it lacks {_list(ours - theirs)}"] if ours - theirs else []
        raise _refusal(folder, "its hyperparameters are others: " + "; ".join(differences))


def _require_same_rounds(folder: SearchFolder, config: SearchConfig, state: Mapping[str, Any]) -> None:
    theirs = "brackets" in state
    if theirs != (config.oracle == "hyperband"):
        what = "is Hyperband's" if theirs else "is not Hyperband's"
        raise _refusal(folder, f"it {what}, and this one's oracle is {config.oracle}; their trials run for other "
                               "numbers of epochs")
    if theirs:
        wanted = {"max_epochs": config.epochs, "factor": config.oracle_options.get("factor", 3)}
        for name, value in wanted.items():
            if state.get(name) != value:
                raise _refusal(folder, f"its Hyperband has {name}={state.get(name)}, and this one {value}")


def _refusal(folder: SearchFolder, what: str, remedy: str = "") -> StoreError:
    return StoreError(f"{folder.path} holds a search begun with KerasTuner that cannot go on here: {what}. "
                      f"{remedy + ' g' if remedy else 'G'}ive another folder for a new search.")


def _list(names: Sequence[str] | set[str]) -> str:
    return ", ".join(sorted(names))
