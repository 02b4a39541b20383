"""Runs a model over a split and collects what it says, checked before anything is computed from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from zoo.errors import ArgumentError, DataError

Progress = Callable[[int, int], None]
"""Called with (examples done, examples in all) after every batch."""

TASKS = ("classification", "binary_classification", "regression")
_SUM_TOLERANCE = 0.02  # a half-precision softmax over 1000 classes is off by about 0.01
_ROWS = 8192  # examples looked at together, so that checks copy little


class EvaluationSplit(Protocol):
    """The part of a dataset that is judged: batches of (inputs, targets) in a fixed order, and where each came from."""

    @property
    def count(self) -> int:
        """Number of examples."""

    def batches(self, batch_size: int) -> Any:
        """Returns an unshuffled tf.data.Dataset of (inputs, targets) with all examples."""

    def examples(self) -> Sequence[str]:
        """Returns the source of each example (a file's path, "table.csv:12") in the order of the batches."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model said about a split, and the truth.

    Attributes:
        outputs: float32 [N, C] probabilities, [N, 1] probability of the second label (binary), [N, k] values.
        targets: int64 [N] class indices, or float64 [N, k] (regression).
        sources: Where each example came from, N strings.
    """

    outputs: NDArray[np.float32]
    targets: NDArray[np.int64] | NDArray[np.float64]
    sources: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of examples N."""
        return len(self.sources)


def predict(model: Any, split: EvaluationSplit | None, *, task: str, batch_size: int = 32,
            progress: Progress | None = None) -> Predictions:
    """Runs the model over every example of a split by one compiled graph.

    The outputs are written into one array as they come, so they are held once.

    Args:
        model: A keras.Model with one output, compiled or not.
        split: The examples.
        task: "classification", "binary_classification" or "regression".
        batch_size: Examples per step.
        progress: Called after every batch.

    Returns:
        The outputs and targets in the order of `split.examples()`.

    Raises:
        ArgumentError: A task that cannot be judged, or a model that does not fit the task or the inputs.
        DataError: An empty split, targets that do not fit the task, or predictions that are not finite.
    """
    _check_task(task)
    split, sources = checked_split(split, batch_size)
    batches = split.batches(batch_size)
    step = compiled(model, batches.element_spec[0])
    outputs: NDArray[np.float32] | None = None
    targets: list[NDArray[Any]] = []
    done = 0
    for element in batches:
        output, target = step(element[0]).numpy(), np.asarray(element[1])
        if outputs is None:
            output_shape = _output_shape(output, task)
            outputs = np.empty((len(sources), *output_shape), dtype=np.float32)
        _check_batch(output, target, done, len(sources))
        outputs[done:done + len(output)] = output.reshape(len(output), -1)
        targets.append(_target(target, task, outputs.shape[1]))
        done += len(output)
        if progress is not None:
            progress(done, len(sources))
    if outputs is None or done != len(sources):
        raise DataError(f"The split says that it has {len(sources)} examples, but its batches held {done}.")
    predictions = Predictions(outputs, np.concatenate(targets), sources)
    check_predictions(predictions, task)
    return predictions


def check_predictions(predictions: Predictions, task: str) -> None:
    """Refuses outputs and targets that no metric can be computed from.

    Args:
        predictions: What the model said and the truth.
        task: The task that they belong to.

    Raises:
        ArgumentError: Outputs that are no probabilities although the task needs them.
        DataError: No examples, outputs or targets that are not finite, or a class index out of range.
    """
    _check_task(task)
    if predictions.count == 0 or len(predictions.outputs) != predictions.count:
        raise DataError(f"There is nothing to evaluate: {predictions.count} examples and "
                        f"{len(predictions.outputs)} predictions.")
    _check_finite("predictions", predictions.outputs, predictions.sources,
                  "The model's weights or its inputs hold NaN or infinity: look for a training run that diverged, "
                  "or for missing values in the data")
    if task == "regression":
        _check_finite("targets", predictions.targets, predictions.sources, "Remove or repair these rows")
        return
    classes = 2 if task == "binary_classification" else predictions.outputs.shape[1]
    _check_classes(predictions.targets, classes, predictions.sources)
    _check_probabilities(predictions.outputs, task)


# === Before the run ===


def _check_task(task: str) -> None:
    if task not in TASKS:
        raise ArgumentError(f"Only models with an answer can be evaluated. Expected `task` to be one of "
                            f"{', '.join(TASKS)}. Received: {task!r}")


def checked_split(split: EvaluationSplit | None, batch_size: int) -> tuple[EvaluationSplit, tuple[str, ...]]:
    """Returns a split that has examples, and the source of each.

    Raises:
        ArgumentError: `batch_size` below 1.
        DataError: An empty split, or one that names more or fewer sources.
    """
    if batch_size < 1:
        raise ArgumentError(f"`batch_size` must be at least 1 example. Received: {batch_size}")
    if split is None or split.count == 0:
        raise DataError("The split to evaluate on has no examples. Give a larger share of the data to it, or name "
                        "another split.")
    sources = tuple(split.examples())
    if len(sources) != split.count:
        raise DataError(f"The split has {split.count} examples but names the sources of {len(sources)}.")
    return split, sources


def compiled(model: Any, input_spec: Any) -> Any:
    """Returns a graph function inputs -> float32 outputs that takes any batch size without a second trace.

    Args:
        model: A keras.Model with one output.
        input_spec: tf.TensorSpec of its inputs, or a dict of such.

    Raises:
        ArgumentError: The model does not take such inputs, or has several outputs.
    """
    # `model.predict` would do, but it compiles with XLA where Keras thinks that it pays, and keeps every batch.
    free = tf.nest.map_structure(lambda spec: tf.TensorSpec([None, *spec.shape[1:]], spec.dtype), input_spec)

    @tf.function(input_signature=[free], jit_compile=False, autograph=False)  # type: ignore[untyped-decorator]
    def step(inputs: Any) -> Any:
        outputs = model(inputs, training=False)
        if not tf.is_tensor(outputs):
            raise ArgumentError(f"A model with one output can be evaluated. Received one that returns a "
                                f"{type(outputs).__name__}.")
        return tf.cast(outputs, tf.float32)

    try:
        step.get_concrete_function()
    except (ValueError, TypeError) as error:
        if isinstance(error, ArgumentError):
            raise
        shapes = tf.nest.map_structure(lambda spec: tuple(spec.shape), free)
        raise ArgumentError(f"The model {getattr(model, 'name', model)!r} does not accept the split's inputs of shape "
                            f"{shapes}. Prepare the data with the model's own preprocessing. {_first_line(error)}"
                            ) from error
    return step


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


# === During the run ===


def _output_shape(output: NDArray[Any], task: str) -> tuple[int, ...]:
    """Checks the first batch's output against the task and returns the columns that a row of it has."""
    if output.ndim < 2 or (task != "regression" and output.ndim != 2):
        raise ArgumentError(f"The output of a {task} model has the shape [examples, "
                            f"{'values' if task == 'regression' else 'classes'}]. Received: {output.shape}")
    if task == "classification" and output.shape[1] == 1:
        raise ArgumentError("A classification model gives one probability per class, but this one has a single "
                            "output. Evaluate it as task='binary_classification' or 'regression'.")
    if task == "binary_classification" and output.shape[1] != 1:
        raise ArgumentError(f"A binary model has one output, the probability of the second label, but this one has "
                            f"{output.shape[1]}. Evaluate it as task='classification'.")
    return (int(np.prod(output.shape[1:])),)


def _check_batch(output: NDArray[Any], target: NDArray[Any], done: int, count: int) -> None:
    if len(output) != len(target):
        raise ArgumentError(f"The model answered {len(output)} examples for a batch of {len(target)}.")
    if done + len(output) > count:
        raise DataError(f"The split says that it has {count} examples, but its batches hold more.")


def _target(target: NDArray[Any], task: str, width: int) -> NDArray[Any]:
    """Returns class indices int64 [n] or values float64 [n, width]."""
    flat = target.reshape(len(target), -1)
    if task == "regression":
        if flat.shape[1] != width:
            raise DataError(f"The model predicts {width} values per example but the targets have {flat.shape[1]}.")
        return flat.astype(np.float64)
    if not np.issubdtype(target.dtype, np.integer) or flat.shape[1] != 1:
        raise DataError(f"The targets of a {task} split are one integer class index per example. Received: "
                        f"{target.dtype} of shape {target.shape}")
    return flat[:, 0].astype(np.int64)


# === After the run ===


def _check_finite(what: str, values: NDArray[Any], sources: Sequence[str], remedy: str) -> None:
    bad = np.concatenate([~np.isfinite(values[start:start + _ROWS]).all(axis=1)
                          for start in range(0, len(values), _ROWS)])
    if bad.any():
        raise DataError(f"The {what} for {int(bad.sum())} of {len(values)} examples are not finite numbers (first: "
                        f"{sources[int(bad.argmax())]}). {remedy}.")


def _check_classes(targets: NDArray[Any], classes: int, sources: Sequence[str]) -> None:
    outside = (targets < 0) | (targets >= classes)
    if outside.any():
        first = int(outside.argmax())
        raise DataError(f"{int(outside.sum())} of {len(targets)} targets are no class index in [0, {classes}): the "
                        f"first is {int(targets[first])} ({sources[first]}). The data and the model must have the "
                        "same classes.")


def _check_probabilities(outputs: NDArray[np.float32], task: str) -> None:
    low, high = float(outputs.min()), float(outputs.max())
    if low < -_SUM_TOLERANCE or high > 1.0 + _SUM_TOLERANCE:
        activation = "sigmoid" if task == "binary_classification" else "softmax"
        raise ArgumentError(f"The model's outputs are no probabilities: they lie in [{low:.4g}, {high:.4g}], not in "
                            f"[0, 1]. If they are logits, build it with classifier_activation={activation!r}.")
    if task == "classification":
        sums = outputs.sum(axis=1, dtype=np.float64)
        worst = float(sums[np.abs(sums - 1.0).argmax()])
        if abs(worst - 1.0) > _SUM_TOLERANCE:
            raise ArgumentError(f"The model's outputs are no probabilities: one example's sum is {worst:.4g}, not 1. "
                                "Build the model with classifier_activation='softmax'.")
