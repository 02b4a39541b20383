"""What is in the model folder right now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from serving.errors import RepositoryError

# Version folders by number, by model name.
FoundModels = dict[str, dict[int, Path]]

_GRAPH_FILES: Final = ("saved_model.pb", "saved_model.pbtxt")
_LARGEST_VERSION: Final = 2**63 - 1


class FolderSource:
    """A folder of models, ROOT/<model>/<version>/, or one model's own folder, <model>/<version>/.

    Args:
        root: The folder. It is one model's own where a child of it has a number for a name.
        model_name: The name of the model in that case; None takes the folder's.

    Raises:
        RepositoryError: The folder does not exist.
    """

    def __init__(self, root: Path, model_name: str | None = None) -> None:
        if not root.is_dir():
            raise RepositoryError(
                f"The model folder {root} does not exist. Expected a folder with <model>/<version>/saved_model.pb "
                "inside; export a model into it first."
            )
        self._root = root
        self._model_name = model_name

    def scan(self) -> FoundModels:
        """All versions that can be loaded.

        Returns:
            Version folders by number and model name; a model whose versions are all incomplete has none. Only children
            with a plain number as their name count, and only with a saved_model.pb inside: staging folders, hidden
            folders and half-copied versions do not.

        Raises:
            OSError: The folder cannot be read.
        """
        own = dict(_numbered(self._root))
        if own:
            return {self._model_name or self._root.resolve().name: _complete(own)}
        models: FoundModels = {}
        for child in sorted(self._root.iterdir()):
            if child.name.startswith(".") or not child.is_dir():
                continue
            versions = dict(_numbered(child))
            if versions:
                models[child.name] = _complete(versions)
        return models


def _numbered(folder: Path) -> Iterator[tuple[int, Path]]:
    # "7" comes after "007" in this order, so the plain spelling of a version wins where both are there.
    for child in sorted(folder.iterdir(), key=lambda path: (-len(path.name), path.name)):
        name = child.name
        if name.isascii() and name.isdigit() and int(name) <= _LARGEST_VERSION and child.is_dir():
            yield int(name), child


def _complete(versions: dict[int, Path]) -> dict[int, Path]:
    return {
        number: folder
        for number, folder in sorted(versions.items())
        if any((folder / file).is_file() for file in _GRAPH_FILES)
    }
