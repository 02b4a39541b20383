"""KerasTuner hypermodels of the user's, as they are, and the models that they build."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras

from tuning.errors import SearchError
from tuning.programs.user_code import load_object
from zoo.errors import MissingDependencyError

try:
    import keras_tuner
except ImportError as error:
    raise MissingDependencyError("keras-tuner", "tune", "Searching for hyperparameters") from error


class BuildFunction(keras_tuner.HyperModel):  # type: ignore[misc]
    """A `build(hp)` function as a hypermodel.

    Args:
        build: The function.
    """

    def __init__(self, build: Callable[[Any], Any]) -> None:
        super().__init__()
        self._function = build

    def build(self, hp: Any) -> Any:
        """Calls the function."""
        return self._function(hp)


def load_hypermodel(reference: str) -> Any:
    """Imports a hypermodel.

    Args:
        reference: "file.py:name" or "package.module:name" of a `HyperModel`, of a class of such that takes no
            arguments, or of a function `build(hp)`.

    Returns:
        The `keras_tuner.HyperModel`.

    Raises:
        SearchError: It names something else.
    """
    found = load_object(reference)
    if inspect.isclass(found) and issubclass(found, keras_tuner.HyperModel):
        try:
            inspect.signature(found).bind()
        except TypeError as error:
            raise SearchError(f"The class {reference} needs arguments ({error}). Name an object of it instead: "
                              f"hypermodel = {found.__name__}(...) in the same file.") from None
        found = found()
    if isinstance(found, keras_tuner.HyperModel):
        return found
    if not callable(found):
        raise SearchError(f"{reference} must be a keras_tuner.HyperModel or a function build(hp). It is "
                          f"{type(found).__name__}.")
    return BuildFunction(found)


def bound(values: Mapping[str, Any]) -> Any:
    """Returns `keras_tuner.HyperParameters` that answer with a trial's values; new names get their defaults.

    Args:
        values: The hyperparameters by name.
    """
    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    return hp


def build_model(hypermodel: Any, hp: Any) -> keras.Model:
    """Builds a hypermodel's model.

    Args:
        hypermodel: From `load_hypermodel`.
        hp: The `keras_tuner.HyperParameters`.

    Returns:
        The model.

    Raises:
        SearchError: `build(hp)` returned something else.
    """
    model = hypermodel.build(hp)
    if not isinstance(model, keras.Model):
        raise SearchError(f"build(hp) must return a keras.Model. It returned {type(model).__name__}.")
    return model
