"""What the executions of an attempt come to: the attempt's outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuning.config import SearchConfig
from tuning.errors import SearchError
from tuning.objectives import unmet
from tuning.trial import TrialOutcome, TrialTask


class Executions:
    """Collects the final measures of the executions of one attempt.

    Args:
        config: What is searched.
        task: What is run.
    """

    def __init__(self, config: SearchConfig, task: TrialTask) -> None:
        self._config = config
        self._task = task
        self._measures: list[dict[str, float]] = []
        self._stopped = False

    @property
    def ended(self) -> bool:
        """Whether no further execution is run."""
        return self._stopped or len(self._measures) >= self._task.executions

    def add(self, measures: Mapping[str, float], *, stopped: bool) -> None:
        """Adds a finished execution.

        Args:
            measures: Its final measures.
            stopped: Whether the study stopped it early.

        Raises:
            SearchError: An objective is not among the measures.
        """
        require_objectives(self._config, measures)
        self._measures.append(dict(measures))
        self._stopped = self._stopped or stopped

    def outcome(self) -> TrialOutcome:
        """Returns the outcome of the attempt; the study holds it against the constraints."""
        return TrialOutcome(status="stopped" if self._stopped else "completed", executions=tuple(self._measures))


def require_objectives(config: SearchConfig, measures: Mapping[str, float], elsewhere: Sequence[str] = ()) -> None:
    """Refuses measures that lack an objective or what a constraint bounds.

    Args:
        config: What is searched.
        measures: All that is known of an execution.
        elsewhere: Names that are measured at another time.

    Raises:
        SearchError: The message says what is missing and what there is.
    """
    missing = [name for name in config.measured if name not in measures and name not in elsewhere]
    if missing:
        raise SearchError(f"The search is for {', '.join(missing)}, which this trial does not measure. "
                          f"Measured: {', '.join(sorted({*measures, *elsewhere})) or 'nothing'}. Name one of these, or "
                          "install the package that measures it.")


def infeasible(config: SearchConfig, measures: Mapping[str, float],
               executions: Sequence[Mapping[str, float]]) -> TrialOutcome:
    """Returns the outcome of a trial that breaks a constraint.

    Args:
        config: What is searched.
        measures: The values that the constraints are held against.
        executions: What the trial measured.
    """
    words = [f"{constraint.name} is {measures[constraint.name]:.6g} and {constraint} was wanted"
             for constraint in unmet(config.constraints, measures)]
    return TrialOutcome(status="infeasible", executions=tuple(executions), error="; ".join(words))
