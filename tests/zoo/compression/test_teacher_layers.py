"""A student that begins with its teacher's layers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import zoo
from zoo.compression.teacher_layers import student_arguments, take_layers
from zoo.errors import ArgumentError
from zoo.spec import record_of
from zoo.text.bert import bert


def small_bert(layers: int, **options: Any) -> keras.Model:
    return bert(**{"vocabulary_size": 20, "hidden_size": 8, "layers": layers, "heads": 2, "max_positions": 16,
                   **options})


def by_path(model: keras.Model) -> dict[str, np.ndarray]:
    return {variable.path: variable.numpy() for variable in model.weights}


def test_every_second_block_is_taken() -> None:
    """Blocks 1 and 3 of four, the embeddings, the pooler and the head."""
    teacher, student = small_bert(4), small_bert(2)
    assert take_layers(student, teacher) == {"block_0": "block_1", "block_1": "block_3"}

    theirs = by_path(teacher)
    for path, values in by_path(student).items():
        source = path.replace("block_1/", "block_3/").replace("block_0/", "block_1/")
        np.testing.assert_array_equal(values, theirs[source])


def residual_net(blocks: int, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((8, 8, 4))
    for number in range(1, blocks + 1):
        y = keras.layers.Conv2D(4, 3, padding="same", name=f"conv2_block{number}_1_conv")(x)
        x = keras.layers.Add(name=f"conv2_block{number}_out")([x, y])
    return keras.Model(inputs, keras.layers.Dense(3, name="predictions")(keras.layers.GlobalAveragePooling2D()(x)))


def test_blocks_of_residual_networks_are_known_by_their_names() -> None:
    """The same goes for pictures, where the sizes of the blocks allow it."""
    teacher, student = residual_net(4, seed=0), residual_net(2, seed=1)
    assert take_layers(student, teacher) == {"conv2_block1": "conv2_block2", "conv2_block2": "conv2_block4"}
    np.testing.assert_array_equal(student.get_layer("conv2_block2_1_conv").kernel,
                                  teacher.get_layer("conv2_block4_1_conv").kernel)


def test_another_head_keeps_its_start() -> None:
    """A head for other classes is no reason to refuse."""
    teacher, student = small_bert(2, num_classes=5), small_bert(2)
    before = student.get_layer("predictions").kernel.numpy()
    take_layers(student, teacher)
    np.testing.assert_array_equal(student.get_layer("predictions").kernel, before)


@pytest.mark.parametrize(("student", "message"), [
    (lambda: small_bert(6), "6 of 'bert', 4 of 'bert'"),
    (lambda: small_bert(2, hidden_size=12), r"\(20, 12\).*has the shape \(20, 8\)"),
    (lambda: small_bert(2, has_pooler=True, segments=3), r"segment_embedding.*has the shape \(2, 8\)"),
])
def test_a_student_of_other_sizes_is_refused(student: Any, message: str) -> None:
    """More blocks, another width, other tables: nothing is taken, and the parameter is named."""
    model = student()
    before = by_path(model)
    with pytest.raises(ArgumentError, match=message):
        take_layers(model, small_bert(4))
    for path, values in by_path(model).items():
        np.testing.assert_array_equal(values, before[path])


def test_the_options_of_a_student_are_the_teachers_with_half_the_layers() -> None:
    """What the user gives wins; weights of its own contradict; another model has its own options."""
    record = record_of(zoo.build("bert", vocabulary_size=20, hidden_size=8, layers=4, heads=2, max_positions=16,
                                 num_classes=2))
    found = student_arguments(record, "bert", {"dropout": 0.0})
    assert {name: found[name] for name in ("hidden_size", "layers", "heads", "dropout")} == {
        "hidden_size": 8, "layers": 2, "heads": 2, "dropout": 0.0}
    assert not {"num_classes", "vocabulary_size"} & set(found)
    assert student_arguments(record, "bert", {"layers": 3})["layers"] == 3
    assert student_arguments(record, "transformer_text", {"layers": 3}) == {"layers": 3}
    with pytest.raises(ArgumentError, match="not with both"):
        student_arguments(record, "bert", {"weights": "default"})
