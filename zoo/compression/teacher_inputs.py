"""From a student's batch to its teacher's: another size, scale or order of channels, and for texts the same ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.spec import ImagePreprocessing, ModelRecord, Preprocessing


def inputs_for_teacher(student: ModelRecord, teacher: ModelRecord, model: keras.Model) -> Callable[[Any], Any]:
    """Returns what turns a batch of the student's into one that the teacher takes, inside a graph.

    Args:
        student: The student's record.
        teacher: The teacher's.
        model: The teacher.

    Returns:
        A function from the batch as the train step has it to the teacher's input.

    Raises:
        ArgumentError: The two read different things, or texts and tables in different ways.
    """
    if student.input_kind != teacher.input_kind:
        raise ArgumentError(f"The student {student.name!r} reads {student.input_kind} inputs and the teacher "
                            f"{teacher.name!r} {teacher.input_kind} inputs. Choose a teacher for the same data.")
    ours, theirs = student.preprocessing, teacher.preprocessing
    if isinstance(ours, ImagePreprocessing) and isinstance(theirs, ImagePreprocessing):
        if ours == theirs:
            return lambda inputs: inputs
        return lambda inputs: pictures_for(inputs, ours, theirs)
    _require_same_reading(student, teacher)
    names = [tensor.name for tensor in model.inputs]

    def chosen(inputs: Any) -> Any:
        if not isinstance(inputs, dict):
            return inputs
        missing = [name for name in names if name not in inputs]
        if missing:
            raise ArgumentError(f"The teacher {teacher.name!r} takes the input {missing[0]!r}, and the batches have "
                                f"{', '.join(sorted(inputs))}. Choose a student of the teacher's kind.")
        return {name: inputs[name] for name in names}

    return chosen


def pictures_for(pictures: Any, ours: ImagePreprocessing, theirs: ImagePreprocessing) -> Any:
    """Turns normalised pictures into those of another preprocessing.

    Args:
        pictures: float [N, H, W, C] as `ours` makes them.
        ours: How they were made.
        theirs: What they shall be. The part of a picture that is seen stays the student's.

    Returns:
        float32 [N, theirs.height, theirs.width, theirs.channels].
    """
    x = (tf.cast(pictures, tf.float32) * _row(ours.std, 1.0) + _row(ours.mean, 0.0)) / ours.scale
    if (ours.height, ours.width) != (theirs.height, theirs.width):
        x = tf.image.resize(x, (theirs.height, theirs.width), method=theirs.interpolation,
                            antialias=theirs.antialias)
    if ours.channels == 3 and ours.channel_order == "bgr":
        x = x[..., ::-1]
    if ours.channels == 1 and theirs.channels == 3:
        x = tf.repeat(x, 3, axis=-1)
    if ours.channels == 3 and theirs.channels == 1:
        x = tf.image.rgb_to_grayscale(x)
    if theirs.channels == 3 and theirs.channel_order == "bgr":
        x = x[..., ::-1]
    return (x * theirs.scale - _row(theirs.mean, 0.0)) / _row(theirs.std, 1.0)


def _row(values: tuple[float, ...], default: float) -> Any:
    return tf.constant(values or (default,), tf.float32)


def _require_same_reading(student: ModelRecord, teacher: ModelRecord) -> None:
    ours, theirs = student.preprocessing, teacher.preprocessing
    if type(ours) is not type(theirs) or _without_length(ours) != _without_length(theirs):
        raise ArgumentError(f"The student {student.name!r} would read the examples in another way than its teacher "
                            f"{teacher.name!r} (another vocabulary, other columns or other statistics). Build it with "
                            "the teacher's preprocessing, as `zoo train --teacher` does for a model of the same kind.")


def _without_length(preprocessing: Preprocessing) -> dict[str, Any]:
    return {name: value for name, value in vars(preprocessing).items() if name != "max_length"}
