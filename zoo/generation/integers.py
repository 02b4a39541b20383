"""Products of matrices in 8-bit integers, for decoders whose speed is that of reading their parameters.

Each row of what goes in has a factor of its own, so that a text's answer does not depend on the others of its batch,
and each output channel of the kernel has one (Dettmers et al. 2022, "LLM.int8()", section 2.1, vector-wise). The
product is oneDNN's integer one, through TensorFlow's own operation for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import attr_value_pb2
from tensorflow.python.framework import ops

LARGEST = 127
_TINY = 1e-30


def rounded(kernel: NDArray[Any], axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rounds a kernel to integers.

    Args:
        kernel: Float matrix.
        axis: The axis of its outputs.

    Returns:
        The integers int8, of the same shape, from -127 to 127; and float32 [outputs], the largest absolute value of
        each output's weights, which 127 stands for.
    """
    kernel = kernel.astype(np.float32)
    largest = np.maximum(np.abs(kernel).max(axis=1 - axis), _TINY)
    factors = np.expand_dims(LARGEST / largest, 1 - axis)
    return np.clip(np.rint(kernel * factors), -LARGEST, LARGEST).astype(np.int8), largest


def integer_product(x: Any, kernel: Any, largest: Any, *, turned: bool) -> Any:
    """Multiplies rows with a rounded kernel.

    Args:
        x: Float32 [N, inputs].
        kernel: Int8 [inputs, outputs], turned [outputs, inputs].
        largest: Float32 [outputs], see `rounded`.
        turned: Which of the two.

    Returns:
        Float32 [N, outputs].
    """
    of_row = tf.maximum(tf.reduce_max(tf.abs(x), axis=1, keepdims=True), _TINY)
    integers = tf.cast(tf.round(x * (LARGEST / of_row)), tf.int8)
    return _product(integers, kernel, turned) * of_row * largest


def _product(rows: Any, kernel: Any, turned: bool) -> Any:
    """The operation; 127 stands for 1 on both sides, and a bias that it must have is zeros."""
    outputs = kernel.shape[0 if turned else 1]
    one = tf.constant(1.0)
    tensors = [tf.bitcast(rows, tf.qint8), tf.bitcast(kernel, tf.qint8), tf.zeros([outputs]), -one, one, -one, one]
    types = {"T1": tf.qint8, "T2": tf.qint8, "Tbias": tf.float32, "U": tf.float32, "Tout": tf.float32}
    attributes = {name: attr_value_pb2.AttrValue(type=dtype.as_datatype_enum) for name, dtype in types.items()}
    attributes |= {
        "Tdevice_inputs": _types(tf.qint8, tf.qint8, tf.float32), "Thost_inputs": _types(*[tf.float32] * 4),
        "Tdevice_outputs": _types(tf.float32), "Thost_outputs": _types(),
        "fused_ops": _words(["BiasAdd", "Dequantize"]),
        "transpose_a": attr_value_pb2.AttrValue(b=False), "transpose_b": attr_value_pb2.AttrValue(b=turned),
        # oneDNN then arranges the kernel once and not at every call.
        "is_weight_const": attr_value_pb2.AttrValue(b=True), "is_bias_const": attr_value_pb2.AttrValue(b=True),
        "input_quant_mode": attr_value_pb2.AttrValue(s=b"SCALED"),
        "output_quant_mode": attr_value_pb2.AttrValue(s=b"SCALED")}
    operation = ops.get_default_graph().create_op("_QuantizedMatMul", tensors, dtypes=[tf.float32],
                                                  name="integer_product", attrs=attributes)
    return tf.ensure_shape(operation.outputs[0], [None, outputs])


def _types(*types: Any) -> Any:
    value = attr_value_pb2.AttrValue()
    value.list.SetInParent()
    value.list.type.extend([dtype.as_datatype_enum for dtype in types])
    return value


def _words(words: Sequence[str]) -> Any:
    value = attr_value_pb2.AttrValue()
    value.list.s.extend([word.encode() for word in words])
    return value
