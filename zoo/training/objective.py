"""What is minimised and measured, decided by the model's task: loss, metrics and the form of the targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.spec import ModelRecord, Task
from zoo.training.config import TrainingConfig
from zoo.training.pair_objective import DEFAULT_SCALE, PAIR_KINDS, PairLearning
from zoo.training.protocols import TrainingData
from zoo.training.token_objective import LANGUAGE_TASKS, TOKEN_TASKS, Perplexity, TokenAccuracy, TokenCrossEntropy

HEAD = "predictions"
MIN_CLASSES_FOR_TOP_5 = 6


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Loss, metrics and target form of one training run.

    Attributes:
        task: The model's task; never "features".
        outputs: Size of the model's last axis: C classes or tags, 1 for binary, k values for regression, the
            vocabulary for language models, the width of embeddings.
        from_logits: Whether the head has no softmax or sigmoid.
        soft: Whether class targets are distributions float32 [N, C] rather than indices int32 [N].
        label_smoothing: Share of each training target spread evenly over the classes. Only training targets are
            smoothed, so that "val_loss" stays the plain cross-entropy.
        threshold: Probability from which a binary classifier says yes.
        class_weights: Weight of each class in index order, or () for none.
        pairs: How an embedding learns from pairs; None for other tasks.
    """

    task: Task
    outputs: int
    from_logits: bool = False
    soft: bool = False
    label_smoothing: float = 0.0
    threshold: float = 0.5
    class_weights: tuple[float, ...] = ()
    pairs: PairLearning | None = None

    def loss(self) -> keras.losses.Loss:
        """Returns the loss to compile with."""
        if self.pairs is not None:
            return self.pairs.loss()
        if self.task == "regression":
            return keras.losses.MeanSquaredError()
        if self.task in TOKEN_TASKS:
            return TokenCrossEntropy(self.from_logits)
        if self.task == "binary_classification":
            return keras.losses.BinaryCrossentropy(from_logits=self.from_logits)
        if self.soft:
            return keras.losses.CategoricalCrossentropy(from_logits=self.from_logits)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=self.from_logits)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Returns new metrics to compile with, under the names that `TrainingConfig.monitor` knows."""
        if self.pairs is not None:
            return self.pairs.metrics()
        if self.task == "regression":
            return [keras.metrics.MeanAbsoluteError(name="mae")]
        if self.task in TOKEN_TASKS:
            return [TokenAccuracy(), *([Perplexity(self.from_logits)] if self.task in LANGUAGE_TASKS else [])]
        if self.task == "binary_classification":
            return [_HardBinaryAccuracy(self.threshold, self.from_logits), _HardAUC(self.from_logits)]
        accuracy, top_5 = ((keras.metrics.CategoricalAccuracy, keras.metrics.TopKCategoricalAccuracy) if self.soft else
                           (keras.metrics.SparseCategoricalAccuracy, keras.metrics.SparseTopKCategoricalAccuracy))
        wide = self.outputs >= MIN_CLASSES_FOR_TOP_5
        return [accuracy(name="accuracy")] + ([top_5(k=5, name="top_5_accuracy")] if wide else [])

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the loss and the metrics."""
        return ("loss", *(metric.name for metric in self.metrics()))

    def training_example(self, inputs: Any, targets: Any) -> tuple[Any, ...]:
        """Turns one batch of a split into what the train step takes, inside a tf.data graph.

        Args:
            inputs: Passed through.
            targets: int32 [N] indices, float32 [N, C] distributions, float32 [N, k] values, or what pairs have.

        Returns:
            (inputs, targets), or (inputs, targets, weights float32 [N]) where classes are weighted.
        """
        plain = self._targets(targets)
        smooth = plain
        if self.label_smoothing:
            classes = 2 if self.task == "binary_classification" else self.outputs
            smooth = plain * (1.0 - self.label_smoothing) + self.label_smoothing / classes
        return (inputs, smooth, self._weights(plain)) if self.class_weights else (inputs, smooth)

    def validation_example(self, inputs: Any, targets: Any) -> tuple[Any, ...]:
        """Turns one batch of a split into what the test step takes: neither smoothed nor weighted."""
        return inputs, self._targets(targets)

    def _targets(self, targets: Any) -> Any:
        if self.pairs is not None:
            return self.pairs.targets(targets)
        if self.task in TOKEN_TASKS:
            return targets
        if self.task == "regression":
            return tf.cast(targets, tf.float32)
        if self.task == "binary_classification":
            # Mixup and one-column tables give [N, 1] already.
            return tf.reshape(tf.cast(targets, tf.float32), [-1, 1])
        if self.soft and targets.dtype.is_integer:
            return tf.one_hot(targets, self.outputs, dtype=tf.float32)
        return targets

    def _weights(self, targets: Any) -> Any:
        weights = tf.constant(self.class_weights, tf.float32)
        if self.task == "binary_classification":
            share = tf.reshape(targets, [-1])
            return weights[0] * (1.0 - share) + weights[1] * share
        if targets.dtype.is_integer:
            return tf.gather(weights, targets)
        return tf.linalg.matvec(targets, weights)


