"""Parameters of a Keras model as one safetensors file: the same bytes for the same parameters, and nothing to execute.

The keys are the paths of the Keras variables. Keras numbers unnamed layers over the life of the process ("dense_7",
"seed_generator_12"), so those numbers are counted anew within each parent: the first such layer is "dense", the next
"dense_1", as in a fresh process. A path that two variables share gets "#2", "#3" in the model's order.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors
import safetensors.numpy
from keras.src.utils.naming import to_snake_case

from zoo.errors import WeightsError
from zoo.weights.head import STRICT, HeadRule
from zoo.weights.matching import Tensor, match
from zoo.weights.report import LoadReport

_NUMBERED = re.compile(r"(.*?)(?:_(\d+))?")
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
           "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
           "BOOL": "bool"}
# One entry only: the library writes several in no fixed order.
_METADATA = {"format": "servable-zoo"}


def variable_keys(model: keras.Model) -> dict[str, Any]:
    """Returns the variables of a model by the keys that they have in the file.

    Args:
        model: A built Keras model.

    Returns:
        Keras variables (parameters, BatchNorm statistics, states of random generators; nothing of an optimizer or a
        metric) in the model's order. The keys are the same in every build of one architecture.
    """
    automatic = _automatic_names(model)
    counted: dict[tuple[str, str], dict[str, int]] = {}
    keys: dict[str, Any] = {}
    for variable in model.variables:
        # A Sequential model puts its own name before those of its layers, but not when it is rebuilt from its config.
        base = _renumbered(variable.path.removeprefix(f"{model.name}/"), automatic, counted)
        key, again = base, 1
        while key in keys:
            again += 1
            key = f"{base}#{again}"
        keys[key] = variable
    return keys


def save_safetensors(model: keras.Model, path: str | os.PathLike[str]) -> Path:
    """Writes the variables of a model into a safetensors file, in one step.

    Args:
        model: A built Keras model; variables of float, int and bool types of any width up to 64 bits.
        path: The file; one that is there is replaced.

    Returns:
        The path.

    Raises:
        WeightsError: The model is not built, or has a variable of a type that the format cannot hold.
        OSError: The file cannot be written; the old one is unchanged.
    """
    if not model.built:
        raise WeightsError(f"The model {model.name!r} has no variables yet. Call it once, or build() it, then save it.")
    target = Path(path)
    arrays = {key: _array(key, variable) for key, variable in variable_keys(model).items()}
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        _write(arrays, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def load_safetensors(model: keras.Model, path: str | os.PathLike[str], *, rule: HeadRule = STRICT) -> LoadReport:
    """Loads what `save_safetensors` wrote; nothing is changed unless everything fits.

    Args:
        model: A built Keras model of the same architecture.
        path: The file.
        rule: How far the head may differ; by default not at all.

    Returns:
        What happened to each variable.

    Raises:
        WeightsError: The file is no safetensors file, or names, shapes or types differ; all differences are listed.
    """
    source = Path(path)
    variables = variable_keys(model)
    try:
        with safetensors.safe_open(source, framework="np") as file:
            found = match(variables, _tensors(file), rule, source.name)
            for key in found.keys:
                variables[key].assign(file.get_tensor(key))
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{source} cannot be read as a safetensors file: {error}") from error
    finish_state(model, [variables[key] for key in found.keys])
    return found.report


def finish_state(model: keras.Model, assigned: Iterable[Any]) -> None:
    """Lets layers that compute something from their variables (Normalization) do so again.

    Args:
        model: The model.
        assigned: The variables that got new values.
    """
    changed = {id(variable) for variable in assigned}
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state") and any(id(variable) in changed for variable in layer.variables):
            layer.finalize_state()


# === Keys ===


def _automatic_names(model: keras.Model) -> frozenset[str]:
    """Returns the names that Keras gives to unnamed layers of the model's classes, without their number."""
    names = {"seed_generator"}
    for layer in model._flatten_layers():
        name = to_snake_case(type(layer).__name__)
        # Bidirectional names its two copies after the layer that it was given.
        names |= {name, f"forward_{name}", f"backward_{name}"}
    return frozenset(names)


def _renumbered(path: str, automatic: frozenset[str], counted: dict[tuple[str, str], dict[str, int]]) -> str:
    parent = ""
    *layers, name = path.split("/")
    for segment in layers:
        stem = _NUMBERED.fullmatch(segment)[1]  # type: ignore[index]  # it matches every text
        shown = segment
        if stem in automatic:
            ranks = counted.setdefault((parent, stem), {})
            rank = ranks.setdefault(segment, len(ranks))
            shown = f"{stem}_{rank}" if rank else stem
        parent = f"{parent}{shown}/"
    return parent + name


# === Values ===


def _array(key: str, variable: Any) -> np.ndarray[Any, Any]:
    array = np.ascontiguousarray(variable.value.numpy()).reshape(tuple(variable.shape))
    if str(array.dtype) not in _DTYPES.values():
        raise WeightsError(f"The variable {key} has the type {array.dtype}, which a safetensors file cannot hold. "
                           f"Possible are: {', '.join(_DTYPES.values())}.")
    return array


def _write(arrays: dict[str, np.ndarray[Any, Any]], path: Path) -> None:
    try:
        safetensors.numpy.save_file(arrays, path, metadata=_METADATA)
    except safetensors.SafetensorError as error:
        number = _SYSTEM_ERROR.search(str(error))
        if number is None:
            raise
        # The library hides what the system said (no such folder, disk full) in the text of an error of its own.
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def _tensors(file: Any) -> Mapping[str, Tensor]:
    found = {}
    for key in file.keys():  # noqa: SIM118 - a safetensors file is no mapping
        part = file.get_slice(key)
        dtype = part.get_dtype()
        found[key] = Tensor(key, tuple(part.get_shape()), _DTYPES.get(dtype, dtype))
    return found
