"""What a request for text may ask for: names, defaults, ranges, and their checks in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

MAX_STOP_BYTES = 128
MAX_STOPS = 16
_MAX_TEMPERATURE = 100.0
_MAX_PENALTY = 100.0

# What stands in for an input that a request leaves out. A temperature of 0 takes the best token every time.
_DEFAULTS: Mapping[str, Any] = {"max_new_tokens": [64], "temperature": [0.0], "top_k": [0], "top_p": [1.0],
                                "repetition_penalty": [1.0], "stop": [[""]], "seed": [0]}
DTYPES: Mapping[str, Any] = {"max_new_tokens": tf.int32, "temperature": tf.float32, "top_k": tf.int32,
                             "top_p": tf.float32, "repetition_penalty": tf.float32, "stop": tf.string,
                             "seed": tf.int64}


class Options(NamedTuple):
    """Checked options, one value per row.

    Attributes:
        max_new_tokens: The most tokens to add, int32 [N].
        temperature: float32 [N]; 0 for the best token, else what the scores are divided by.
        top_k: int32 [N]; how many of the best tokens are left to draw from, 0 for all.
        top_p: float32 [N] in (0, 1]; the fewest best tokens with this probability are left, 1 for all.
        repetition_penalty: float32 [N]; positive scores of tokens that are there already are divided by it, negative
            ones multiplied.
        stop: string [N, S]; the text ends before the first of them; empty ones stop nothing.
        seed: int64 [N].
        any_penalty: Whether a row has a repetition penalty, bool scalar.
        any_shaping: Whether a row has a top_k or top_p, bool scalar.
        any_stop: Whether a row has a stop string, bool scalar.
    """

    max_new_tokens: Any
    temperature: Any
    top_k: Any
    top_p: Any
    repetition_penalty: Any
    stop: Any
    seed: Any
    any_penalty: Any
    any_shaping: Any
    any_stop: Any


def defaults(longest: int) -> dict[str, Any]:
    """Returns what stands in for options that a request leaves out, by name.

    Args:
        longest: The most tokens that the model reads.
    """
    return {**_DEFAULTS, "max_new_tokens": [min(longest, *_DEFAULTS["max_new_tokens"])]}


def specs() -> dict[str, Any]:
    """Returns the inputs of a request besides the prompt: tf.TensorSpec by name, [None], `stop` [None, None]."""
    return {name: tf.TensorSpec([None, None] if name == "stop" else [None], dtype, name=name)
            for name, dtype in DTYPES.items()}


def checked(values: Mapping[str, Any], rows: Any, longest: int) -> Options:
    """Checks options in the graph and gives every row its own.

    Args:
        values: Tensors by name, each [1], for all rows, or [N]; `stop` [1, S] or [N, S].
        rows: N, int32 scalar.
        longest: The most tokens that the model reads, and so adds.

    Returns:
        The options. A request with one out of its range ends with INVALID_ARGUMENT, which says the name, the range
        and the value.
    """
    tests = {
        "max_new_tokens": (f"from 0 to {longest}", lambda x: (x >= 0) & (x <= longest)),
        "temperature": (f"from 0 (always the best token) to {_MAX_TEMPERATURE:g}",
                        lambda x: (x >= 0.0) & (x <= _MAX_TEMPERATURE)),
        "top_k": ("from 0 (no limit) on", lambda x: x >= 0),
        "top_p": ("above 0 and up to 1", lambda x: (x > 0.0) & (x <= 1.0)),
        "repetition_penalty": (f"above 0 and up to {_MAX_PENALTY:g}", lambda x: (x > 0.0) & (x <= _MAX_PENALTY)),
        "seed": ("a whole number of 64 bits", tf.ones_like),
    }
    rowwise = {}
    for name, (allowed, test) in tests.items():
        value = values[name]
        bad = tf.boolean_mask(value, tf.logical_not(tf.cast(test(value), tf.bool)))
        rowwise[name] = _per_row(name, value, rows, bad, f"`{name}` must be {allowed}.")
    stop = values["stop"]
    too_long = tf.boolean_mask(stop, tf.strings.length(stop) > MAX_STOP_BYTES)
    with tf.control_dependencies([_require(tf.shape(stop)[1] <= MAX_STOPS, f"`stop` must hold at most {MAX_STOPS} "
                                           "strings per row.", tf.shape(stop)[1])]):
        rowwise["stop"] = _per_row("stop", tf.identity(stop), rows, too_long,
                                   f"`stop` must hold strings of at most {MAX_STOP_BYTES} bytes.")
    drawn = rowwise["temperature"] > 0.0
    return Options(**rowwise, any_penalty=tf.reduce_any(rowwise["repetition_penalty"] != 1.0),
                   any_shaping=tf.reduce_any(drawn & ((rowwise["top_k"] > 0) | (rowwise["top_p"] < 1.0))),
                   any_stop=tf.reduce_any(tf.strings.length(rowwise["stop"]) > 0))


def _per_row(name: str, value: Any, rows: Any, bad: Any, message: str) -> Any:
    """The value for each row. What is returned depends on the checks, so that no optimiser can drop them."""
    count = tf.shape(value)[0]
    checks = [_require(tf.equal(tf.size(bad), 0), message, bad[:1]),
              _require(tf.equal(count, 1) | tf.equal(count, rows),
                       f"`{name}` must have one value for all rows or one for each.", count)]
    with tf.control_dependencies(checks):
        value = tf.identity(value)
    return tf.broadcast_to(value, tf.concat([[rows], tf.shape(value)[1:]], 0))


def _require(holds: Any, message: str, received: Any) -> Any:
    words = received if received.dtype == tf.string else tf.strings.as_string(received)
    words = tf.strings.reduce_join(tf.reshape(words, [-1]), separator=", ")
    return tf.debugging.Assert(holds, [tf.strings.join([message, " Received: ", words])])
