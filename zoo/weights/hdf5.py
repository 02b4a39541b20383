"""Reads names, shapes and values out of HDF5 files that nobody vouches for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from zoo.errors import WeightsError

_DEEPEST = 64  # groups in groups; real files stay below ten


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Opens an HDF5 file for reading.

    Args:
        path: The file.

    Yields:
        The h5py file.

    Raises:
        WeightsError: It is no HDF5 file, or broken.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{path} cannot be read as an HDF5 file: {error}. It may be cut short; get it again.") \
            from error


def datasets(group: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yields all datasets below a group by their paths, in the file's order.

    Args:
        group: An h5py file or group.
        prefix: What stands before the paths.
        depth: How deep the group lies.

    Yields:
        Path and h5py dataset.

    Raises:
        WeightsError: The file links to another place or file, or is nested absurdly deep.
    """
    if depth > _DEEPEST:
        raise WeightsError(f"{group.file.filename} nests its groups deeper than {_DEEPEST}; no weights file does.")
    for name in group:
        child = member(group, name)
        if isinstance(child, h5py.Dataset):
            yield f"{prefix}{name}", child
        else:
            yield from datasets(child, f"{prefix}{name}/", depth + 1)


def member(group: Any, name: str) -> Any:
    """Returns what lies below a group, refusing links.

    A link could name any file that this process may read, and put its content into the model.

    Args:
        group: An h5py file or group.
        name: A name, or names joined by "/".

    Returns:
        An h5py group or dataset.

    Raises:
        WeightsError: It does not exist, or is a link, or its values lie in another file.
    """
    for part in name.strip("/").split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            fault = "has no entry" if link is None else "has a link, which is refused, at"
            where = group.file.filename
            raise WeightsError(f"{where} {fault} {name!r}. It is no Keras weights file as Keras writes them.")
        group = group[part]
    if isinstance(group, h5py.Dataset) and (group.external or group.is_virtual):
        raise WeightsError(f"{group.file.filename} keeps {name!r} in another file, which is refused.")
    return group


def texts(group: Any, name: str) -> list[str]:
    """Returns a list of texts from a group's attributes, also where it was split up ("name0", "name1", ...).

    Args:
        group: An h5py file or group.
        name: The attribute.

    Returns:
        The texts; empty where there is no such attribute.
    """
    if name in group.attrs:
        return [_text(value) for value in group.attrs[name]]
    found: list[str] = []
    part = 0
    while f"{name}{part}" in group.attrs:
        found += [_text(value) for value in group.attrs[f"{name}{part}"]]
        part += 1
    return found


def values(dataset: Any) -> np.ndarray[Any, Any]:
    """Returns the values of a dataset; only for one whose shape has been checked, since a file may claim any."""
    return np.asarray(dataset)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
