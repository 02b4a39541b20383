"""A registered model as a KerasTuner hypermodel: hyperparameters in, a compiled Keras model out."""

from __future__ import annotations

from typing import Any

import keras

import zoo
from tuning.space import build_arguments
from zoo.errors import ArgumentError, MissingDependencyError

try:
    import keras_tuner
except ImportError as error:
    raise MissingDependencyError("keras-tuner", "tune", "Searching for hyperparameters") from error

# Where each task is compiled with these, as zoo.training does.
_LOSSES = {"classification": "sparse_categorical_crossentropy", "binary_classification": "binary_crossentropy",
           "regression": "mse"}
_METRICS = {"classification": ["accuracy"], "binary_classification": ["accuracy"], "regression": ["mae"]}


class ZooHyperModel(keras_tuner.HyperModel):  # type: ignore[misc]
    """Builds and compiles one registered model with hyperparameters from its catalog entry.

    Any KerasTuner tuner takes it: `keras_tuner.RandomSearch(ZooHyperModel("mlp_binary"), ...)`.

    Args:
        model: A registered name.
        learning_rates: Closed range of the Adam learning rate, searched on a logarithmic scale.
        **fixed: Arguments of `zoo.build` that are the same in every trial, such as `num_classes`.
    """

    def __init__(self, model: str, *, learning_rates: tuple[float, float] = (1e-4, 1e-1), **fixed: Any) -> None:
        super().__init__(name=model)
        self._spec = zoo.info(model)
        self._learning_rates = learning_rates
        self._fixed = fixed

    def build(self, hp: Any) -> keras.Model:
        """Returns a compiled model.

        Args:
            hp: The `keras_tuner.HyperParameters` of the trial.

        Returns:
            The model, compiled with Adam and the loss of its task.

        Raises:
            ArgumentError: The task has no loss over whole rows; give `task="classification"` or "regression".
        """
        chosen = {name: value for name, value in build_arguments(hp, self._spec).items() if name not in self._fixed}
        model = zoo.build(self._spec.name, **chosen, **self._fixed)
        task = zoo.record_of(model).task
        if task not in _LOSSES:
            raise ArgumentError(f"A search compiles {', '.join(_LOSSES)}, and {self._spec.name} was built for {task}. "
                                "Name the task that you search for: ZooHyperModel(..., task='classification').")
        low, high = self._learning_rates
        rate = hp.Float("learning_rate", low, high, sampling="log")
        # XLA makes these models slower on a CPU, and Keras would choose it by itself.
        model.compile(optimizer=keras.optimizers.Adam(rate), loss=_LOSSES[task],
                      metrics=_METRICS[task], jit_compile=False)
        return model
