"""The name under which another process finds an object: "file.py:name" or "package.module:name"."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from tuning.errors import SearchError
from zoo.errors import ArgumentError

_LOADER = str(Path("tuning") / "programs" / "user_code.py")


def reference_of(found: Any, what: str) -> str:
    """Returns where an object stands; trials run in processes of their own and import it from there.

    Args:
        found: A function, class or object with a name at the top level of a file; a reference is returned as it is.
        what: The argument's name, for messages.

    Returns:
        "file.py:name", or for a module of a package "package.module:name".

    Raises:
        ArgumentError: It has no such name, as a lambda, a local function or an object in a notebook has not.
    """
    if isinstance(found, str):
        return found
    home = found if hasattr(found, "__qualname__") else type(found)
    for module in (sys.modules.get(home.__module__), sys.modules.get("__main__")):
        name = _name_in(module, found)
        if module is None or name is None:
            continue
        if "." in module.__name__:
            return f"{module.__name__}:{name}"
        path = getattr(module, "__file__", None)
        if path is not None and path.endswith(".py"):
            return f"{Path(path).absolute()}:{name}"
    raise ArgumentError(f"`{what}` must have a name at the top level of a file of Python code, because each trial runs "
                        f"in a process of its own and imports it. Received: {found!r}. Move it to a file, or name it: "
                        "'file.py:name'.")


def refuse_inside_a_trial() -> None:
    """Refuses a search that begins because a file is imported that another search needs.

    Raises:
        SearchError: This is called while a search imports the user's code.
    """
    if any(frame.filename.endswith(_LOADER) for frame in traceback.extract_stack()):
        raise SearchError("The file of the hypermodel begins a search whenever it is imported, and each trial imports "
                          "it. Put the call under: if __name__ == \"__main__\":")


def _name_in(module: ModuleType | None, found: Any) -> str | None:
    """Returns the global name of an object; its own name first."""
    if module is None:
        return None
    own = getattr(found, "__name__", None)
    if own is not None and vars(module).get(own) is found:
        return str(own)
    return next((name for name, value in vars(module).items() if value is found and name.isidentifier()
                 and not name.startswith("_")), None)
