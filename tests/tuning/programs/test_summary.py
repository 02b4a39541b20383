"""What the executions of an attempt come to."""

from __future__ import annotations

import pytest

from tests.tuning.programs.in_memory import search, task
from tuning.errors import SearchError
from tuning.programs.summary import Executions, infeasible, require_objectives
from zoo.data_source import DataSource

CONFIG = search(DataSource(path="t.csv"), objectives=("val_loss", "latency_ms"), constraints=("size_mb<=2",))
MEASURES = {"val_loss": 0.5, "latency_ms": 1.0, "size_mb": 1.0}


def test_all_executions_are_wanted_unless_one_is_stopped() -> None:
    """An attempt has ended after its last execution, or after the one that the study stopped."""
    done = Executions(CONFIG, task(executions=2))
    done.add(MEASURES, stopped=False)
    assert not done.ended
    done.add(MEASURES | {"val_loss": 0.7}, stopped=False)
    assert done.ended and done.outcome().status == "completed"
    assert [values["val_loss"] for values in done.outcome().executions] == [0.5, 0.7]
    stopped = Executions(CONFIG, task(executions=2))
    stopped.add(MEASURES, stopped=True)
    assert stopped.ended and stopped.outcome().status == "stopped"


def test_a_missing_measure_is_told_with_those_there_are() -> None:
    """Objectives and bounds are looked for among all measures, also those that come at another time."""
    with pytest.raises(SearchError, match=r"The search is for latency_ms, size_mb, which .* Measured: val_loss\."):
        require_objectives(CONFIG, {"val_loss": 0.5})
    require_objectives(CONFIG, {"val_loss": 0.5}, elsewhere=("latency_ms", "size_mb"))
    with pytest.raises(SearchError, match="The search is for size_mb"):
        Executions(CONFIG, task()).add({"val_loss": 0.5, "latency_ms": 1.0}, stopped=False)


def test_what_breaks_a_bound_says_by_how_much() -> None:
    """The error of an infeasible trial has the value and the bound."""
    outcome = infeasible(CONFIG, {"size_mb": 2.5}, [{"size_mb": 2.5}])
    assert (outcome.status, outcome.error) == ("infeasible", "size_mb is 2.5 and size_mb<=2 was wanted")
    assert outcome.executions == ({"size_mb": 2.5},)
