"""Texts in class folders of .txt files: which are usable, and reading them on demand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.data.cleaning import Exclusion
from zoo.data.fingerprints import DIGEST_BYTES, content_digest
from zoo.data.folders import read_class_folders
from zoo.data.labelled import Lazy
from zoo.data.planning import Found
from zoo.data.text_encoding import FoundTexts


def text_files(folder: Path, labels: Sequence[str] | None) -> FoundTexts:
    """Finds the texts of class folders and checks them.

    Args:
        folder: Holds one folder of .txt files per class.
        labels: Class names to use, or None for all.

    Returns:
        The readable texts.

    Raises:
        DataError: No class folders, or no folder of a chosen class.
    """
    files = read_class_folders(folder, labels)
    problems: list[Exclusion] = []
    keep, digests, lengths = [], [], []
    for index, name in enumerate(files.paths):
        content = _checked_text(files.folder / name, name)
        if isinstance(content, Exclusion):
            problems.append(content)
        else:
            keep.append(index)
            digests.append(content_digest(content.encode("utf-8")))
            lengths.append(len(content))
    names = [files.paths[index] for index in keep]

    def read(indices: np.ndarray) -> list[tuple[str]]:
        return [((files.folder / names[index]).read_text(encoding="utf-8-sig"),) for index in indices]

    found = Found(
        where=str(files.folder),
        names=Lazy(len(names), lambda index: str(files.folder / names[index])),
        digests=np.array(digests, f"S{DIGEST_BYTES}"),
        targets=np.array(files.classes, np.int32)[keep],
        labels=files.labels,
        given=np.array(files.parts, np.int8)[keep],
        checked=len(files.paths) + len(files.excluded),
        excluded=tuple(sorted([*files.excluded, *problems], key=lambda exclusion: exclusion.source)),
    )
    return FoundTexts(found, read, np.array(lengths, np.int32))


def _checked_text(path: Path, name: str) -> str | Exclusion:
    if path.suffix.lower() not in (".txt", ".text", ".md", ""):
        return Exclusion(name, "not a text", f"the ending is {path.suffix}, expected .txt")
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return Exclusion(name, "unreadable", f"not UTF-8 at byte {error.start}")
    except OSError as error:
        return Exclusion(name, "unreadable", error.strerror or type(error).__name__)
    return content if content.strip() else Exclusion(name, "empty")
