"""The architecture of a model that the registry cannot build again, as JSON-ready data."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import keras

from zoo.errors import BundleError, MissingDependencyError

# Keras finds a layer that is not its own once the module that has it is imported. Nothing else is imported by what a
# file says.
_OWN_LAYERS, _KERAS_HUB = "zoo.layers.", "keras_hub"


def architecture_of(model: keras.Model) -> dict[str, Any]:
    """Returns the Keras configuration of a model, without how it was compiled."""
    whole = {**keras.saving.serialize_keras_object(model)}
    whole.pop("compile_config", None)  # how it was trained; what is loaded is uncompiled
    return whole


def rebuilt(config: dict[str, Any], name: str) -> keras.Model:
    """Builds a model from what `architecture_of` returned.

    Args:
        config: The configuration.
        name: What to call the model in errors.

    Raises:
        BundleError: A layer is not known, or carries code.
        MissingDependencyError: Its layers are those of keras-hub, which is not installed.
    """
    _import_layers(config, name)
    try:
        return keras.saving.deserialize_keras_object(config, safe_mode=True)
    except (TypeError, ValueError, ImportError) as error:
        raise BundleError(f"The architecture of {name!r} cannot be rebuilt: {str(error).splitlines()[0]} "
                          "Import the package that registers its custom layers first; Lambda layers are refused, "
                          "because they carry code.") from error


def without_shapes(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration whose layers do not say for which shapes they were built, but for the model itself.

    Args:
        config: What `architecture_of` returned.
    """
    return {**config, "config": _without_shapes(config["config"])}


def _without_shapes(config: Any) -> Any:
    if isinstance(config, list):
        return [_without_shapes(part) for part in config]
    if not isinstance(config, dict):
        return config
    is_layer = "class_name" in config and "config" in config
    return {name: _without_shapes(value) for name, value in config.items() if not (is_layer and name == "build_config")}


def _import_layers(config: Any, name: str) -> None:
    modules = set(_modules(config))
    for module in sorted(module for module in modules if module.startswith(_OWN_LAYERS)):
        importlib.import_module(module)
    if any(module.partition(".")[0] == _KERAS_HUB for module in modules):
        try:
            importlib.import_module(_KERAS_HUB)
        except ImportError as error:
            raise MissingDependencyError("keras-hub", "hub", f"Loading {name}") from error


def _modules(config: Any) -> Iterator[str]:
    if isinstance(config, list):
        for part in config:
            yield from _modules(part)
    elif isinstance(config, dict):
        if "class_name" in config and isinstance(config.get("module"), str):
            yield config["module"]
        for part in config.values():
            yield from _modules(part)
