"""Which candidate is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serving.errors import ExportError
from serving.export.candidates.choosing import Outcome, choose
from serving.export.candidates.plan import Selection
from tests.serving.export.candidates.outcomes import outcome

STEADY = [10.0, 10.1, 9.9, 10.0, 10.2, 9.8, 10.0, 10.1, 9.9]


def times(factor: float) -> list[float]:
    return [factor * value for value in STEADY]


def chosen(outcomes: list[Outcome]) -> str:
    name, = [one.candidate.name for one in outcomes if one.chosen]
    return name


def reasons(outcomes: list[Outcome]) -> dict[str, str]:
    return {one.candidate.name: one.reason for one in outcomes}


def test_the_fastest_within_the_tolerance_is_kept() -> None:
    """A faster one that is worse than allowed is told as worse; the chosen one has no reason against it."""
    found = choose([outcome("none", times(1)), outcome("safe", times(0.7)), outcome("bfloat16", times(0.5)),
                    outcome("int8", times(0.2), accuracy=0.89, changed=4)], Selection())
    assert chosen(found) == "bfloat16"
    told = reasons(found)
    assert told["bfloat16"] == ""
    assert "worse: accuracy is 1.11% off, allowed is 0.50%" in told["int8"]
    assert "slower than bfloat16: 1.40 times its milliseconds" in told["safe"]
    assert found[3].agreement == pytest.approx(196 / 200)


def test_a_wider_tolerance_lets_it_in() -> None:
    """The tolerance is a share of the metric."""
    found = [outcome("none", times(1)), outcome("int8", times(0.2), accuracy=0.89)]
    assert chosen(choose(found, Selection(tolerance=0.0111))) == "none"
    assert chosen(choose(found, Selection(tolerance=0.0112))) == "int8"


def test_a_level_that_changes_labels_is_refused() -> None:
    """An equal metric over other labels is no agreement; another model is judged by the metric alone."""
    changed = outcome("int8", times(0.2), changed=5)
    found = [outcome("none", times(1)), changed]
    told = choose(found, Selection())
    assert chosen(told) == "none"
    assert reasons(told)["int8"] == "other labels: 97.50% are as before, 98.00% must be"
    assert chosen(choose(found, Selection(agreement=0.975))) == "int8"
    other = replace(changed, candidate=replace(changed.candidate, run=Path("pruned")))
    assert chosen(choose([found[0], other], Selection())) == "int8"
    with pytest.raises(ExportError, match="`agreement` is the share of examples"):
        Selection(agreement=98)


def test_a_slower_one_is_never_kept() -> None:
    """Where nothing is faster, the plain export is published, and the others are told as slower."""
    found = choose([outcome("none", times(1)), outcome("safe", times(1.3)), outcome("int8", times(2))], Selection())
    assert chosen(found) == "none"
    assert "slower than none" in reasons(found)["int8"]


def test_within_the_noise_the_simpler_one_is_kept() -> None:
    """A median that is better, in rounds that do not agree, or by less than is worth it, wins nothing."""
    noise = [0.8, 1.3, 0.9, 1.2, 0.8, 0.9, 1.1, 0.9, 1.2]
    noisy = [value * factor for value, factor in zip(STEADY, noise, strict=True)]
    for rounds in (noisy, times(0.99)):
        found = choose([outcome("none", times(1)), outcome("safe", rounds)], Selection())
        assert chosen(found) == "none"
        assert "not surely faster than none" in reasons(found)["safe"]


def test_what_was_not_measured_is_out() -> None:
    """Its own reason stays."""
    broken = Outcome(candidate=outcome("int8", STEADY).candidate, reason="it cannot be exported: too large")
    found = choose([outcome("none", times(1)), broken], Selection())
    assert reasons(found)["int8"] == "it cannot be exported: too large"
    assert found[1].drop is None


def test_throughput_looks_at_the_largest_calls_and_latency_at_the_smallest() -> None:
    """Two that are each better at one size."""
    plain, other = outcome("none", times(1)), outcome("safe", times(0.5))
    assert other.timing is not None
    slow_at_eight = {**other.timing.rounds, 8: tuple(times(20))}
    turned = Outcome(**{**vars(other), "timing": type(other.timing)(slow_at_eight, slow_at_eight, 1.0)})
    assert chosen(choose([plain, turned], Selection(objective="latency"))) == "safe"
    assert chosen(choose([plain, turned], Selection(objective="throughput"))) == "none"


def test_size_takes_the_smallest_even_if_slower() -> None:
    """For size alone, time does not count; a gain below a fiftieth is none."""
    found = choose([outcome("none", times(1), size=1000), outcome("int8_weights", times(2), size=260),
                    outcome("int4_weights", times(3), size=258)], Selection(objective="size"))
    assert chosen(found) == "int8_weights"
    assert "no smaller than int8_weights" in reasons(found)["none"]


def test_a_metric_that_is_better_lower() -> None:
    """For an error a larger value is worse, and a smaller one is no loss."""
    rows = [outcome("none", times(1), accuracy=2.0, metric="rmse"),
            outcome("safe", times(0.5), accuracy=2.1, metric="rmse"),
            outcome("bfloat16", times(0.6), accuracy=1.9, metric="rmse")]
    found = choose(rows, Selection())
    assert chosen(found) == "bfloat16"
    assert [round(one.drop or 0.0, 3) for one in found] == [0.0, 0.05, -0.05]


def test_the_front_holds_what_nothing_else_beats() -> None:
    """Faster, smaller or better than every other one in something; the rest is not on it."""
    found = choose([outcome("none", times(1), size=100), outcome("safe", times(0.5), size=100),
                    outcome("bfloat16", times(0.4), size=50, accuracy=0.899),
                    outcome("int8", times(0.6), size=60, accuracy=0.8)], Selection())
    assert [one.on_front for one in found] == [False, True, True, False]


def test_a_metric_of_zero_does_not_divide() -> None:
    """Nothing to lose is no loss; an error above zero is an endless one."""
    zero = outcome("none", times(1), accuracy=0.0, metric="rmse").judgement
    worse = outcome("safe", times(1), accuracy=0.1, metric="rmse").judgement
    assert zero is not None
    assert worse is not None
    assert zero.drop_of(zero) == 0.0
    assert zero.drop_of(worse) == np.inf
