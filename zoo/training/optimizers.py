"""From the configuration to a Keras optimizer."""

from __future__ import annotations

from typing import Any

import keras

from zoo.training.config import TrainingConfig
from zoo.training.schedules import PhaseSchedule

DEFAULT_MOMENTUM = 0.9
ADAMW_WEIGHT_DECAY = 0.004


def optimizer_for(config: TrainingConfig, schedule: PhaseSchedule, model: keras.Model) -> keras.optimizers.Optimizer:
    """Returns a built optimizer for the model's trainable variables.

    Weight decay leaves out vectors and scalars (biases, scales of normalisation), as is usual.

    Args:
        config: Names the optimizer, weight decay and gradient clip.
        schedule: Its learning rate.
        model: Its trainable variables are the ones to be optimised.

    Returns:
        The optimizer; with "mixed_float16" one that scales the loss so that small gradients do not vanish.
    """
    optimizer = _named(config, learning_rate=schedule, clipnorm=config.clip_norm, clipvalue=config.clip_value,
                       global_clipnorm=config.clip_global_norm)
    if optimizer.weight_decay is not None:
        optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if len(v.shape) < 2])
    if config.mixed_precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def _named(config: TrainingConfig, **shared: Any) -> keras.optimizers.Optimizer:
    decay = config.weight_decay or None
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(weight_decay=decay, **shared)
    if config.optimizer == "momentum":
        momentum = DEFAULT_MOMENTUM if config.momentum is None else config.momentum
        return keras.optimizers.SGD(momentum=momentum, nesterov=True, weight_decay=decay, **shared)
    if config.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(momentum=config.momentum or 0.0, weight_decay=decay, **shared)
    if config.optimizer == "adam":
        return keras.optimizers.Adam(weight_decay=decay, **shared)
    return keras.optimizers.AdamW(weight_decay=ADAMW_WEIGHT_DECAY if config.weight_decay is None
                                  else config.weight_decay, **shared)