# === The choice ===


def objective_for(model: keras.Model, record: ModelRecord, data: TrainingData, config: TrainingConfig) -> Objective:
    """Returns the objective that fits the model's task, after a check that the data fit too.

    Raises:
        ArgumentError: The model has no head, or its classes or outputs are not those of the data.
    """
    if record.task == "features":
        raise ArgumentError(f"The model {record.name!r} has no head to train. Build it with include_top=True.")
    if len(model.outputs) != 1:
        raise ArgumentError(f"Training needs a model with one output. {record.name!r} has {len(model.outputs)}.")
    outputs = int(model.outputs[0].shape[-1])
    if record.task == "embedding" or data.target_kind in PAIR_KINDS:
        _check_pairs(model, record, data, config)
    else:
        _check_labels(record, data, outputs)
    if record.task not in ("classification", "binary_classification") and (config.label_smoothing
                                                                           or config.class_weights):
        name = "label_smoothing" if config.label_smoothing else "class_weights"
        raise ArgumentError(f"`{name}` belongs to classification; {record.name!r} is "
                            f"{'an' if record.task == 'embedding' else 'a'} {record.task.replace('_', ' ')} model.")
    pairs = _pair_learning(record, data, config)
    mixed = any(change.name == "mixup" for change in config.augmentation)
    logits = record.task in LANGUAGE_TASKS or gives_logits(model)
    return Objective(task=record.task, outputs=outputs, from_logits=logits,
                     soft=bool(config.label_smoothing) or mixed, label_smoothing=config.label_smoothing,
                     threshold=record.threshold, pairs=pairs,
                     class_weights=_weight_list(data.class_weights, len(data.labels)) if config.class_weights else ())


def monitored(config: TrainingConfig, objective: Objective, *, validated: bool) -> str:
    """Returns the measure that decides which epoch is best.

    Raises:
        ArgumentError: The task has no such measure.
    """
    name = config.monitor.removeprefix("val_")
    if name not in objective.measures:
        raise ArgumentError(f"`monitor` asks for {config.monitor!r}, which a {objective.task} run with "
                            f"{objective.outputs} outputs does not measure. It has: {', '.join(objective.measures)}, "
                            "each also with 'val_'.")
    return config.monitor if validated else name


def higher_is_better(measure: str) -> bool:
    """Tells whether more of a measure is better."""
    return measure.removeprefix("val_") not in ("loss", "mae", "perplexity")


