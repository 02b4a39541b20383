from __future__ import annotations

import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.tabular.recurrent import rnn, rnn_regression


def test_parameter_counts_by_hand() -> None:
    """A cell has one (features + units + bias) x units block per gate; Keras's GRU has two biases per gate."""
    features, units = 8, 64
    block = units * (features + units)
    head = (units + 1) * 2
    assert rnn().count_params() == 4 * (block + units) + head == 18_818
    assert rnn(cell="gru").count_params() == 3 * (block + 2 * units) + head
    assert rnn(cell="simple").count_params() == block + units + head
    assert rnn(bidirectional=True).count_params() == 2 * 4 * (block + units) + (2 * units + 1) * 2
    assert rnn(layers=2).count_params() == 4 * (block + units) + 4 * (2 * units * units + units) + head
    assert rnn_regression().count_params() == 4 * (block + units) + units + 1


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", [None, "avg", "max"])
def test_series_of_any_length_are_taken(cell: str, bidirectional: bool, pooling: str | None) -> None:
    """One model answers for series of different lengths, with a distribution over the classes."""
    model = rnn(cell=cell, bidirectional=bidirectional, pooling=pooling, units=4, layers=2, num_classes=3)
    for steps in (1, 5):
        probabilities = model(np.random.default_rng(0).normal(size=(2, steps, 8)).astype("float32"))
        assert probabilities.shape == (2, 3)
        np.testing.assert_allclose(np.sum(probabilities, axis=1), 1.0, atol=1e-5)


def test_shapes_follow_the_arguments() -> None:
    """`input_shape`, `include_top` and `outputs` set the shapes."""
    assert rnn(input_shape=(7, 3)).input_shape == (None, 7, 3)
    assert rnn(include_top=False, units=5, bidirectional=True).output_shape == (None, 10)
    assert rnn_regression(outputs=4, features=2).output_shape == (None, 4)


def test_it_learns_the_mean_of_a_series() -> None:
    """A few steps of training bring the error of the regression down."""
    x = np.random.default_rng(0).normal(size=(64, 6, 2)).astype("float32")
    y = x.mean(axis=(1, 2))[:, None]
    model = rnn_regression(features=2, units=8)
    model.compile("adam", "mean_squared_error")
    model.optimizer.learning_rate = 0.02
    before = model.evaluate(x, y, verbose=0)
    model.fit(x, y, epochs=10, verbose=0)
    assert model.evaluate(x, y, verbose=0) < 0.5 * before


def test_two_builds_have_the_same_names() -> None:
    """Names do not depend on what was built before."""
    options = {"layers": 2, "bidirectional": True, "pooling": "max", "dropout": 0.1}
    first, second = rnn(**options), rnn(**options)  # type: ignore[arg-type]
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers] == [
        "sequence", "bidirectional_1", "dropout_1", "bidirectional_2", "dropout_2", "pooling", "predictions"]
    assert [weight.path for weight in first.weights] == [weight.path for weight in second.weights]


def test_wrong_arguments_are_named() -> None:
    """The message lists the choices and says what came."""
    with pytest.raises(ArgumentError, match=r"`cell` must be one of 'lstm', 'gru', 'simple'. Received: 'rnn'"):
        rnn(cell="rnn")
    with pytest.raises(ArgumentError, match=r"\(steps, features\).*Received: \(5,\)"):
        rnn(input_shape=(5,))
    with pytest.raises(ArgumentError, match="`layers`"):
        rnn(layers=0)
