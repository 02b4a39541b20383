"""Learning rates, against the formulas written out."""

from __future__ import annotations

import math

import keras
import pytest

from zoo.training.config import TrainingConfig
from zoo.training.schedules import PhaseSchedule, schedule_for

STEPS = 10


def rates(epochs: int, *at: float, **changes: object) -> list[float]:
    """The rates at the given epochs of a phase with a peak of 1."""
    config = TrainingConfig.from_dict({"epochs": 50, **changes})
    schedule = schedule_for(config, peak=1.0, epochs=epochs, steps_per_epoch=STEPS)
    return [float(schedule(round(epoch * STEPS))) for epoch in at]


def test_constant() -> None:
    """A constant rate stays."""
    assert rates(5, 0, 2.5, 5) == [1.0, 1.0, 1.0]


def test_step() -> None:
    """A step schedule drops every `schedule_epochs` epochs."""
    assert rates(9, 0, 2.9, 3, 6, schedule="step", schedule_epochs=3, schedule_factor=0.5) == [1, 1, 0.5, 0.25]


def test_exponential() -> None:
    """An exponential schedule multiplies by the factor over each epoch, smoothly."""
    assert rates(9, 1, 1.5, 4, schedule="exponential", schedule_factor=0.8) == pytest.approx([0.8, 0.8**1.5, 0.8**4])


def test_cosine_with_warm_up() -> None:
    """After a straight warm-up the rate falls along a cosine to the fraction that is left."""
    got = rates(10, 0, 0.5, 1, 2, 6, 10, 12, schedule="cosine", warmup_epochs=2, schedule_factor=0.1)
    assert got == pytest.approx([1 / 21, 6 / 21, 11 / 21, 1, 0.55, 0.1, 0.1], abs=1e-6)


def test_linear_with_warm_up() -> None:
    """After a straight warm-up the rate falls along a line to the fraction that is left, which is 0 by default."""
    assert rates(10, 0.5, 2, 6, 10, 12, schedule="linear", warmup_epochs=2) == pytest.approx(
        [6 / 21, 1, 0.5, 0, 0], abs=1e-6)
    assert rates(10, 5, 10, schedule="linear", schedule_factor=0.2) == pytest.approx([0.6, 0.2], abs=1e-6)


def test_warm_up_is_cut_in_a_short_phase() -> None:
    """A warm-up takes at most half of a phase, so the peak is reached."""
    assert rates(2, 1, warmup_epochs=8) == [1.0]


def test_plateau_scale_acts_at_once() -> None:
    """What the loop assigns to the scale multiplies the rate, inside a compiled function too."""
    import tensorflow as tf

    schedule = schedule_for(TrainingConfig(schedule="reduce_on_plateau"), peak=0.5, epochs=4, steps_per_epoch=STEPS)
    compiled = tf.function(lambda: schedule(3))
    before = float(compiled())
    schedule.scale.assign(0.25)
    assert (before, float(compiled())) == (0.5, 0.125)


def test_comes_back_from_its_config() -> None:
    """Keras can save and load a schedule."""
    schedule = PhaseSchedule("cosine", 0.3, 7, 5, 1.0, 0.2, 1)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert [float(again(step)) for step in range(0, 40, 3)] == [float(schedule(step)) for step in range(0, 40, 3)]
    assert math.isclose(float(again(7)), 0.3, rel_tol=1e-6)
