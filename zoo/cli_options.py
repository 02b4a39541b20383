"""What the words behind command-line options mean, and which options belong to which kind of data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from zoo.errors import ArgumentError
from zoo.spec import ModelRecord, ModelSpec

# The option that sets an argument of zoo.build, zoo.runs or TrainingConfig, where the two have different names.
_OTHER_NAMES = {"input_shape": "--size", "columns": "--column", "augmentation": "--augment",
                "mixed_precision": "--precision", "early_stopping_patience": "--patience",
                "weight": "--teacher-weight", "take_layers": "--teacher-layers",
                "threshold_rule": "--choose-threshold", "rule": "--choose-threshold"}
_SAME_NAMES = ("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "warmup_epochs", "weight_decay", "l1",
               "l2", "label_smoothing", "clip_norm", "clip_global_norm", "frozen_epochs", "frozen_layers",
               "unfreeze_every", "layerwise_decay", "lora_rank",
               "similarity_scale", "symmetric_pairs",
               "monitor", "restore_best", "class_weights", "tensorboard", "seed", "restart", "target", "shape",
               "text_column", "text_pair_column", "label_column", "max_length", "max_words", "task",
               "validation_fraction", "test_fraction", "keep_duplicates", "weights", "threshold", "bootstrap_samples",
               "temperature", "hidden")
IN_OPTIONS: Mapping[str, str] = MappingProxyType(
    {name: f"--{name.replace('_', '-')}" for name in _SAME_NAMES} | _OTHER_NAMES)

_KINDS = {"input_shape": ("image",), "target": ("tabular", "sequence"), "columns": ("tabular", "sequence"),
          "shape": ("sequence",), "text_column": ("text",), "text_pair_column": ("text",), "label_column": ("text",),
          "max_length": ("text",), "max_words": ("text",)}
_DATA_OF = {"image": "pictures", "text": "texts", "tabular": "tables", "sequence": "series"}


def require_fitting(spec: ModelSpec | ModelRecord, data: str, given: Mapping[str, Any]) -> None:
    """Refuses options that would be without effect, because the model reads another kind of data.

    Args:
        spec: The model.
        data: The data's name, for the message.
        given: What was given by the argument's name; empty values were not.

    Raises:
        ArgumentError: One does not fit.
    """
    for name, kinds in _KINDS.items():
        if given.get(name) and spec.input_kind not in kinds:
            raise ArgumentError(f"`{IN_OPTIONS[name]}` is for {' and '.join(_DATA_OF[kind] for kind in kinds)}, and "
                                f"{spec.name} reads {data} as {_DATA_OF[spec.input_kind]}. Leave it out, or choose "
                                "another model.")


def options_of(texts: list[str]) -> dict[str, Any]:
    """Reads builder options.

    Args:
        texts: NAME=VALUE each; the value is JSON, True, False, None, or plain text.

    Returns:
        Values by name.

    Raises:
        ArgumentError: One has another form, or a name is given twice.
    """
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ArgumentError(f"`--option` reads NAME=VALUE, such as --option dropout=0.2. Received: {text!r}")
        if name in options:
            raise ArgumentError(f"`--option` names {name!r} twice. Give it once.")
        options[name] = value_of(value)
    return options


def value_of(text: str) -> Any:
    """Reads a value as typed.

    Args:
        text: JSON, True, False, None, or plain text.

    Returns:
        The value; a list of JSON is a tuple.
    """
    try:
        parsed = json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)
    return tuple(parsed) if isinstance(parsed, list) else parsed


def size_of(text: str) -> tuple[int, int]:
    """Reads the size of pictures.

    Args:
        text: One number, or HEIGHTxWIDTH.

    Returns:
        Height and width in pixels.

    Raises:
        ArgumentError: It has another form.
    """
    sizes = whole_numbers("--size", text.lower(), "x")
    if len(sizes) not in (1, 2):
        raise ArgumentError(f"`--size` is one number or HEIGHTxWIDTH, such as 96 or 240x320. Received: {text!r}")
    return sizes[0], sizes[-1]


def whole_numbers(option: str, text: str, separator: str) -> list[int]:
    """Reads whole numbers of at least 1.

    Args:
        option: The option's name, for the message.
        text: The numbers.
        separator: What stands between them.

    Returns:
        The numbers.

    Raises:
        ArgumentError: It holds anything else.
    """
    try:
        numbers = [int(part) for part in text.split(separator)]
    except ValueError:
        raise ArgumentError(f"`{option}` takes whole numbers separated by {separator!r}. Received: {text!r}") from None
    if min(numbers) < 1:
        raise ArgumentError(f"`{option}` takes numbers of at least 1. Received: {text!r}")
    return numbers
