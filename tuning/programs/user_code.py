"""Objects that a search names by where they stand: "file.py:name" or "package.module:name"."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from tuning.errors import SearchError


def load_object(reference: str) -> Any:
    """Imports an object by its reference. The code of its module runs.

    Args:
        reference: "file.py:name", the file's path absolute or from the working directory, or "package.module:name".

    Returns:
        The object.

    Raises:
        SearchError: There is no such file, module or name. What the module itself raises is not changed.
    """
    place, colon, name = reference.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise SearchError("Code is named as file.py:name or package.module:name, such as model.py:build. "
                          f"Received: {reference!r}")
    module = _module_of_file(Path(place)) if place.endswith(".py") else _module(place)
    try:
        return getattr(module, name)
    except AttributeError:
        offered = ", ".join(sorted(key for key in vars(module) if not key.startswith("_"))[:20])
        raise SearchError(f"{place} has no {name!r}. It has: {offered or 'nothing'}.") from None


def load_data(reference: str) -> dict[str, Any]:
    """Calls a function of the user's that returns what `model.fit` takes.

    Args:
        reference: As `load_object` takes it; empty for no data.

    Returns:
        Keyword arguments of `model.fit`.

    Raises:
        SearchError: It is no function without arguments that returns a dict.
    """
    if not reference:
        return {}
    function = load_object(reference)
    if not callable(function):
        raise SearchError(f"{reference} must be a function without arguments. It is {type(function).__name__}.")
    data = function()
    if not isinstance(data, Mapping):
        raise SearchError(f"{reference} must return a dict of what model.fit takes, such as {{'x': ..., 'y': ..., "
                          f"'validation_data': (..., ...)}}. It returned {type(data).__name__}.")
    return dict(data)


def _module(name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise SearchError(f"There is no module {name!r}, neither in {Path.cwd()} nor installed.") from None
        raise


def _module_of_file(path: Path) -> ModuleType:
    path = path.absolute()
    if not path.is_file():
        raise SearchError(f"There is no file {path}. Name a file of Python code.")
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    name = f"{path.stem}_{digest}"  # another file of the same name, or a package, must not be taken for it
    if name in sys.modules:
        return sys.modules[name]
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))  # as where Python runs the file itself
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SearchError(f"{path} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
