"""Folders of class folders: which files they hold, of which class and in which part of the split."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.data.cleaning import Exclusion
from zoo.data.splitting import TEST, TRAIN, UNDECIDED, VALIDATION
from zoo.errors import DataError

_PART_FOLDERS = {"train": TRAIN, "training": TRAIN, "validation": VALIDATION, "val": VALIDATION, "valid": VALIDATION,
                 "dev": VALIDATION, "test": TEST, "testing": TEST}


@dataclass(frozen=True)
class ClassFiles:
    """The visible files of class folders, sorted by path.

    Attributes:
        folder: The folder that was read.
        labels: Class names in the order of the class index.
        paths: The files relative to `folder`, with forward slashes.
        classes: The class index of each file.
        parts: The part of the split that the folders put each file in, or UNDECIDED.
        excluded: Files that are in no class folder, or hidden.
    """

    folder: Path
    labels: tuple[str, ...]
    paths: list[str]
    classes: list[int]
    parts: list[int]
    excluded: list[Exclusion]


def existing_folder(folder: str | Path) -> Path:
    """Returns the folder as a path.

    Raises:
        DataError: There is no such folder, or it is empty.
    """
    path = Path(folder).expanduser()
    if not path.exists():
        raise DataError(f"The folder {path} does not exist. Give a folder with one folder of examples per class.")
    if not path.is_dir():
        raise DataError(f"{path} is a file, expected a folder with one folder of examples per class.")
    if not any(path.iterdir()):
        raise DataError(f"The folder {path} is empty, expected one folder of examples per class.")
    return path


def read_class_folders(folder: str | Path, labels: Sequence[str] | None = None) -> ClassFiles:
    """Lists the files below class folders, or below the class folders of train/, validation/ and test/.

    Args:
        folder: Holds `<class>/<file>`, or `train/<class>/<file>` and the like (val, valid and dev mean validation).
            Files may lie deeper in a class folder. Links are followed.
        labels: Class names to use, in this order; None uses all folders, sorted by name (by value where all names
            are whole numbers).

    Raises:
        DataError: No folder, an empty one, no class folder in it, or none for one of `labels`.
    """
    root = existing_folder(folder)
    excluded: list[Exclusion] = []
    part_folders = _part_folders(root, excluded)
    class_folders = [(part, path) for part, parent in part_folders for path in _visible_folders(parent, root, excluded)]
    names = sorted_labels({path.name for _, path in class_folders})
    if not names:
        raise DataError(f"{root} has no class folder in it, expected {root}/<class name>/<file> with one folder per "
                        f"class. It holds {len(excluded)} other files.")
    chosen = names if labels is None else _checked_labels(labels, names, root)
    found = ClassFiles(folder=root, labels=chosen, paths=[], classes=[], parts=[], excluded=excluded)
    for part, path in class_folders:
        if path.name not in chosen:
            excluded.append(Exclusion(_relative(path, root) + "/", "not a class", "not among the chosen labels"))
            continue
        for file in _walk(path, root, excluded):
            found.paths.append(file)
            found.classes.append(chosen.index(path.name))
            found.parts.append(part)
    return _sorted(found)


def sorted_labels(names: set[str]) -> tuple[str, ...]:
    """Returns class names in the order of the class index: whole numbers by value, all else by name."""
    if all(name.lstrip("-").isascii() and name.lstrip("-").isdigit() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _checked_labels(labels: Sequence[str], names: Sequence[str], root: Path) -> tuple[str, ...]:
    missing = [label for label in labels if label not in names]
    if missing:
        raise DataError(f"{root} has no folder for the class {missing[0]!r}. It has: {', '.join(names[:20])}.")
    if len(set(labels)) != len(labels):
        raise DataError(f"`labels` names a class twice: {', '.join(labels)}.")
    return tuple(labels)


def _part_folders(root: Path, excluded: list[Exclusion]) -> list[tuple[int, Path]]:
    """Returns the folders that hold class folders, each with its part of the split."""
    folders = [path for path in sorted(root.iterdir()) if path.is_dir() and not _hidden(path)]
    parts = [_PART_FOLDERS.get(path.name.lower()) for path in folders]
    train = [path for path, part in zip(folders, parts, strict=True) if part == TRAIN]
    given = None not in parts and train and any(child.is_dir() for child in train[0].iterdir())
    if not given:  # classes may well be called "train" and "test": then these hold files
        return [(UNDECIDED, root)]
    _visible_folders(root, root, excluded)
    return [(part, path) for path, part in zip(folders, parts, strict=True) if part is not None]


def _visible_folders(parent: Path, root: Path, excluded: list[Exclusion]) -> list[Path]:
    """Returns the folders in `parent`, and puts everything else on the list of exclusions."""
    folders = []
    for path in sorted(parent.iterdir()):
        if _hidden(path):
            excluded.append(Exclusion(_relative(path, root) + ("/" if path.is_dir() else ""), "hidden"))
        elif path.is_dir():
            folders.append(path)
        else:
            excluded.append(Exclusion(_relative(path, root), "not in a class folder"))
    return folders


def _walk(folder: Path, root: Path, excluded: list[Exclusion]) -> Iterator[str]:
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link to a folder above itself
            folders.clear()
            continue
        seen.add(real)
        for name in [name for name in folders if name.startswith(".")]:
            excluded.append(Exclusion(_relative(Path(parent, name), root) + "/", "hidden"))
            folders.remove(name)
        for name in files:
            if name.startswith("."):
                excluded.append(Exclusion(_relative(Path(parent, name), root), "hidden"))
            else:
                yield _relative(Path(parent, name), root)


def _sorted(found: ClassFiles) -> ClassFiles:
    order = sorted(range(len(found.paths)), key=found.paths.__getitem__)
    found.excluded.sort(key=lambda exclusion: exclusion.source)
    return ClassFiles(folder=found.folder, labels=found.labels, paths=[found.paths[i] for i in order],
                      classes=[found.classes[i] for i in order], parts=[found.parts[i] for i in order],
                      excluded=found.excluded)


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
