"""Whether a folder holds a saved model: the check that needs no TensorFlow, so that a wrong path is told at once."""

from __future__ import annotations

import os
from pathlib import Path

from zoo.errors import BundleError

INDEX_NAME = "bundle.json"


def is_bundle(directory: str | os.PathLike[str]) -> bool:
    """Returns whether a folder holds a saved model.

    Args:
        directory: The folder.

    Returns:
        True if it does.
    """
    return (Path(directory) / INDEX_NAME).is_file()


def require_bundle(directory: str | os.PathLike[str]) -> None:
    """Refuses a folder that holds no saved model.

    Args:
        directory: The folder.

    Raises:
        BundleError: It is missing or holds none.
    """
    if not is_bundle(directory):
        raise BundleError(f"There is no saved model in {os.fspath(directory)}: the file {INDEX_NAME} is missing. Give "
                          "a folder that `zoo train --output` or zoo.save wrote.")
