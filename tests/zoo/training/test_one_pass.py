"""Steps in one pass are the steps that Keras takes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.training.one_pass import with_one_pass

GENERATOR = np.random.default_rng(3)
KERNEL = GENERATOR.normal(0, 1, (30, 20)).astype(np.float32)
TABLE = GENERATOR.normal(0, 1, (50, 20)).astype(np.float32)
ROWS = tf.constant([3, 7, 3, 49])  # one of them twice: its gradients add up
OPTIMIZERS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "adam": (keras.optimizers.Adam, {}),
    "adam with decay": (keras.optimizers.Adam, {"weight_decay": 0.1, "beta_1": 0.7}),
    "adamw": (keras.optimizers.AdamW, {"weight_decay": 0.05, "epsilon": 1e-3}),
    "sgd": (keras.optimizers.SGD, {"weight_decay": 0.05}),
    "momentum": (keras.optimizers.SGD, {"momentum": 0.9}),
    "nesterov": (keras.optimizers.SGD, {"momentum": 0.8, "nesterov": True}),
}


def trained(kind: type[Any], options: dict[str, Any], *, dense: bool) -> list[Any]:
    """The variables and the optimizer's own after some compiled steps, the table's gradient sparse unless `dense`."""
    variables = [keras.Variable(KERNEL), keras.Variable(TABLE), keras.Variable(KERNEL[:, 0])]
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9)
    optimizer = kind(learning_rate=schedule, **options)
    optimizer.build(variables)
    optimizer.exclude_from_weight_decay([variables[2]])

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            kernel, table, bias = (variable.value for variable in variables)
            loss = tf.reduce_sum(tf.square(tf.matmul(tf.gather(table, ROWS), kernel, transpose_b=True) + bias))
        gradients = tape.gradient(loss, [kernel, table, bias])
        assert isinstance(gradients[1], tf.IndexedSlices)
        given = [tf.convert_to_tensor(gradient) for gradient in gradients] if dense else gradients
        optimizer.apply_gradients(zip(given, variables, strict=True))

    for _ in range(5):
        step()
    return [np.asarray(variable) for variable in [*variables, *optimizer.variables]]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_keras_takes_the_same_steps(name: str) -> None:
    """Variables, momentum and velocity agree with Keras's own after five steps.

    Keras gets the gradient of a table's rows as a dense one: of a sparse one its Adam squares the parts of a row that
    was read twice, and not their sum.
    """
    kind, options = OPTIMIZERS[name]
    ours, keras_own = trained(with_one_pass(kind), options, dense=False), trained(kind, options, dense=True)
    assert with_one_pass(kind) is not kind
    assert len(ours) == len(keras_own)
    for found, expected in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=5e-4)


def test_the_others_are_keras_own() -> None:
    """An optimizer that TensorFlow has no operation for is left as it is."""
    assert with_one_pass(keras.optimizers.RMSprop) is keras.optimizers.RMSprop
