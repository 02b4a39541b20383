"""Heads and feed-forward units cut out of Transformers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import zoo
from tests.zoo.compression.cut_networks import answers, masked, randomised
from zoo.compression.surgery import without_atoms
from zoo.compression.tracing import trace


@pytest.fixture(scope="module")
def encoder() -> keras.Model:
    return randomised(zoo.build("transformer_text", vocabulary_size=20, hidden_size=24, layers=2, heads=4,
                                max_positions=16, seed=1, classifier_activation=None))


@pytest.mark.parametrize("kind", ["heads", "units"])
def test_a_cut_transformer_gives_the_numbers_of_the_masked_one(encoder: keras.Model, kind: str) -> None:
    """Each block may lose other heads and units, and another number of them."""
    parts = trace(encoder)
    first, second = parts.groups(kind)  # type: ignore[arg-type]
    removed = {*first.atoms[[0, 2]].tolist(), *second.atoms[[3]].tolist()}
    small = without_atoms(encoder, parts, removed)
    np.testing.assert_allclose(answers(small), answers(masked(encoder, parts, removed)), atol=1e-5)
    assert np.abs(answers(small) - answers(encoder)).max() > 1e-3
    blocks = [layer.get_config() for layer in small.layers if layer.name.startswith("block_")]
    if kind == "heads":
        assert [(block["heads"], block["head_size"]) for block in blocks] == [(2, 6), (3, 6)]
    else:
        assert [block["intermediate_size"] for block in blocks] == [94, 95]


def test_the_attention_of_keras_loses_heads_too() -> None:
    """keras.layers.MultiHeadAttention, over a memory of its own."""
    keras.utils.set_random_seed(2)
    source, target = keras.Input((5, 8), name="source"), keras.Input((3, 8), name="target")
    attended = keras.layers.MultiHeadAttention(4, 2, name="attention")(target, source)
    model = randomised(keras.Model([source, target], keras.layers.Dense(2, name="predictions")(attended)))
    parts = trace(model)
    (group,) = parts.groups("heads")
    removed = set(group.atoms[[1, 3]].tolist())
    small = without_atoms(model, parts, removed)
    assert small.get_layer("attention").num_heads == 2
    np.testing.assert_allclose(answers(small), answers(masked(model, parts, removed)), atol=1e-6)
