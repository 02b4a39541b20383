"""Class names that belong to published weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zoo.errors import WeightsError
from zoo.spec import WeightsRef
from zoo.weights.download import fetch
from zoo.weights.settings import DownloadSettings
from zoo.weights.transfer import Progress


def load_labels(ref: WeightsRef, settings: DownloadSettings | None = None, *,
                progress: Progress | None = None) -> tuple[str, ...]:
    """Returns the class names of published weights, in the order of the class axis.

    Args:
        ref: The weights; without a labels file there are no names.
        settings: Cache, mirror and tokens; None reads the environment.
        progress: Called with bytes so far and bytes in all (None = unknown).

    Returns:
        One name per class, or nothing where the publisher gives none.

    Raises:
        DownloadError: The labels file cannot be fetched.
        ChecksumError: It is not the promised one.
        WeightsError: It is not in the expected form, or its number of classes is another one.
    """
    if ref.labels_file is None:
        return ()
    path = fetch(ref.labels_file, settings, progress=progress).entry.path
    labels = read_class_index(path)
    if ref.num_classes and len(labels) != ref.num_classes:
        raise WeightsError(f"The labels file {path} has {len(labels)} classes, expected {ref.num_classes} for the "
                           f"weights {ref.tag!r}.")
    return labels


def read_class_index(path: Path) -> tuple[str, ...]:
    """Reads class names in the form {"0": ["n01440764", "tench"], "1": ...}.

    Args:
        path: A JSON file. A name that two classes share gets the class's identifier behind it.

    Returns:
        The names by their index.

    Raises:
        WeightsError: The file has another form.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        pairs = [tuple(map(str, data[str(index)])) for index in range(len(data))]
        names = [name for _, name in pairs]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"The labels file {path} must read {{\"0\": [\"identifier\", \"name\"], \"1\": ...}} with "
                           f"every index from 0. What is wrong: {error!r}") from error
    return tuple(f"{name} ({identifier})" if names.count(name) > 1 else name for identifier, name in pairs)
