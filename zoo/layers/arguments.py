"""Checks of builder arguments: each raises ArgumentError with what was expected and what came."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from zoo.errors import ArgumentError


def check_count(name: str, value: Any, minimum: int = 1) -> int:
    """Returns `value` where it is a whole number of at least `minimum`.

    Raises:
        ArgumentError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ArgumentError(f"`{name}` must be a whole number of at least {minimum}. Received: {value!r}")
    return value


def check_rate(name: str, value: float) -> float:
    """Returns `value` where it is a fraction in [0, 1), such as a dropout rate.

    Raises:
        ArgumentError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < 1.0:
        raise ArgumentError(f"`{name}` must be a fraction in [0, 1). Received: {value!r}")
    return float(value)


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> Any:
    """Returns `value` where it is one of `choices`.

    Raises:
        ArgumentError: It is not; the message lists the choices.
    """
    known = tuple(choices)
    if value not in known:
        raise ArgumentError(f"`{name}` must be one of {', '.join(map(repr, known))}. Received: {value!r}")
    return value


def image_shape(shape: Iterable[int | None] | None, default: tuple[int, int, int], minimum: int = 1,
                *, fixed: bool = False) -> tuple[int | None, ...]:
    """Returns the (height, width, channels) of one picture.

    Args:
        shape: What the user gave; None takes `default`. Height and width may be None (any size).
        default: The model's own (height, width, channels).
        minimum: Smallest height and width in pixels that the model can take.
        fixed: Whether height and width must be known, because the head depends on them.

    Raises:
        ArgumentError: Another number of axes, a size below `minimum`, or an unknown size where it must be known.
    """
    sizes = default if shape is None else tuple(shape)
    if len(sizes) != 3 or not isinstance(sizes[2], int) or sizes[2] < 1:
        raise ArgumentError(f"`input_shape` must be (height, width, channels), such as {default}. Received: {sizes}")
    for size in sizes[:2]:
        if size is None and fixed:
            raise ArgumentError(f"The head of this model needs a known height and width, such as {default}. Give them, "
                                f"or build it with include_top=False. Received: {sizes}")
        if size is not None and (not isinstance(size, int) or size < minimum):
            raise ArgumentError(f"Height and width in `input_shape` must be at least {minimum} pixels for this model. "
                                f"Received: {sizes}")
    return sizes


def series_shape(shape: Iterable[int | None] | None, width: int, *, width_name: str = "features"
                 ) -> tuple[int | None, int]:
    """Returns the (steps, width) of one sequence.

    Args:
        shape: What the user gave as `input_shape`; None means any number of steps of `width` numbers.
        width: Numbers per step where `shape` is None.
        width_name: Name of the argument that `width` came from, for the message.

    Raises:
        ArgumentError: Another number of axes, or a size below 1.
    """
    if shape is None:
        return None, check_count(width_name, width)
    sizes = tuple(shape)
    if len(sizes) != 2:
        raise ArgumentError(f"`input_shape` must be (steps, {width_name}); steps may be None for any number. "
                            f"Received: {sizes}")
    steps = None if sizes[0] is None else check_count("input_shape[0]", sizes[0])
    return steps, check_count("input_shape[1]", sizes[1])


def vector_width(shape: Iterable[int | None] | None, width: int, *, width_name: str = "features") -> int:
    """Returns the number of features of one row.

    Args:
        shape: What the user gave as `input_shape`, one axis; None takes `width`.
        width: The number of features where `shape` is None.
        width_name: Name of the argument that `width` came from, for the message.

    Raises:
        ArgumentError: Another number of axes, or a size below 1.
    """
    if shape is None:
        return check_count(width_name, width)
    sizes = tuple(shape)
    if len(sizes) != 1:
        raise ArgumentError(f"`input_shape` must be ({width_name},): one axis. Received: {sizes}")
    return check_count("input_shape[0]", sizes[0])


def l2_penalty(l2: float) -> keras.regularizers.Regularizer | None:
    """Returns the penalty `l2 * sum(kernel ** 2)` that is added to the training loss, or None for 0.

    Raises:
        ArgumentError: `l2` is negative.
    """
    if isinstance(l2, bool) or not isinstance(l2, int | float) or l2 < 0:
        raise ArgumentError(f"`l2` must be a number of at least 0. Received: {l2!r}")
    return keras.regularizers.L2(float(l2)) if l2 else None
