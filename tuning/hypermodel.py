"""A registered model as a KerasTuner hypermodel: hyperparameters in, a compiled Keras model out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

import zoo
from tuning.spaces import SearchSpace, space_of
from zoo.errors import ArgumentError, MissingDependencyError
from zoo.training import TrainingConfig
from zoo.training.fine_tuning import kernel_penalties
from zoo.training.optimizers import optimizer_for
from zoo.training.schedules import schedule_for

try:
    import keras_tuner
    import tensorflow as tf
except ImportError as error:
    raise MissingDependencyError("keras-tuner", "tune", "Searching for hyperparameters") from error

# Where each task is compiled with these, as zoo.training does.
_LOSSES = {"classification": "sparse_categorical_crossentropy", "binary_classification": "binary_crossentropy",
           "regression": "mse"}
_METRICS = {"classification": ["accuracy"], "binary_classification": ["accuracy"], "regression": ["mae"]}

# What a plain `model.fit` can do. Augmentation, smoothed labels and frozen layers need the training of `zoo tune`.
_HONOURED = ("optimizer", "learning_rate", "schedule", "warmup_epochs", "batch_size", "weight_decay", "l2")


class ZooHyperModel(keras_tuner.HyperModel):  # type: ignore[misc]
    """Builds, compiles and trains one registered model with hyperparameters from its search space.

    Any KerasTuner tuner takes it: `keras_tuner.RandomSearch(ZooHyperModel("mlp_binary"), ...)`. Searched are the
    model's own arguments, and of the training what `model.fit` can do: optimizer, learning rate, schedule, warm-up,
    batch size and penalties. (`zoo tune` searches augmentation, label smoothing and frozen depth, too.)

    Args:
        model: A registered name.
        space: The space; None takes that of the catalog. Of any other training argument than those above it may
            hold none.
        settings: Changes of the space, as `SearchSpace.changed` takes them.
        learning_rates: Closed range of the learning rate, searched on a logarithmic scale; None takes the space's.
        **fixed: Arguments of `zoo.build` that are the same in every trial, such as `num_classes`.

    Attributes:
        space: What is searched.

    Raises:
        ArgumentError: The space does not fit the model, or holds what `model.fit` cannot do.
    """

    def __init__(self, model: str, *, space: SearchSpace | None = None, settings: Mapping[str, Any] | None = None,
                 learning_rates: tuple[float, float] | None = None, **fixed: Any) -> None:
        super().__init__(name=model)
        self._spec = zoo.info(model)
        self._fixed = fixed
        self._name = model
        self._counted: tuple[Any, int] | None = None
        changes = dict(settings or {})
        if learning_rates is not None:
            changes["learning_rate"] = {"low": learning_rates[0], "high": learning_rates[1], "log": True}
        self.space = (_plain(space_of(model, build=fixed)) if space is None else space).changed(changes)
        _require_honoured(self.space)

    def build(self, hp: Any) -> keras.Model:
        """Returns a compiled model.

        Args:
            hp: The `keras_tuner.HyperParameters` of the trial.

        Returns:
            The model, compiled with the trial's optimizer and the loss of its task. Its learning rate is constant;
            `fit` knows the number of steps and gives it its schedule.

        Raises:
            ArgumentError: The task has no loss over whole rows; give `task="classification"` or "regression".
        """
        self.space.register(hp)
        arguments, training, _ = self._arguments(hp)
        model = zoo.build(self._name, **{**arguments, **self._fixed})
        task = zoo.record_of(model).task
        if task not in _LOSSES:
            raise ArgumentError(f"A search compiles {', '.join(_LOSSES)}, and {self._spec.name} was built for {task}. "
                                "Name the task that you search for: ZooHyperModel(..., task='classification').")
        _compile(model, self._config(training), task)
        return model

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        """Trains a model that `build` returned.

        Args:
            hp: The trial's hyperparameters.
            model: The compiled model.
            *args: Those of `model.fit`.
            **kwargs: Those of `model.fit`. A `batch_size` that is given here, or data that come in batches from a
                generator, are kept as they are; a `tf.data.Dataset` is batched anew, after its rows were counted once.

        Returns:
            What `model.fit` returns.
        """
        _, training, _ = self._arguments(hp)
        config = self._config({**training, "epochs": max(int(kwargs.get("epochs", 1)), 1)})
        given = dict(zip(("x", "y", "batch_size"), args, strict=False)) | kwargs
        if "batch_size" in training:
            given = self._batched(given, config.batch_size)
        if config.schedule != "constant" or config.warmup_epochs:
            _compile(model, config, zoo.record_of(model).task, steps_per_epoch=_steps(given))
        with kernel_penalties(model, config.l1, config.l2):
            return model.fit(*args[3:], **given)

    def _batched(self, given: dict[str, Any], batch_size: int) -> dict[str, Any]:
        x = given.get("x")
        if not isinstance(x, tf.data.Dataset):
            return given if _in_batches(x) else {"batch_size": batch_size, **given}
        if self._counted is None or self._counted[0] is not x:
            self._counted = (x, sum(int(tf.shape(keras.tree.flatten(batch)[0])[0]) for batch in x))
        # Keras would warn of a dataset that does not tell its length.
        length = tf.data.experimental.assert_cardinality(-(-self._counted[1] // batch_size))
        return {"shuffle": False, **given, "x": x.rebatch(batch_size).apply(length)}  # a dataset shuffles itself

    def _arguments(self, hp: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return self.space.split({name: value for name, value in hp.values.items() if name in self.space})

    def _config(self, training: Mapping[str, Any]) -> TrainingConfig:
        # A warm-up is laid out for the epochs of the space and cut to shorter trainings.
        epochs = training.get("epochs", self._spec.training.epochs)
        warmup = min(training.get("warmup_epochs", 0.0), epochs / 2)
        return TrainingConfig.for_spec(self._spec.training, **{**training, "epochs": epochs, "warmup_epochs": warmup})


def _plain(space: SearchSpace) -> SearchSpace:
    return space.only([d.name for d in space.dimensions if d.target == "build" or d.sets in _HONOURED])


def _require_honoured(space: SearchSpace) -> None:
    for dimension in space.dimensions:
        if dimension.target == "data" or (dimension.target == "training" and dimension.sets not in _HONOURED):
            raise ArgumentError(f"A KerasTuner search calls `model.fit`, which has no {dimension.sets!r}. It may hold "
                                f"{', '.join(_HONOURED)}. Leave {dimension.name!r} out, or search with `zoo tune`.")


def _compile(model: keras.Model, config: TrainingConfig, task: str, steps_per_epoch: int = 0) -> None:
    if not steps_per_epoch:
        config = config.replace(schedule="constant", warmup_epochs=0.0)
    schedule = schedule_for(config, peak=config.learning_rate, epochs=config.epochs,
                            steps_per_epoch=max(steps_per_epoch, 1))
    # XLA makes these models slower on a CPU, and Keras would choose it by itself.
    model.compile(optimizer=optimizer_for(config, schedule, model), loss=_LOSSES[task], metrics=_METRICS[task],
                  jit_compile=False)


def _in_batches(x: Any) -> bool:
    return isinstance(x, tf.data.Dataset | keras.utils.PyDataset) or hasattr(x, "__next__")


def _steps(given: Mapping[str, Any]) -> int:
    """Returns the steps of an epoch."""
    if given.get("steps_per_epoch"):
        return int(given["steps_per_epoch"])
    x = given["x"]
    if isinstance(x, tf.data.Dataset):
        known = int(x.cardinality())
        return known if known >= 0 else sum(1 for _ in x)
    if isinstance(x, keras.utils.PyDataset):
        return len(x)
    if _in_batches(x):
        raise ArgumentError("A schedule needs to know the steps of an epoch, which a generator does not tell. Give "
                            "`steps_per_epoch`, or leave schedule and warm-up out of the space.")
    rows = int(keras.tree.flatten(x)[0].shape[0])
    rows -= int(rows * float(given.get("validation_split") or 0.0))
    return -(-rows // int(given.get("batch_size") or 32))
