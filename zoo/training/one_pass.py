"""Steps of Adam, AdamW and SGD in one pass over the memory.

Keras writes a step as some ten operations, each of which reads and writes as many numbers as the model has parameters.
TensorFlow has one operation for the whole, with the same arithmetic.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class OnePass:
    """Goes in front of an optimizer among a class's parents: decay and step of a variable are one operation each."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves a variable.

        Args:
            gradient: Its gradient, a tensor or tf.IndexedSlices.
            variable: The variable's tensor.
            learning_rate: float32 [].
        """
        tensor = _tensor_of(variable)
        place: int = self._get_variable_index(variable)  # type: ignore[attr-defined]
        # Rows of a table that met no token get zeros.
        dense = tf.cast(tf.convert_to_tensor(gradient), tensor.dtype)
        self._move(tensor, place, dense, tf.cast(learning_rate, tensor.dtype))  # type: ignore[attr-defined]

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        decay: float | None = self.weight_decay  # type: ignore[attr-defined]
        for variable in variables if decay is not None else ():
            if self._use_weight_decay(variable):  # type: ignore[attr-defined]
                tensor = _tensor_of(variable)
                rate = tf.cast(self.learning_rate, tensor.dtype) * tf.cast(decay, tensor.dtype)  # type: ignore[attr-defined]
                tf.raw_ops.ResourceApplyGradientDescent(var=tensor.handle, alpha=rate, delta=tensor.read_value())


class OnePassAdam(OnePass):
    """Adam's step (Kingma and Ba 2015) as `keras.optimizers.Adam` takes it, with epsilon beside the plain root."""

    def _move(self, tensor: Any, place: int, gradient: Any, rate: Any) -> None:
        optimizer: Any = self
        beta_1, beta_2, epsilon = (tf.cast(value, tensor.dtype)
                                   for value in (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon))
        step = tf.cast(optimizer.iterations + 1, tensor.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=tensor.handle, m=_tensor_of(optimizer._momentums[place]).handle,
            v=_tensor_of(optimizer._velocities[place]).handle, beta1_power=tf.pow(beta_1, step),
            beta2_power=tf.pow(beta_2, step), lr=rate, beta1=beta_1, beta2=beta_2, epsilon=epsilon, grad=gradient)


class OnePassSGD(OnePass):
    """The step of gradient descent, with momentum or without, as `keras.optimizers.SGD` takes it."""

    def _move(self, tensor: Any, place: int, gradient: Any, rate: Any) -> None:
        optimizer: Any = self
        if not optimizer.momentum:
            tf.raw_ops.ResourceApplyGradientDescent(var=tensor.handle, alpha=rate, delta=gradient)
            return
        velocity = _tensor_of(optimizer.momentums[place])
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=tensor.handle, accum=velocity.handle, lr=rate, grad=gradient,
            momentum=tf.cast(optimizer.momentum, tensor.dtype), use_nesterov=optimizer.nesterov)


def with_one_pass(optimizer: type[Any]) -> type[Any]:
    """Returns the optimizer's class with its steps in one pass, or itself where TensorFlow has no such operation."""
    first = {keras.optimizers.Adam: OnePassAdam, keras.optimizers.AdamW: OnePassAdam,
             keras.optimizers.SGD: OnePassSGD}.get(optimizer)
    return optimizer if first is None else type(optimizer.__name__, (first, optimizer), {})


def _tensor_of(variable: Any) -> Any:
    """The tf.Variable of a Keras variable."""
    return variable.value if isinstance(variable, keras.Variable) else variable
