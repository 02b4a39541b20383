"""What a student may learn of its teacher's insides: which of their layers stand for each other, and how far apart.

The idea is that of FitNets (https://arxiv.org/abs/1412.6550) and of "patient" distillation
(https://arxiv.org/abs/1908.09355): the student's states, through a learnt projection where the widths differ, shall be
the teacher's. The distance is relative to the size of the teacher's states, so that its weight means the same in any
model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from zoo.training.feed import derived_seed
from zoo.training.layer_groups import block_of
from zoo.training.objective import HEAD

_PROJECTIONS = 5  # what the seeds of the projections are derived for


@dataclass(frozen=True)
class Stage:
    """A place in a model whose state can be compared: its name and its symbolic tensor."""

    name: str
    tensor: Any


@dataclass(frozen=True)
class Pair:
    """A student's stage and the teacher's that it shall equal, with the projection between them, if any."""

    ours: Stage
    theirs: Stage
    projection: keras.layers.Layer | None


def stages_of(model: keras.Model) -> list[Stage]:
    """Returns the ends of a functional model's blocks in their order, or what its head reads where it has no blocks."""
    ends: dict[str, Stage] = {}
    for layer in model.layers:
        block = block_of(layer.name)
        if block is not None:
            ends[block] = Stage(block, layer.output)
    if ends:
        return list(ends.values())
    names = [layer.name for layer in model.layers]
    head = model.get_layer(HEAD) if HEAD in names else model.layers[-1]
    tensor = head.input
    return [Stage(f"input of {head.name}", tensor)]


def matching(ours: int, theirs: int) -> list[int]:
    """Returns for each of our stages the number of theirs, evenly spread, the last one for the last.

    Args:
        ours: How many stages the student has, at least 1.
        theirs: How many the teacher has, at least 1.

    Returns:
        Numbers from 0, one per stage of the student: [1, 3, 5] for 3 of 6.
    """
    return [max(round((index + 1) * theirs / ours) - 1, 0) for index in range(ours)]


def hidden_pairs(student: keras.Model, teacher: keras.Model, seed: int) -> list[Pair]:
    """Pairs the stages of two functional models.

    Args:
        student: The model that learns.
        teacher: The one that it learns from.
        seed: Decides how the projections begin.

    Returns:
        One pair per stage of the student.
    """
    ours, theirs = stages_of(student), stages_of(teacher)
    if (block_of(ours[0].name) is None) != (block_of(theirs[0].name) is None):
        ours, theirs = ours[-1:], theirs[-1:]
    pairs = []
    for index, number in enumerate(matching(len(ours), len(theirs))):
        mine, other = ours[index], theirs[number]
        width, wanted = int(mine.tensor.shape[-1]), int(other.tensor.shape[-1])
        projection = None
        if width != wanted:
            start = keras.initializers.GlorotUniform(seed=derived_seed(seed, _PROJECTIONS, index))
            projection = keras.layers.Dense(wanted, use_bias=False, kernel_initializer=start,
                                            name=f"projection_{index}")
            projection.build((None, width))
        pairs.append(Pair(mine, other, projection))
    return pairs


def distance(pair: Pair, ours: Any, theirs: Any, mask: Any) -> Any:
    """Returns how far a state is from the teacher's, as a fraction of the teacher's own size.

    Args:
        pair: The two stages.
        ours: The student's state, float [N, ..., C].
        theirs: The teacher's, float [N, ..., D]; of another height and width it is brought to the student's.
        mask: int [N, L] of 1 for a token and 0 for padding, or None.

    Returns:
        float32 [].
    """
    ours, theirs = _of_one_shape(tf.cast(ours, tf.float32), tf.cast(theirs, tf.float32))
    if pair.projection is not None:
        ours = pair.projection(ours)
    apart, size = tf.square(ours - theirs), tf.square(theirs)
    if mask is not None and len(theirs.shape) == 3:
        share = tf.cast(mask, tf.float32)[..., tf.newaxis]
        apart, size = apart * share, size * share
    return tf.reduce_sum(apart) / tf.maximum(tf.reduce_sum(size), 1e-6)


def _of_one_shape(ours: Any, theirs: Any) -> tuple[Any, Any]:
    if len(ours.shape) != len(theirs.shape):
        return _mean_vector(ours), _mean_vector(theirs)
    if len(ours.shape) == 4 and ours.shape[1:3] != theirs.shape[1:3]:
        theirs = tf.image.resize(theirs, tf.shape(ours)[1:3], antialias=True)
    return ours, theirs


def _mean_vector(state: Any) -> Any:
    inner = list(range(1, len(state.shape) - 1))
    return tf.reduce_mean(state, axis=inner) if inner else state
