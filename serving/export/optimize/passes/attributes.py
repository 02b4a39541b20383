"""Attributes of operations, as GraphDefs hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_INT32 = tf.int32.as_datatype_enum


def number_type(dtype: Any = tf.float32) -> Any:
    """The attribute that names a dtype."""
    return tf.compat.v1.AttrValue(type=dtype.as_datatype_enum)


def flag(value: bool) -> Any:
    """A truth value."""
    return tf.compat.v1.AttrValue(b=value)


def text(value: str) -> Any:
    """A text."""
    return tf.compat.v1.AttrValue(s=value.encode())


def whole(value: int) -> Any:
    """A whole number."""
    return tf.compat.v1.AttrValue(i=value)


def real(value: float) -> Any:
    """A float32 number."""
    return tf.compat.v1.AttrValue(f=value)


def wholes(*values: int) -> Any:
    """A list of whole numbers."""
    return tf.compat.v1.AttrValue(list=tf.compat.v1.AttrValue.ListValue(i=values))


FLOATS: Mapping[str, Any] = {"T": number_type()}
RESHAPE: Mapping[str, Any] = {"T": number_type(), "Tshape": number_type(tf.int32)}
SHAPE: Mapping[str, Any] = {"T": number_type(), "out_type": number_type(tf.int32)}
FIRST: Mapping[str, Any] = {"T": number_type(tf.int32), "Index": number_type(tf.int32), "begin_mask": whole(0),
                            "end_mask": whole(0), "ellipsis_mask": whole(0), "new_axis_mask": whole(0),
                            "shrink_axis_mask": whole(0)}