def _check_labels(record: ModelRecord, data: TrainingData, outputs: int) -> None:
    expected_kind = "tokens" if record.task in TOKEN_TASKS else "float" if record.task == "regression" else "index"
    if data.target_kind != expected_kind:
        raise ArgumentError(f"The {record.task} model {record.name!r} learns from targets of the kind "
                            f"{expected_kind!r}; the data have {data.target_kind!r}.")
    if record.task in ("regression", *LANGUAGE_TASKS):
        return
    classes = 2 if record.task == "binary_classification" else outputs
    if len(data.labels) != classes:
        listed = ", ".join(data.labels[:10]) + (", ..." if len(data.labels) > 10 else "")
        raise ArgumentError(f"The model {record.name!r} tells {classes} classes apart and the data have "
                            f"{len(data.labels)}: {listed}. Build the model with num_classes={len(data.labels)}.")
    if record.labels and tuple(record.labels) != tuple(data.labels):
        first = next(i for i, pair in enumerate(zip(record.labels, data.labels, strict=True)) if pair[0] != pair[1])
        raise ArgumentError(f"The model's class {first} is {record.labels[first]!r}, the data's is "
                            f"{data.labels[first]!r}: an index would change its meaning. Build the model with "
                            "labels=data.labels.")


def _check_pairs(model: keras.Model, record: ModelRecord, data: TrainingData, config: TrainingConfig) -> None:
    if record.task != "embedding" or data.target_kind not in PAIR_KINDS or len(model.outputs[0].shape) != 2:
        raise ArgumentError("Pairs of texts (targets of the kind 'pairs' or 'scored_pairs') and models for the task "
                            f"'embedding' go together. Received: {data.target_kind!r} for {record.name!r}, a model for "
                            f"{record.task!r} of the output shape {tuple(model.outputs[0].shape)}.")
    if data.target_kind == "pairs" and (config.batch_size < 2 or (data.train is not None and data.train.count < 2)):
        raise ArgumentError("A pair without a score learns from the other pairs of its batch, so `batch_size` must be "
                            f"at least 2, and so must be the pairs. Received: batch_size={config.batch_size}, "
                            f"{data.train.count if data.train else 0} pairs.")


def _pair_learning(record: ModelRecord, data: TrainingData, config: TrainingConfig) -> PairLearning | None:
    unscored = record.task == "embedding" and data.target_kind == "pairs"
    if not unscored and (config.similarity_scale is not None or config.symmetric_pairs):
        name = "symmetric_pairs" if config.symmetric_pairs else "similarity_scale"
        raise ArgumentError(f"`{name}` is for embeddings that learn from pairs without a score. Leave it out.")
    if record.task != "embedding":
        return None
    scale = DEFAULT_SCALE if config.similarity_scale is None else config.similarity_scale
    return PairLearning(scored=not unscored, scale=scale, symmetric=config.symmetric_pairs)


def _weight_list(weights: Mapping[int, float], classes: int) -> tuple[float, ...]:
    missing = [index for index in range(classes) if index not in weights]
    if missing:
        raise ArgumentError(f"`class_weights` is on, but the data give no weight for class {missing[0]}.")
    return tuple(float(weights[index]) for index in range(classes))


def gives_logits(model: keras.Model) -> bool:
    """Tells whether the last layer that has an activation has the linear one."""
    names = [layer.name for layer in model.layers]
    head = model.get_layer(HEAD) if HEAD in names else model.layers[-1]
    return getattr(head, "activation", None) is keras.activations.linear


# === Metrics that take smoothed and mixed targets ===


class _HardBinaryAccuracy(keras.metrics.MeanMetricWrapper):  # type: ignore[misc]
    """Share of examples on the right side of the threshold; a soft target counts as the nearer class."""

    def __init__(self, threshold: float, from_logits: bool) -> None:
        def matches(targets: Any, outputs: Any) -> Any:
            probabilities = keras.ops.sigmoid(outputs) if from_logits else outputs
            right = keras.ops.equal(targets >= 0.5, probabilities >= threshold)
            return keras.ops.mean(keras.ops.cast(right, "float32"), axis=-1)

        super().__init__(fn=matches, name="accuracy", dtype="float32")


class _HardAUC(keras.metrics.AUC):  # type: ignore[misc]
    """Area under the ROC curve; a soft target counts as the nearer class."""

    def __init__(self, from_logits: bool) -> None:
        super().__init__(name="auc", from_logits=from_logits, dtype="float32")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().update_state(keras.ops.cast(y_true >= 0.5, "float32"), y_pred, sample_weight)
