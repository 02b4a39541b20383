from __future__ import annotations

from pathlib import Path

import h5py
import keras
import pytest

from tests.zoo.weights.small_models import picture_model
from tests.zoo.weights.test_safetensors_file import everything
from zoo.weights.hdf5 import datasets
from zoo.weights.keras_layout import keras_places


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize("build", [everything, picture_model])
def test_places_are_those_of_a_file_that_keras_writes(build: object, tmp_path: Path) -> None:
    """The noted places and shapes are exactly the datasets of the file that Keras saves."""
    model = build()  # type: ignore[operator]
    model.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5") as file:
        written = {place: tuple(data.shape) for place, data in datasets(file)}
    assert {place: tuple(variable.shape) for place, variable in keras_places(model).items()} == written


def test_an_optimizer_has_no_places() -> None:
    """Compiling a model does not change what its weights file must have."""
    model = picture_model()
    before = list(keras_places(model))
    model.compile(keras.optimizers.Adam(), "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    assert list(keras_places(model)) == before
