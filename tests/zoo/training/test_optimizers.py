"""From the configuration to an optimizer: each step is checked against arithmetic on paper."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.training.in_memory import regressor
from zoo.training.config import TrainingConfig
from zoo.training.optimizers import optimizer_for
from zoo.training.schedules import schedule_for


def stepped(kernel_gradient: tuple[float, float], bias_gradient: float, **changes: Any) -> tuple[Any, Any]:
    """Kernel [2] and bias of y = Wx + b, from (1, -2) and 3, after one step."""
    model = regressor()
    model.set_weights([np.array([[1.0], [-2.0]]), np.array([3.0])])
    config = TrainingConfig.from_dict({"learning_rate": 0.5, **changes})
    schedule = schedule_for(config, peak=config.learning_rate, epochs=1, steps_per_epoch=1)
    optimizer = optimizer_for(config, schedule, model)
    gradients = [tf.reshape(tf.constant(kernel_gradient), [2, 1]), tf.constant([bias_gradient])]
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    kernel, bias = model.get_weights()
    return kernel[:, 0], bias[0]


def test_sgd() -> None:
    """SGD subtracts learning rate times gradient."""
    kernel, bias = stepped((0.2, -0.4), 1.0, optimizer="sgd")
    assert (kernel, bias) == (pytest.approx([0.9, -1.8]), pytest.approx(2.5))


def test_momentum_is_nesterov() -> None:
    """The first Nesterov step looks ahead: (1 + momentum) times SGD's."""
    kernel, _ = stepped((0.2, 0.0), 0.0, optimizer="momentum", momentum=0.5)
    assert kernel == pytest.approx([1.0 - 0.5 * 0.2 * 1.5, -2.0])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_adaptive(optimizer: str) -> None:
    """Adaptive optimizers step by the sign of the gradient, whatever its size."""
    small, _ = stepped((1.0, -1.0), 0.0, optimizer=optimizer, weight_decay=0.0)
    large, _ = stepped((1e2, -1e2), 0.0, optimizer=optimizer, weight_decay=0.0)
    assert small == pytest.approx(large, rel=1e-3)
    assert small[0] < 1.0 and small[1] > -2.0


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw", "rmsprop"])
def test_weight_decay_leaves_vectors_alone(optimizer: str) -> None:
    """Decay shrinks the kernel by rate times decay, and not the bias."""
    kernel, bias = stepped((0.0, 0.0), 0.0, optimizer=optimizer, weight_decay=0.1)
    assert kernel == pytest.approx([0.95, -1.9])
    assert bias == 3.0


def test_adamw_decays_by_itself() -> None:
    """AdamW has a weight decay of its own where none is given."""
    kernel, _ = stepped((0.0, 0.0), 0.0, optimizer="adamw")
    assert kernel == pytest.approx([0.998, -1.996])


@pytest.mark.parametrize(("clip", "kernel", "bias"), [
    ({"clip_value": 1.0}, (0.5, -1.5), 2.5),
    ({"clip_norm": 1.0}, (1.0 - 0.3, -2.0 + 0.4), 2.5),
    ({"clip_global_norm": 6.5}, (1.0 - 0.75, -2.0 + 1.0), 3.0 - 3.0),
], ids=["value", "norm", "global norm"])
def test_gradient_clips(clip: dict[str, float], kernel: tuple[float, float], bias: float) -> None:
    """Each clip limits what it says: elements, each gradient, or all together (here of norm 13)."""
    got_kernel, got_bias = stepped((3.0, -4.0), 12.0, optimizer="sgd", **clip)
    assert got_kernel == pytest.approx(kernel)
    assert got_bias == pytest.approx(bias, abs=1e-6)


def test_float16_scales_the_loss() -> None:
    """With 16-bit floats the loss is scaled, so that small gradients do not vanish."""
    model = regressor()
    config = TrainingConfig(mixed_precision="mixed_float16")
    optimizer = optimizer_for(config, schedule_for(config, peak=1.0, epochs=1, steps_per_epoch=1), model)
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert float(optimizer.scale_loss(2.0)) == 2.0 * 2**15
