"""Every error that zoo raises on purpose, in one tree.

    ZooError
    ├── UnknownNameError        a model, weights tag, label, optimizer ... that does not exist (also a KeyError)
    ├── DuplicateNameError      a name that is already registered
    ├── ArgumentError           an argument of the wrong name, type or range (also a ValueError)
    ├── DataError               a dataset that cannot be used as it is
    ├── WeightsError            parameters that cannot be found, verified or fitted to a model
    │   ├── DownloadError       a file that could not be fetched
    │   └── ChecksumError       a file whose content is not the promised one
    ├── BundleError             a saved model folder that is missing, broken or of a newer format
    ├── TrainingError           a training run that had to stop
    └── MissingDependencyError  an optional package that is not installed (also an ImportError)

Each message says what is wrong, what was expected, what came and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZooError(Exception):
    """Base of all errors that zoo raises on purpose."""


class ArgumentError(ZooError, ValueError):
    """An argument has a wrong name, type or range."""


class UnknownNameError(ZooError, KeyError):
    """A name was asked for that does not exist; the message lists the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind = kind
        self.name = name
        self.suggestions = tuple(difflib.get_close_matches(name, list(known), n=3, cutoff=0.5))
        near = f" Did you mean {' or '.join(repr(s) for s in self.suggestions)}?" if self.suggestions else ""
        self.message = f"Unknown {kind} {name!r}.{near}{' ' + hint if hint else ''}"
        super().__init__(self.message)

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return self.message


class DuplicateNameError(ZooError):
    """A name is registered twice."""


class DataError(ZooError):
    """A dataset cannot be used as it is."""


class WeightsError(ZooError):
    """Parameters cannot be found, verified or fitted to a model."""


class DownloadError(WeightsError):
    """A file could not be fetched from any of its addresses."""


class ChecksumError(WeightsError):
    """A file's content is not the promised one."""


class BundleError(ZooError):
    """A saved model folder is missing, broken or written by a newer version."""


class TrainingError(ZooError):
    """A training run had to stop."""


class MissingDependencyError(ZooError, ImportError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}, which is not installed. Install it with: "
                         f"pip install 'servable-zoo[{extra}]'")
