"""Arrays that a search was given, kept as .npy files in its folder, where every trial's process opens them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tuning.errors import StoreError
from zoo.errors import ArgumentError

_STRUCTURE = "arrays.json"
_LOADER = "arrays.py"
_FUNCTION = "load"
_CODE = f'''"""Opens the arrays of this folder; written by tuning.search."""

from pathlib import Path

from tuning.kept_arrays import read_arrays


def {_FUNCTION}():
    return read_arrays(Path(__file__).parent)
'''


def keep_arrays(folder: Path, arrays: Mapping[str, Any]) -> str:
    """Writes what `model.fit` is to be given.

    Args:
        folder: Where to; made if missing. What stands there must be the same.
        arrays: Keyword arguments of `model.fit`: arrays, tuples, lists and dicts of them, and plain values.

    Returns:
        The reference of a function that returns them: "file.py:name".

    Raises:
        ArgumentError: Something cannot be kept, such as a tf.data.Dataset.
        StoreError: The folder holds other arrays, or cannot be written.
    """
    found: list[np.ndarray] = []
    structure = {str(name): _described(str(name), value, found) for name, value in arrays.items()}
    digests = [_digest(array) for array in found]
    content = json.dumps({"format": 1, "structure": structure, "sha256": digests}, indent=1) + "\n"
    try:
        known = (folder / _STRUCTURE).read_text() if (folder / _STRUCTURE).is_file() else None
        if known is None:
            folder.mkdir(parents=True, exist_ok=True)
            for number, array in enumerate(found):
                np.save(folder / f"{number}.npy", array, allow_pickle=False)
            (folder / _LOADER).write_text(_CODE)
            (folder / _STRUCTURE).write_text(content)  # last: what is half-written is written again
        elif known != content:
            raise StoreError(f"The search in {folder.parent} was begun with other arrays. Give the same ones to go on, "
                             "or another folder for a new search.")
    except OSError as error:
        raise StoreError(f"The arrays cannot be kept in {folder}: {error.strerror or error}.") from error
    return f"{folder / _LOADER}:{_FUNCTION}"


def read_arrays(folder: Path) -> dict[str, Any]:
    """Opens what `keep_arrays` wrote; the arrays are mapped from the files, so that processes share them.

    Args:
        folder: The folder.

    Returns:
        Keyword arguments of `model.fit`.
    """
    structure = json.loads((folder / _STRUCTURE).read_text())["structure"]
    return {name: _restored(entry, folder) for name, entry in structure.items()}


def _described(name: str, value: Any, found: list[np.ndarray]) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {"dict": {str(key): _described(f"{name}[{key!r}]", entry, found) for key, entry in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [_described(f"{name}[{index}]", entry, found) for index, entry in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    if isinstance(value, list) or hasattr(value, "__array__"):
        array = np.asarray(value)
        if array.dtype != object:
            found.append(array)
            return {"array": len(found) - 1}
    raise ArgumentError(f"`{name}` must be arrays of numbers or texts, or plain values. Received: "
                        f"{type(value).__name__}. Name a function instead that returns what model.fit takes.")


def _restored(entry: Mapping[str, Any], folder: Path) -> Any:
    (kind, value), = entry.items()
    if kind == "dict":
        return {name: _restored(inner, folder) for name, inner in value.items()}
    if kind == "tuple":
        return tuple(_restored(inner, folder) for inner in value)
    return np.load(folder / f"{value}.npy", mmap_mode="r") if kind == "array" else value


def _digest(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data if array.size else b"")
    return digest.hexdigest()
