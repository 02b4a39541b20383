from __future__ import annotations

import keras
import numpy as np
import pytest

from zoo.catalog import all_specs
from zoo.errors import ArgumentError
from zoo.tabular.linear import linear_regression


def test_parameters_are_w_and_b() -> None:
    """y = Wx + b has one parameter per feature and output, and one per output."""
    assert linear_regression().count_params() == 2
    assert linear_regression(features=5, outputs=3).count_params() == 5 * 3 + 3
    assert linear_regression(input_shape=(4,)).input_shape == (None, 4)


def test_it_recovers_a_noisy_line() -> None:
    """With the default training arguments it finds W and b of a line that noise was added to."""
    (spec,) = (spec for spec in all_specs() if spec.name == "linear_regression")
    generator = np.random.default_rng(0)
    x = generator.uniform(-2, 2, (256, 1)).astype("float32")
    y = 3.0 * x - 2.0 + generator.normal(0, 0.1, x.shape).astype("float32")
    model = linear_regression()
    defaults = spec.training
    assert (defaults.optimizer, defaults.loss) == ("sgd", "mean_squared_error")
    model.compile(keras.optimizers.SGD(defaults.learning_rate), defaults.loss)
    # One pass over so many copies takes the steps of that many epochs, without the cost of starting each.
    copies = (defaults.epochs, 1)
    model.fit(np.tile(x, copies), np.tile(y, copies), batch_size=defaults.batch_size, verbose=0)
    weight, bias = model.get_weights()
    assert weight.item() == pytest.approx(3.0, abs=0.05) and bias.item() == pytest.approx(-2.0, abs=0.05)


def test_l2_makes_it_ridge_regression() -> None:
    """The penalty is on W alone."""
    model = linear_regression(features=3, l2=0.5)
    model.set_weights([np.ones((3, 1), "float32"), np.full((1,), 7, "float32")])
    assert float(sum(model.losses)) == pytest.approx(0.5 * 3)


def test_wrong_arguments_are_named() -> None:
    """The message says which argument is wrong and what came."""
    with pytest.raises(ArgumentError, match=r"`features` must be a whole number of at least 1. Received: 0"):
        linear_regression(features=0)
    with pytest.raises(ArgumentError, match=r"one axis. Received: \(2, 3\)"):
        linear_regression(input_shape=(2, 3))  # type: ignore[arg-type]
