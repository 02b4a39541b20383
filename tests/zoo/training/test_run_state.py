"""Patience, plateau and best epoch, without a model."""

from __future__ import annotations

import json

import pytest

from zoo.training.config import TrainingConfig
from zoo.training.run_state import RunState


def run(values: list[float], monitor: str = "val_loss", **changes: object) -> RunState:
    """The state after epochs with the given values of the monitor, or at the stop."""
    config = TrainingConfig.from_dict({"epochs": 20, "monitor": monitor, **changes})
    state = RunState(monitor=monitor)
    for value in values:
        assert not state.stopped
        if config.frozen_epochs and state.epoch == config.frozen_epochs:
            state = state.phase_begun()
        state = state.after_epoch({monitor: value}, config, seconds=1.0, train_seconds=0.5)
    return state


def test_lower_loss_is_better() -> None:
    """The lowest loss is the best epoch."""
    state = run([3.0, 1.0, 2.0])
    assert (state.best_epoch, state.best_value, state.is_best) == (2, 1.0, False)


def test_higher_accuracy_is_better() -> None:
    """The highest accuracy is the best epoch, the first of equal ones."""
    state = run([0.5, 0.9, 0.9], "val_accuracy")
    assert (state.best_epoch, state.best_value) == (2, 0.9)


def test_early_stopping_waits() -> None:
    """The run stops when patience is used up, and not before."""
    assert run([3.0, 1.0, 2.0], early_stopping_patience=2).stopped == ""
    assert run([3.0, 1.0, 2.0, 1.5], early_stopping_patience=2).stopped == "early_stopping"


def test_frozen_epochs_are_not_cut_short() -> None:
    """Patience counts from the first unfrozen epoch."""
    assert run([1.0, 2.0, 3.0], frozen_epochs=3, early_stopping_patience=1).stopped == ""
    assert run([1.0, 2.0, 3.0, 4.0], frozen_epochs=3, early_stopping_patience=1).stopped == "early_stopping"


def test_last_epoch_completes() -> None:
    """The last epoch completes the run, whatever patience says."""
    assert run([1.0, 2.0], epochs=2, early_stopping_patience=1).stopped == "completed"


def test_callback_can_stop() -> None:
    """A callback's wish is a reason of its own."""
    state = RunState(monitor="loss").after_epoch({"loss": 1.0}, TrainingConfig(), seconds=1.0, train_seconds=1.0,
                                                 asked_to_stop=True)
    assert state.stopped == "callback"


def test_plateau_lowers_the_rate_again_and_again() -> None:
    """Each time the patience of the plateau is used up, the scale is multiplied once more."""
    plateau = {"schedule": "reduce_on_plateau", "schedule_epochs": 2, "schedule_factor": 0.5}
    scales = [run([1.0] * n, **plateau).learning_rate_scale for n in range(1, 7)]
    assert scales == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_not_a_number_is_never_best() -> None:
    """A measure that is no number cannot be the best."""
    assert run([float("nan"), 2.0]).best_epoch == 2


@pytest.mark.parametrize("values", [[], [2.0, 1.0, 3.0]])
def test_survives_json(values: list[float]) -> None:
    """A state comes back from its JSON with the same numbers to the last bit."""
    state = run([value / 3 for value in values])
    again = RunState.from_dict(json.loads(json.dumps(state.to_dict())))
    assert again.to_dict() == state.to_dict()
    assert again.history == state.history
