from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import zoo
from tests.zoo.text.numpy_transformer import SMALL, Array, example, randomised
from zoo.errors import ArgumentError
from zoo.text.transformer_classifier import transformer_text

INPUTS = example(segments=True)
LENGTHS = INPUTS["padding_mask"].sum(axis=1)


def answer(model: keras.Model, inputs: dict[str, Array] = INPUTS) -> Array:
    return np.asarray(model(inputs, training=False))


@pytest.mark.parametrize("options", [{}, {"pooling": "cls"}, {"task": "token_classification"}], ids=str)
def test_padding_changes_nothing(options: dict[str, Any]) -> None:
    """Alone or in a batch, with any amount of padding, a text gives the same answer."""
    model = randomised(transformer_text(**SMALL, **options))
    whole = answer(model)
    for row, length in enumerate(LENGTHS):
        alone = answer(model, {name: value[row:row + 1, :length] for name, value in INPUTS.items()})[0]
        part = slice(0, length) if whole.ndim == 3 else slice(None)
        np.testing.assert_allclose(whole[row][part], alone, atol=2e-5)


def test_outputs_have_the_shapes_of_the_task() -> None:
    """One answer per text or per token; without a head the states, and without segments no input for them."""
    assert answer(transformer_text(**SMALL, num_classes=4)).shape == (3, 4)
    assert answer(transformer_text(**SMALL, task="regression", outputs=2)).shape == (3, 2)
    assert answer(transformer_text(**SMALL, task="token_classification", num_classes=4)).shape == (3, 7, 4)
    assert answer(transformer_text(**SMALL, include_top=False)).shape == (3, 7, 24)
    model = transformer_text(**SMALL, segments=0)
    assert [tensor.name for tensor in model.inputs] == ["token_ids", "padding_mask"]
    assert all("segment" not in weight.path for weight in model.weights)


def test_it_learns_word_order() -> None:
    """From random parameters it learns which of two words comes first, which no bag of words can tell."""
    generator = np.random.default_rng(0)
    rows = 1024
    ids = generator.integers(4, 40, (rows, 6)).astype("int32")
    labels = generator.integers(0, 2, rows)
    places = np.sort(np.argsort(generator.random((rows, 6)), axis=1)[:, :2], axis=1)
    for row, (first, second) in enumerate(places):
        ids[row, first], ids[row, second] = (2, 3) if labels[row] else (3, 2)
    inputs = {"token_ids": ids, "segment_ids": np.zeros_like(ids), "padding_mask": np.ones_like(ids)}
    unseen = {name: value[-256:] for name, value in inputs.items()}
    model = zoo.build("transformer_text", seed=1, vocabulary_size=40, hidden_size=32, layers=1, heads=2, dropout=0.0,
                      attention_dropout=0.0)
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy", jit_compile=False)
    before = np.mean(answer(model, unseen).argmax(axis=1) == labels[-256:])
    model.fit({name: value[:-256] for name, value in inputs.items()}, labels[:-256], epochs=12, batch_size=64,
              shuffle=False, verbose=0)
    assert np.mean(answer(model, unseen).argmax(axis=1) == labels[-256:]) > 0.95 > 0.65 > before


def test_it_comes_back_from_a_bundle(tmp_path: Path) -> None:
    """`zoo.save` and `zoo.load` bring back the parameters and the answers."""
    model = randomised(zoo.build("transformer_text", **SMALL))
    np.testing.assert_array_equal(answer(zoo.load(zoo.save(model, tmp_path))), answer(model))


@pytest.mark.parametrize(("options", "message"), [
    ({"pooling": "pooler"}, "`pooling` must be one of 'mean', 'cls'. Received: 'pooler'"),
    ({"task": "language_model"}, "`task` must be one of 'classification', 'regression', 'token_classification'"),
    ({"hidden_size": 10, "heads": 3}, "multiple of `heads`"),
])
def test_wrong_arguments_are_named(options: dict[str, Any], message: str) -> None:
    """Each refusal says what was expected and what came."""
    with pytest.raises(ArgumentError, match=message):
        transformer_text(**{**SMALL, **options})
