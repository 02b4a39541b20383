"""From the configuration to a Keras optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from zoo.training.config import TrainingConfig
from zoo.training.layer_groups import require_blocks
from zoo.training.layerwise_rates import rate_shares, with_layerwise_rates
from zoo.training.one_pass import with_one_pass
from zoo.training.schedules import PhaseSchedule

DEFAULT_MOMENTUM = 0.9
ADAMW_WEIGHT_DECAY = 0.004


def optimizer_for(config: TrainingConfig, schedule: PhaseSchedule, model: keras.Model,
                  beside: Sequence[Any] = ()) -> keras.optimizers.Optimizer:
    """Returns a built optimizer for the model's trainable variables.

    Weight decay leaves out vectors and scalars (biases, scales of normalisation), as is usual.

    Args:
        config: Names the optimizer, weight decay, gradient clip and how the rate falls with the depth.
        schedule: Its learning rate.
        model: Its trainable variables are the ones to be optimised.
        beside: Variables that learn, too, and are not the model's; always at the full rate.

    Returns:
        The optimizer; with "mixed_float16" one that scales the loss so that small gradients do not vanish.

    Raises:
        ArgumentError: The rate depends on the depth, and the model has no blocks.
    """
    kind, options = _named(config)
    kind = with_one_pass(kind)
    if config.layerwise_decay is not None:
        kind = with_layerwise_rates(kind)
    optimizer = kind(learning_rate=schedule, clipnorm=config.clip_norm, clipvalue=config.clip_value,
                     global_clipnorm=config.clip_global_norm, **options)
    own = list(model.trainable_variables)
    variables = [*own, *beside]
    decayed = [v for v in variables if len(v.shape) >= 2] if optimizer.weight_decay is not None else []
    if config.layerwise_decay is not None:
        groups = require_blocks(model, "layerwise_decay", config.layerwise_decay)
        shares = rate_shares(groups, own, config.layerwise_decay) | {id(v.value): 1.0 for v in beside}
        optimizer.share_out(shares, {id(v.value) for v in decayed})
        decayed = []  # by the optimizer's own step
    if optimizer.weight_decay is not None:
        kept = {id(v) for v in decayed}
        optimizer.exclude_from_weight_decay([v for v in variables if id(v) not in kept])
    if config.mixed_precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(variables)
    return optimizer


def _named(config: TrainingConfig) -> tuple[type[Any], dict[str, Any]]:
    """Returns the optimizer's class and the arguments that it alone has."""
    decay = {"weight_decay": config.weight_decay or None}
    if config.optimizer == "sgd":
        return keras.optimizers.SGD, decay
    if config.optimizer == "momentum":
        momentum = DEFAULT_MOMENTUM if config.momentum is None else config.momentum
        return keras.optimizers.SGD, {"momentum": momentum, "nesterov": True, **decay}
    if config.optimizer == "rmsprop":
        return keras.optimizers.RMSprop, {"momentum": config.momentum or 0.0, **decay}
    if config.optimizer == "adam":
        return keras.optimizers.Adam, decay
    own = ADAMW_WEIGHT_DECAY if config.weight_decay is None else config.weight_decay
    return keras.optimizers.AdamW, {"weight_decay": own}
