"""A student that begins with layers of its teacher: every second block, for half as many (as DistilBERT does).

The blocks are those of `zoo.training.layer_groups`, and the student's block takes the parameters of the teacher's block
that it is paired with for hidden states, too: blocks 1, 3 and 5 of 0 to 5 for three (https://arxiv.org/abs/1910.01108,
section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from zoo.compression.hidden_states import matching
from zoo.errors import ArgumentError
from zoo.spec import ModelRecord
from zoo.training.layer_groups import block_of, layer_groups
from zoo.training.objective import HEAD

# What the data and the user decide.
_NOT_OF_A_STUDENT = ("num_classes", "outputs", "input_shape", "task", "vocabulary_size", "vocabulary")


def take_layers(student: keras.Model, teacher: keras.Model) -> dict[str, str]:
    """Gives a student the parameters of its teacher's layers.

    Args:
        student: A model of the teacher's sizes with as many blocks or fewer; changed in place.
        teacher: Where the parameters come from.

    Returns:
        The teacher's block by the student's. A head of another shape keeps its own start.

    Raises:
        ArgumentError: The student has more blocks or none, or its parameters have other names or shapes.
    """
    blocks = _chosen_blocks(student, teacher)
    known = {variable.path: variable for variable in teacher.weights}
    found: list[tuple[Any, Any]] = []
    for variable in student.weights:
        own = block_of(variable.path)
        path = variable.path if own is None else variable.path.replace(own, blocks[own], 1)
        source = known.get(path)
        if source is not None and tuple(source.shape) == tuple(variable.shape):
            found.append((variable, source))
        elif not _of_head(variable.path):
            theirs = "has none" if source is None else f"has the shape {tuple(source.shape)}"
            raise ArgumentError(f"The student's parameter {variable.path!r} has the shape {tuple(variable.shape)}, and "
                                f"the teacher's {path!r} {theirs}. Only a student of the teacher's sizes can begin "
                                "with its layers: build it with the teacher's options and fewer layers.")
    for variable, source in found:
        variable.assign(source.value)
    return blocks


def student_arguments(teacher: ModelRecord, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of a student that can begin with its teacher's layers: the same sizes and half the layers.

    Args:
        teacher: The teacher's record.
        name: The student's registered name.
        given: Options that the user gives; they win.

    Returns:
        Arguments of `zoo.build`; `given` alone where the teacher is another kind of model.

    Raises:
        ArgumentError: Weights are given, too.
    """
    if given.get("weights") is not None:
        raise ArgumentError("A student begins with its teacher's layers or with `weights`, not with both. Leave one "
                            "out.")
    if name != teacher.name:
        return dict(given)
    own = {option: value for option, value in teacher.arguments.items() if option not in _NOT_OF_A_STUDENT}
    if isinstance(own.get("layers"), int):
        own["layers"] = max(own["layers"] // 2, 1)
    return {**own, **given}


def _chosen_blocks(student: keras.Model, teacher: keras.Model) -> dict[str, str]:
    ours, theirs = _blocks(student), _blocks(teacher)
    if not ours or not theirs or len(ours) > len(theirs):
        raise ArgumentError("A student begins with some of its teacher's blocks, so it needs blocks, and not more than "
                            f"the teacher. Received: {len(ours)} of {student.name!r}, {len(theirs)} of "
                            f"{teacher.name!r}.")
    return {own: theirs[number] for own, number in zip(ours, matching(len(ours), len(theirs)), strict=True)}


def _blocks(model: keras.Model) -> list[str]:
    groups = layer_groups(model)
    names = {groups.depth(variable): block for variable in model.weights
             if (block := block_of(variable.path)) is not None}
    return [names[depth] for depth in sorted(names)]


def _of_head(path: str) -> bool:
    return path.partition("/")[0] == HEAD
