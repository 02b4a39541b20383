"""What KerasTuner's oracle keeps of each trial."""

from __future__ import annotations

import math

from tests.tuning.oracles.simulation import config_of, declare
from tuning.objectives import Objective
from tuning.oracles.bayesian import _most_telling
from tuning.oracles.making import make_oracle
from tuning.oracles.records import Records
from tuning.trial import Trial

VALUES = {"rate": 0.01, "units": 8, "bias": True, "kind": "plain"}


def fresh(*objectives):
    config = config_of("random", *objectives)
    oracle = make_oracle(config, declare)
    return oracle, Records(oracle, config.objectives)


def test_ids_are_kerastuners_and_never_used_twice():
    """Four digits in the order of trials; one that an adopted search has already is left out."""
    _, records = fresh()
    assert records.free_id() == "0000"
    records.begin("0001", VALUES)
    assert records.free_id() == "0002"
    records.begin("2", VALUES)
    assert records.free_id() == "0002"


def test_a_value_that_is_missing_is_the_start_value():
    """A trial of an older space gets what the hyperparameter begins with, and no random one."""
    _, records = fresh()
    trial = records.begin("0000", {"rate": 0.01, "kind": "deep"})
    assert trial.hyperparameters.values == {"rate": 0.01, "kind": "deep", "units": 8, "bias": True, "layers": 2}


def test_every_execution_stands_among_the_measures():
    """KerasTuner averages what it finds; both numbers are there, and the score is their mean."""
    _, records = fresh()
    records.begin("0000", VALUES)
    trial = records.end(Trial(id="0000", values=VALUES, status="completed", measures={"val_loss": 0.4},
                              executions=({"val_loss": 0.3}, {"val_loss": 0.5})))
    assert trial.metrics.get_history("val_loss")[0].value == [0.3, 0.5]
    assert (trial.score, records.losses, records.running) == (0.4, {"0000": (0.4,)}, False)


def test_what_failed_or_lacks_a_number_has_no_losses():
    """A failed, an infeasible and a numberless trial are all failed for the oracle, with a reason."""
    _, records = fresh("val_loss", "max:val_accuracy")
    for name, trial in {"0000": Trial(id="0000", values=VALUES, status="failed", error="It broke."),
                        "0001": Trial(id="0001", values=VALUES, status="infeasible", error="Too slow.",
                                      measures={"val_loss": 0.1, "val_accuracy": 0.9}),
                        "0002": Trial(id="0002", values=VALUES, status="completed",
                                      measures={"val_loss": 0.1, "val_accuracy": math.nan})}.items():
        records.begin(name, VALUES)
        assert records.end(trial).status == "FAILED"
    assert records.losses == dict.fromkeys(("0000", "0001", "0002"))
    assert [records.trial(name).message for name in ("0000", "0001")] == ["It broke.", "Too slow."]
    assert "val_accuracy" in records.trial("0002").message


def test_losses_are_turned_so_that_less_is_better():
    """One per objective, in their order."""
    oracle, records = fresh("val_loss", "max:val_accuracy")
    records.begin("0000", VALUES)
    assert records.running
    trial = records.end(Trial(id="0000", values=VALUES, status="stopped",
                              measures={"val_loss": 0.25, "val_accuracy": 0.75}))
    assert records.losses["0000"] == (0.25, -0.75)
    assert trial.score == -0.5
    assert oracle.end_order == ["0000"]
    assert Objective.parse("max:val_accuracy").loss(0.75) == -0.75


def test_of_many_trials_the_best_and_the_latest_are_learnt_from():
    """Up to three hundred all are; of more, the best hundred of the older ones and the latest two hundred."""
    judged = {f"{index:04d}": float(index % 97) for index in range(500)}
    names = list(judged)
    assert _most_telling(judged, names[:300]) == set(names[:300])
    chosen = _most_telling(judged, names)
    assert len(chosen) == 300
    assert set(names[300:]) <= chosen
    left = [judged[name] for name in names if name not in chosen]
    assert max(judged[name] for name in chosen - set(names[300:])) <= min(left)
