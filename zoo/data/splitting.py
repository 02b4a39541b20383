"""The seeded, stratified split into train, validation and test.

Each example gets the key sha256(seed, content). Within a class the examples with the lowest keys are the test
part, those with the highest keys the validation part, and the rest trains. The split therefore depends on nothing
but contents, classes and seed: not on the order of the file system, on file names or on the machine. Adding or
removing a few examples moves only as many others across a boundary; the rest stays where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.errors import ArgumentError, DataError

PARTS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
UNDECIDED = -1


@dataclass(frozen=True, kw_only=True)
class SplitFractions:
    """Which fraction of the examples, each in [0, 1), is held out, and the seed that chooses them."""

    validation: float = 0.15
    test: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ArgumentError(f"`{name}_fraction` must be in [0, 1). Received: {getattr(self, name)}")
        if self.validation + self.test >= 1.0:
            raise ArgumentError("`validation_fraction` and `test_fraction` must leave something to train on. Received: "
                                f"{self.validation} + {self.test}")

    def without(self, parts: Sequence[int]) -> SplitFractions:
        """Returns the same fractions with 0 for the parts that need not be cut out."""
        return SplitFractions(validation=0.0 if VALIDATION in parts else self.validation,
                              test=0.0 if TEST in parts else self.test, seed=self.seed)

    @property
    def smallest_class(self) -> int:
        """The number of examples that a class needs, so that each part gets one."""
        return 1 + (self.validation > 0) + (self.test > 0)


def assign_parts(digests: np.ndarray, classes: np.ndarray | None, fractions: SplitFractions) -> np.ndarray:
    """Assigns every example to a part.

    Examples of equal content and class come into the same part, unless that would leave a part empty.

    Args:
        digests: bytes [n], the content digest of every example.
        classes: Class index of every example, shape [n]; None for no classes.
        fractions: Sizes of the parts, and the seed.

    Returns:
        int8 [n]: index into `PARTS`. Every class with at least `fractions.smallest_class` examples is in every part.
    """
    strata = np.zeros(len(digests), np.int64) if classes is None else classes
    keys = _keys(digests, fractions.seed)
    parts = np.full(len(digests), TRAIN, np.int8)
    order = np.lexsort((np.arange(len(keys)), keys, strata))
    starts = np.flatnonzero(np.r_[True, np.diff(strata[order]) != 0]) if len(order) else np.zeros(0, np.int64)
    for members in np.split(order, starts[1:]):
        test, validation = _sizes(len(members), fractions)
        test, last = _ties_together(keys[members], test, len(members) - validation)
        parts[members[:test]] = TEST
        parts[members[last:]] = VALIDATION
    return parts


def _keys(digests: np.ndarray, seed: int) -> np.ndarray:
    prefix = hashlib.sha256(f"split {seed} ".encode())
    keys = np.empty(len(digests), "S16")
    for index, digest in enumerate(digests):
        key = prefix.copy()
        key.update(bytes(digest).ljust(16, b"\0"))  # numpy drops zero bytes at the end
        keys[index] = key.digest()[:16]
    return keys


def _sizes(count: int, fractions: SplitFractions) -> tuple[int, int]:
    """Returns how many of a class's examples become test and validation."""
    sizes = [max(1, int(count * fraction + 0.5)) if fraction else 0
             for fraction in (fractions.test, fractions.validation)]
    while sum(sizes) and sum(sizes) > count - 1:  # at least one stays to train on
        sizes[sizes.index(max(sizes))] -= 1
    return sizes[0], sizes[1]


def _ties_together(keys: np.ndarray, test: int, last: int) -> tuple[int, int]:
    """Moves the two boundaries into the training part, so that equal contents stay together."""
    moved_test, moved_last = test, last
    while 0 < moved_test < moved_last and keys[moved_test] == keys[moved_test - 1]:
        moved_test += 1
    while moved_test < moved_last < len(keys) and keys[moved_last] == keys[moved_last - 1]:
        moved_last -= 1
    return (moved_test, moved_last) if moved_test < moved_last else (test, last)


def check_class_sizes(classes: np.ndarray, labels: Sequence[str], smallest: int, where: str) -> None:
    """Checks that there are two classes or more, each large enough for the split.

    Args:
        classes: Class index of every usable example, shape [n].
        labels: Class names.
        smallest: Number of examples that each class needs.
        where: The dataset, for the message.

    Raises:
        DataError: Fewer than two classes, or a class with fewer examples.
    """
    if len(labels) < 2:
        raise DataError(f"{where} has {'only the class ' + repr(labels[0]) if labels else 'no class'}, expected at "
                        "least two. Add examples of another class.")
    counts = np.bincount(classes, minlength=len(labels))
    small = [index for index in range(len(labels)) if counts[index] < smallest]
    if small:
        rest = f" (and {len(small) - 1} more classes)" if len(small) > 1 else ""
        raise DataError(f"The class {labels[small[0]]!r} in {where} has {counts[small[0]]} usable examples, expected "
                        f"at least {smallest}, one for each part of the split{rest}. Add examples, or choose the "
                        "classes with `labels`, or make a fraction 0.")
