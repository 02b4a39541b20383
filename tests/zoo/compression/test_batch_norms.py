"""Moving statistics measured anew."""

from __future__ import annotations

import keras
import numpy as np

from zoo.compression.batch_norms import measure_statistics


def test_the_statistics_become_those_of_the_data() -> None:
    """Means and variances are the averages over the batches; parameters, momentum and dropout are as they were."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((3,), name="features")
    x = keras.layers.Dropout(0.5, name="dropout")(x)
    x = keras.layers.BatchNormalization(name="free")(keras.layers.Dense(4, name="hidden")(x))
    frozen = keras.layers.BatchNormalization(name="frozen", trainable=False)
    model = keras.Model(inputs, frozen(x))
    batches = [(rows, None) for rows in np.random.RandomState(1).normal(2.0, 3.0, (3, 16, 3)).astype("float32")]
    kernel = np.array(model.get_layer("hidden").kernel)
    assert measure_statistics(model, batches) == 1
    hidden = [rows @ kernel for rows, _ in batches]
    norm = model.get_layer("free")
    np.testing.assert_allclose(norm.moving_mean, np.mean([h.mean(0) for h in hidden], 0), atol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, np.mean([h.var(0) for h in hidden], 0), rtol=1e-3)
    assert (norm.momentum, model.get_layer("dropout").rate) == (0.99, 0.5)
    np.testing.assert_array_equal(frozen.moving_mean, np.zeros(4))
    np.testing.assert_array_equal(model.get_layer("hidden").kernel, kernel)
