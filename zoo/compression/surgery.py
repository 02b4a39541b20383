"""Rebuilds a model without some of its parts: plain Keras layers of smaller sizes with the parameters that are left."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import keras
import numpy as np

from zoo.compression.attention_parts import head_size_of
from zoo.compression.parts import Parts
from zoo.layers.self_attention import SelfAttention
from zoo.layers.transformer_block import TransformerBlock


def without_atoms(model: keras.Model, parts: Parts, removed: Collection[int]) -> keras.Model:
    """Returns a smaller copy of a model; the given one is left as it is.

    The copy gives the numbers that the model would give if nothing read what was removed (kernels with zeros there).

    Args:
        model: A built functional model.
        parts: What `trace` found in it.
        removed: The atoms to remove, as `Parts.groups` names them.

    Returns:
        An uncompiled model with layers of the same names.
    """
    gone = np.array(sorted(removed), dtype=int)
    kept = {id(use): ~np.isin(parts.roots(use.atoms), gone) for use in parts.uses}
    configurations: dict[int, dict[str, Any]] = {}
    for setting in parts.settings:
        left = int((~np.isin(parts.roots(setting.atoms), gone)).sum())
        configuration = configurations.setdefault(id(setting.layer), setting.layer.get_config())
        before = configuration[setting.name]
        configuration[setting.name] = (*before[:-1], left) if isinstance(before, list | tuple) else left
        if setting.name == "heads" and isinstance(setting.layer, TransformerBlock | SelfAttention) \
                and left != before:
            configuration["head_size"] = head_size_of(setting.layer)
    smaller, copies = _rebuilt(model, configurations, {})
    cuts: dict[int, list[tuple[int, np.ndarray]]] = {}
    for use in parts.uses:
        cuts.setdefault(id(use.variable), []).append((use.axis, kept[id(use)]))
    for layer, copy in copies:
        for old, new in zip(layer.variables, copy.variables, strict=True):
            value = keras.ops.convert_to_numpy(old)
            for axis, mask in cuts.get(id(old), ()):
                value = np.compress(mask, value, axis=axis)
            new.assign(value)
    return smaller


def without_calls(model: keras.Model, bypassed: Mapping[int, int]) -> keras.Model:
    """Returns a copy in which some layers hand on one of their inputs; what then leads nowhere is gone.

    Args:
        model: A built functional model; left as it is.
        bypassed: The place of the input that is handed on, by the `id` of the layer or operation.

    Returns:
        An uncompiled model with layers of the same names and parameters.
    """
    shorter, copies = _rebuilt(model, {}, bypassed)
    left = {id(layer) for layer in shorter.layers}
    for layer, copy in copies:
        if id(copy) in left:
            for old, new in zip(layer.variables, copy.variables, strict=True):
                new.assign(old)
    return shorter


def copy_of(model: keras.Model) -> keras.Model:
    """Returns an uncompiled copy of a functional model with the same parameters."""
    return without_calls(model, {})


def _rebuilt(model: keras.Model, configurations: Mapping[int, dict[str, Any]],
             bypassed: Mapping[int, int]) -> tuple[keras.Model, list[tuple[Any, Any]]]:
    inputs = keras.tree.map_structure(
        lambda tensor: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name), model.input)
    copies: dict[int, tuple[Any, Any]] = {}

    def copied(operation: Any) -> Any:
        if id(operation) in bypassed:
            return _handing_on(bypassed[id(operation)])
        if not isinstance(operation, keras.layers.Layer):
            return operation
        if id(operation) not in copies:
            configuration = configurations.get(id(operation), operation.get_config())
            copies[id(operation)] = operation, type(operation).from_config(configuration)
        return copies[id(operation)][1]

    # The way keras.models.clone_model goes, which cannot leave out calls.
    outputs = model._run_through_graph(inputs, operation_fn=copied)
    return keras.Model(inputs, outputs, name=model.name), list(copies.values())


def _handing_on(place: int) -> Any:
    def hand_on(*arguments: Any, **_: Any) -> Any:
        given = [item for value in arguments for item in (value if isinstance(value, list | tuple) else [value])]
        return given[place]
    return hand_on
