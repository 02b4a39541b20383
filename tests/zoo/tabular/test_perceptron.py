from __future__ import annotations

import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.tabular.perceptron import mlp_binary, softmax_1000


def test_parameter_counts_by_hand() -> None:
    """Each dense layer has (inputs + 1) * units parameters."""
    assert mlp_binary().count_params() == (2 + 1) * 10 + (10 + 1) * 1 == 41
    assert softmax_1000().count_params() == (100 + 1) * 1000 + (1000 + 1) * 1000 == 1_102_000
    assert softmax_1000(features=7, hidden_units=5, num_classes=3).count_params() == 8 * 5 + 6 * 3


def test_the_binary_network_ends_in_a_sigmoid() -> None:
    """Its output is a probability, computed as sigmoid(W2 sigmoid(W1 x + b1) + b2)."""
    model = mlp_binary()
    x = np.random.default_rng(0).normal(size=(6, 2)).astype("float32") * 10
    w1, b1, w2, b2 = model.get_weights()

    def sigmoid(value: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return 1 / (1 + np.exp(-value))

    np.testing.assert_allclose(model(x), sigmoid(sigmoid(x @ w1 + b1) @ w2 + b2), atol=1e-5)


def test_it_learns_what_no_line_can_tell_apart() -> None:
    """With a hidden layer, exclusive or is learnt with a threshold of 0.5."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 16, "float32")
    y = (x[:, :1] != x[:, 1:]).astype("float32")
    model = mlp_binary(hidden_units=32, hidden_activation="tanh")
    model.compile("rmsprop", "binary_crossentropy")
    model.optimizer.learning_rate = 0.05
    for _ in range(150):
        model.train_on_batch(x, y)
    assert ((np.asarray(model(x[:4])) >= 0.5) == (y[:4] == 1)).all()


def test_the_many_way_network_gives_distributions() -> None:
    """Its output sums to 1 over the classes, and its hidden layer is a ReLU."""
    model = softmax_1000()
    probabilities = model(np.random.default_rng(0).normal(size=(3, 100)).astype("float32"))
    np.testing.assert_allclose(np.sum(probabilities, axis=1), 1.0, atol=1e-5)
    assert model.get_layer("hidden").activation.__name__ == "relu"


def test_two_builds_have_the_same_names() -> None:
    """Names do not depend on what was built before; dropout adds one layer."""
    for build in (mlp_binary, softmax_1000):
        assert [layer.name for layer in build().layers] == [layer.name for layer in build().layers] == \
            ["features", "hidden", "predictions"]
        assert [layer.name for layer in build(dropout=0.2).layers] == \
            ["features", "hidden", "dropout", "predictions"]


def test_wrong_arguments_are_named() -> None:
    """Three classes are refused with the model that takes them."""
    with pytest.raises(ArgumentError, match=r"num_classes=3.*'softmax_1000'"):
        mlp_binary(num_classes=3)
    with pytest.raises(ArgumentError, match="`hidden_units`"):
        softmax_1000(hidden_units=0)
