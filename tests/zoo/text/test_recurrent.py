from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.symbolic import without_values
from zoo.errors import ArgumentError
from zoo.text.recurrent import rnn_text

SMALL: dict[str, Any] = {"vocabulary": "words", "vocabulary_size": 30, "embedding_size": 6, "units": 5,
                         "input_shape": (None,)}
PIECES = SMALL | {"vocabulary": "wordpiece"}
TOKENS = np.array([[2, 3, 4], [29, 1, 5]], "int32")


def test_parameter_count_by_hand() -> None:
    """Embedding, LSTM and head: vocabulary x 64, 4 gates of (64 + 64 + 1) x 64, 65 x 2."""
    with without_values():
        assert rnn_text().count_params() == 20000 * 64 + 4 * (64 + 64 + 1) * 64 + 65 * 2 == 1_313_154


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", [None, "avg", "max"])
def test_padding_changes_nothing(cell: str, bidirectional: bool, pooling: str | None) -> None:
    """A text has the same answer with and without padding behind it."""
    model = rnn_text(**SMALL, cell=cell, bidirectional=bidirectional, pooling=pooling)
    padded = np.pad(TOKENS, ((0, 0), (0, 4)))
    np.testing.assert_allclose(model(TOKENS), model(padded), atol=1e-6)
    assert np.isfinite(model(np.zeros((1, 3), "int32"))).all()  # an empty text


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", [None, "avg", "max"])
def test_padding_of_word_pieces_changes_nothing(bidirectional: bool, pooling: str | None) -> None:
    """The mask says what padding is, whatever the id of the padding."""
    keras.utils.set_random_seed(3)  # some weights let a maximum over time ignore every further token
    model = rnn_text(**PIECES, bidirectional=bidirectional, pooling=pooling)
    mask = np.ones_like(TOKENS)
    padded = [np.pad(TOKENS, ((0, 0), (0, 4)), constant_values=7), np.pad(mask, ((0, 0), (0, 4)))]
    np.testing.assert_allclose(model([TOKENS, mask]), model(padded), atol=1e-6)
    assert np.abs(model([TOKENS, mask]) - model([padded[0], np.ones_like(padded[0])])).max() > 1e-5
    assert [(tensor.name, tensor.shape) for tensor in model.inputs] == [("token_ids", (None, None)),
                                                                        ("padding_mask", (None, None))]


def test_the_graph_runs_on_any_server() -> None:
    """The traced graph has neither CuDNN nor Python nor XLA operations."""
    for cell in ("lstm", "gru", "simple"):
        model = rnn_text(**SMALL, cell=cell, bidirectional=True, pooling="max")
        traced = tf.function(model).get_concrete_function(tf.TensorSpec((None, 3), tf.int32)).graph.as_graph_def()
        nodes = [*traced.node, *(node for function in traced.library.function for node in function.node_def)]
        operations = {node.op for node in nodes}
        assert any("While" in name or name == "MatMul" for name in operations)
        assert not {name for name in operations if "Cudnn" in name or "PyFunc" in name or "Xla" in name}
        assert not any(node.attr["_XlaMustCompile"].b for node in nodes)


def test_shapes_follow_the_arguments() -> None:
    """Length, class count and head are set by the arguments."""
    with without_values():
        model = rnn_text(vocabulary="words", vocabulary_size=100, max_length=12, num_classes=4)
        assert model.input_shape == (None, 12) and model.output_shape == (None, 4)
        assert model.inputs[0].dtype == "int32"
        assert rnn_text(include_top=False, bidirectional=True).output_shape == (None, 128)


# Keras's own variables do not know the `copy` argument of NumPy 2's `__array__` yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_it_can_be_saved_and_loaded(tmp_path: Path) -> None:
    """A .keras file brings back the same answers without custom objects being named."""
    for options, inputs in ((SMALL, TOKENS), (PIECES, [TOKENS, np.array([[1, 1, 1], [1, 1, 0]], "int32")])):
        model = rnn_text(**options, pooling="max", dropout=0.1)
        model.save(tmp_path / "model.keras")
        np.testing.assert_allclose(keras.models.load_model(tmp_path / "model.keras")(inputs), model(inputs), atol=1e-6)


def test_two_builds_have_the_same_names() -> None:
    """Names do not depend on what was built before."""
    options: dict[str, Any] = SMALL | {"layers": 2, "bidirectional": True, "pooling": "avg", "dropout": 0.2}
    first, second = rnn_text(**options), rnn_text(**options)
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert {"tokens", "embedding", "embedding_dropout", "bidirectional_2", "pooling", "predictions"} <= {
        layer.name for layer in first.layers}
    assert [weight.path for weight in first.weights] == [weight.path for weight in second.weights]


def test_wrong_arguments_are_named() -> None:
    """A vocabulary without room for a word is refused, and so is a shape of two axes."""
    with pytest.raises(ArgumentError, match=r"`vocabulary_size` must be a whole number of at least 3. Received: 2"):
        rnn_text(vocabulary_size=2)
    with pytest.raises(ArgumentError, match=r"one axis. Received: \(4, 5\)"):
        rnn_text(input_shape=(4, 5))
