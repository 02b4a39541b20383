"""The hyperparameters of a training: what is worth trying for which model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tuning.spaces.dimension import Dimension
from tuning.spaces.frozen_depth import depths_to_freeze, head_learns_alone
from zoo.spec import ImagePreprocessing, ModelSpec, Task

_ADAPTIVE = ("adam", "adamw", "rmsprop")
# Plain gradient steps need a rate that is larger by about this, because nothing scales the gradient up.
_PLAIN_OVER_ADAPTIVE = 10.0
_USUAL_ADAPTIVE_RATE = 1e-3
_LOWEST_RATE_FROM_SCRATCH = 1e-4  # catalogue entries of language models tell the rate of fine-tuning
_TRANSFORMERS = ("bert", "gpt2", "transformer", "vit")
_CLASS_TASKS = ("classification", "binary_classification")
_LEAST_STEPS = 4  # of an epoch, so that one epoch is not one step
_LARGEST_GREY_ANGLE = 10  # degrees; digits and letters change their meaning in a mirror and beyond such a turn


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What decides which hyperparameters of a training make sense.

    Attributes:
        spec: The model.
        task: What it is built for.
        epochs: Epochs of a whole training.
        rows: Number of training examples, or None.
        pretrained: Whether training starts from given parameters.
    """

    spec: ModelSpec
    task: Task
    epochs: int
    rows: int | None
    pretrained: bool

    @property
    def is_transformer(self) -> bool:
        """Whether the network is made of attention."""
        return self.spec.family in _TRANSFORMERS


def training_dimensions(situation: Situation) -> tuple[Dimension, ...]:
    """Returns the hyperparameters of a training, all with the target "training".

    Args:
        situation: What decides them.
    """
    return (*_optimizing(situation), *_scheduling(situation), _batch_size(situation), *_regularising(situation),
            *_augmenting(situation), *_freezing(situation))


def _choice(name: str, *choices: object) -> Dimension:
    return Dimension(name=name, choices=choices, target="training")


# === Optimizer and its rate ===


def _optimizers(situation: Situation) -> tuple[str, ...]:
    own = situation.spec.training.optimizer
    if situation.is_transformer:
        usual: tuple[str, ...] = ("adamw", "adam")
    elif situation.spec.family == "linear":
        usual = ("sgd", "momentum", "adam")
    elif situation.spec.family == "rnn":
        usual = ("adam", "adamw", "rmsprop")
    else:
        usual = ("adam", "adamw", "momentum")
    return (own, *(name for name in usual if name != own))


def _rates(situation: Situation) -> tuple[float, float]:
    """Returns the range of the learning rate of adaptive optimizers."""
    own = situation.spec.training
    rate = own.learning_rate if own.optimizer in _ADAPTIVE else _USUAL_ADAPTIVE_RATE
    if not situation.pretrained:
        rate = max(rate, _LOWEST_RATE_FROM_SCRATCH)
        return rate / 10, rate * 10
    # The catalogue's rate is that of fine-tuning for language models, and of the head alone for pictures.
    return (rate / 5, rate * 5) if situation.spec.input_kind == "text" else (rate / 30, rate * 3)


def _optimizing(situation: Situation) -> Iterator[Dimension]:
    optimizers = _optimizers(situation)
    yield _choice("optimizer", *optimizers)
    low, high = _rates(situation)
    adaptive = tuple(name for name in optimizers if name in _ADAPTIVE)
    rate = Dimension(name="learning_rate", kind="float", low=_rounded(low), high=_rounded(high), log=True,
                     default=_rounded(math.sqrt(low * high)), target="training")
    if adaptive == optimizers:
        yield rate
        return
    yield rate.replace(parent="optimizer", parent_values=adaptive)
    low, high = low * _PLAIN_OVER_ADAPTIVE, high * _PLAIN_OVER_ADAPTIVE
    yield rate.replace(name="sgd_learning_rate", argument="learning_rate", low=_rounded(low), high=_rounded(high),
                       default=_rounded(math.sqrt(low * high)), parent="optimizer",
                       parent_values=tuple(name for name in optimizers if name not in adaptive))


def _scheduling(situation: Situation) -> Iterator[Dimension]:
    schedules = ("linear", "cosine", "constant") if situation.is_transformer else ("constant", "cosine", "linear")
    yield _choice("schedule", *schedules)
    yield _choice("warmup_epochs", 0.0, _rounded(0.1 * situation.epochs), _rounded(0.2 * situation.epochs))


def _batch_size(situation: Situation) -> Dimension:
    own = situation.spec.training.batch_size
    most = max(2, situation.rows // _LEAST_STEPS) if situation.rows else math.inf
    # Large batches of a large network seldom fit into memory; of a small one they save time.
    offered = (own // 4, own // 2, own, 2 * own) if situation.pretrained else (own // 2, own, 2 * own, 4 * own)
    sizes = tuple(size for size in offered if 2 <= size <= most) or (int(min(own, most)),)
    return Dimension(name="batch_size", choices=sizes, target="training", default=own if own in sizes else None)


# === Regularisation, augmentation, freezing ===


def _regularising(situation: Situation) -> Iterator[Dimension]:
    optimizers = _optimizers(situation)
    if "adamw" in optimizers:
        yield Dimension(name="weight_decay", kind="float", low=1e-5, high=1e-1, log=True, default=1e-2,
                        target="training", parent="optimizer", parent_values=("adamw",))
    if "l2" not in situation.spec.tunable and not situation.is_transformer and situation.spec.family != "hub":
        yield Dimension(name="l2", kind="float", low=1e-7, high=1e-3, log=True, target="training", parent="optimizer",
                        parent_values=tuple(name for name in optimizers if name != "adamw"))
    if situation.task in _CLASS_TASKS:
        yield Dimension(name="label_smoothing", kind="float", low=0.0, high=0.2, step=0.05, target="training")


def _augmenting(situation: Situation) -> Iterator[Dimension]:
    expects = situation.spec.preprocessing
    if not isinstance(expects, ImagePreprocessing) or situation.spec.family == "hub":
        return  # whether a module of TF Hub reads pictures shows when it is loaded
    if expects.channels == 1:
        turned = f"rotate:{_LARGEST_GREY_ANGLE}"
        changes = ["none", turned, f"{turned}+zoom"]
    else:
        changes = ["none", "flip", "flip+rotate:10+zoom", "randaugment"]
    if situation.task in _CLASS_TASKS:
        changes.append("mixup" if expects.channels == 1 else "flip+mixup")
    yield _choice("augmentation", *changes)


def _freezing(situation: Situation) -> Iterator[Dimension]:
    if not situation.pretrained or situation.spec.family == "hub":
        return
    depths = depths_to_freeze(situation.spec)
    if depths:
        yield _choice("frozen_layers", *depths)
    alone = sorted({0, 1, situation.epochs // 5})
    if head_learns_alone(situation.spec, situation.task) and situation.epochs > 1:
        yield _choice("frozen_epochs", *(epochs for epochs in alone if epochs < situation.epochs))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
