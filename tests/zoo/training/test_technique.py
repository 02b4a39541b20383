"""What a technique may do in a run, and that the run keeps its promises with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.zoo.training.in_memory import blobs, classifier
from zoo.errors import ArgumentError, TrainingError
from zoo.spec import record_of
from zoo.training import Augmentation, TrainingConfig, fit
from zoo.training.technique import Applied, LossTerm, RunFacts

CONFIG = TrainingConfig(epochs=4, batch_size=32, learning_rate=0.02, schedule="cosine",
                        augmentation=(Augmentation("mixup"),))


@dataclass(frozen=True)
class Steered:
    """Pulls a projection of the hidden layer to 1, counts the steps, and scales the hidden kernel while it lasts."""

    name: str = "steered"
    strength: float = 0.3
    settled_from: int = 1

    def identity(self) -> Mapping[str, Any]:
        return {"strength": self.strength}

    @contextmanager
    def applied(self, model: keras.Model, facts: RunFacts) -> Iterator[Applied]:
        projection = keras.layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
        projection.build((None, 16))
        steps = keras.Variable(0.0, trainable=False, name="steps")

        def total(loss: Any, inputs: Any, targets: Any, outputs: Any, taps: tuple[Any, ...]) -> Any:
            steps.assign_add(1.0)
            return loss + self.strength * keras.ops.mean((projection(taps[0]) - 1.0) ** 2)

        hidden = model.get_layer("hidden")
        plain = hidden.activation
        hidden.activation = keras.activations.tanh
        try:
            yield Applied(term=LossTerm(total=total, taps=(hidden.output,), layers=(projection,)), state=(steps,),
                          settled_from=self.settled_from,
                          outcome=lambda: {"steps": float(steps.value),
                                           "projection": float(np.abs(projection.kernel.numpy()).sum())})
        finally:
            hidden.activation = plain


def numbers(model: keras.Model) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.variables]


def test_a_paused_run_ends_with_the_numbers_of_an_uninterrupted_one(tmp_path: Path) -> None:
    """Parameters, what learns beside them and the technique's state go on where they were, to the bit."""
    whole, parted = classifier(), classifier()
    expected = fit(whole, blobs(), CONFIG, tmp_path / "whole", techniques=(Steered(),))
    fit(parted, blobs(), CONFIG, tmp_path / "parted", techniques=(Steered(),), pause=lambda ended: ended.epoch == 2)
    parted = classifier(seed=9)
    report = fit(parted, blobs(), CONFIG, tmp_path / "parted", techniques=(Steered(),))

    assert report.resumed_from == 2 and report.history == expected.history
    for left, right in zip(numbers(whole), numbers(parted), strict=True):
        np.testing.assert_array_equal(left, right)
    assert record_of(whole).training["steered"] == record_of(parted).training["steered"]


def test_the_technique_changes_the_training_loss_alone(tmp_path: Path) -> None:
    """The strength shows in "loss" and not in the "val_loss" of equal parameters."""
    reports = {strength: fit(classifier(), blobs(), CONFIG.replace(epochs=1, learning_rate=1e-12), tmp_path / name,
                             techniques=(Steered(strength=strength),))
               for name, strength in (("weak", 0.0), ("strong", 5.0))}

    assert reports[5.0].history[0]["loss"] > reports[0.0].history[0]["loss"] + 1.0
    assert reports[5.0].history[0]["val_loss"] == pytest.approx(reports[0.0].history[0]["val_loss"], abs=1e-6)


def test_the_outcome_is_that_of_the_best_epoch(tmp_path: Path) -> None:
    """The technique's state comes back with the best epoch's parameters, also when the run was finished before."""
    data, settings = blobs(), CONFIG.replace(learning_rate=0.5, schedule="constant", epochs=6)
    model, again = classifier(), classifier()
    report = fit(model, data, settings, tmp_path, techniques=(Steered(),))

    assert report.best_epoch < 6
    assert record_of(model).training["steered"]["steps"] == 3 * report.best_epoch
    assert fit(again, data, settings, tmp_path, techniques=(Steered(),)).already_finished
    assert record_of(again).training["steered"] == record_of(model).training["steered"]


def test_the_model_is_plain_afterwards(tmp_path: Path) -> None:
    """Nothing of the technique stays in the model, and its architecture is the one that was built."""
    model = classifier()
    before = model.get_config(), len(model.variables), len(model.layers)
    fit(model, blobs(), CONFIG.replace(epochs=1), tmp_path, techniques=(Steered(),))

    assert (model.get_config(), len(model.variables), len(model.layers)) == before


def test_another_technique_is_another_run(tmp_path: Path) -> None:
    """A folder is not gone on with under other settings of the technique, or without it."""
    fit(classifier(), blobs(), CONFIG, tmp_path, techniques=(Steered(),), pause=lambda ended: True)

    with pytest.raises(TrainingError, match=r"techniques\.steered\.strength was 0\.3 and is now 0\.4"):
        fit(classifier(), blobs(), CONFIG, tmp_path, techniques=(Steered(strength=0.4),))
    with pytest.raises(TrainingError, match="techniques"):
        fit(classifier(), blobs(), CONFIG, tmp_path)


def test_epochs_before_it_is_settled_are_not_the_best(tmp_path: Path) -> None:
    """An epoch that comes before `settled_from` is neither the best nor the end, whatever it measured."""
    settings = CONFIG.replace(learning_rate=0.8, schedule="constant", early_stopping_patience=1, epochs=7)
    free = fit(classifier(), blobs(), settings, tmp_path / "free")
    late = fit(classifier(), blobs(), settings, tmp_path / "late", techniques=(Steered(settled_from=7),))

    assert free.best_epoch < 7 and free.stopped == "early_stopping"
    assert late.best_epoch == 7 and late.epochs == 7


def test_a_technique_that_would_never_settle_is_refused(tmp_path: Path) -> None:
    """More epochs are asked for before anything is trained; one name for two techniques is refused, too."""
    with pytest.raises(ArgumentError, match=r"complete in epoch 9.*has 4"):
        fit(classifier(), blobs(), CONFIG, tmp_path, techniques=(Steered(settled_from=9),))
    with pytest.raises(ArgumentError, match=r"once\. Received: steered, steered"):
        fit(classifier(), blobs(), CONFIG, tmp_path, techniques=(Steered(), Steered()))
    assert not list(tmp_path.iterdir())


def test_two_techniques_add_to_the_loss(tmp_path: Path) -> None:
    """Each term gets its own taps, and both leave their outcome."""
    model = classifier()
    fit(model, blobs(), CONFIG.replace(epochs=1, frozen_epochs=1, mixed_precision="mixed_bfloat16"), tmp_path,
        techniques=(Steered(), Steered(name="other")))

    assert record_of(model).training["steered"]["steps"] == record_of(model).training["other"]["steps"] == 3
