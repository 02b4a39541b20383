"""Which examples a model is trained and judged on, as pure data."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import ArgumentError

NAMED_SCHEMES = ("keras:", "tfds:")


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Which examples to use, and how to read and split them.

    Attributes:
        path: A folder or file, or the name of a public dataset ("keras:mnist", "tfds:...").
        target: Columns of a table to predict.
        columns: Columns of a table to predict from; empty for all the others.
        shape: What a row of a table is reshaped to, (steps, features), for models of series.
        text_column: Column of the text; empty to guess it.
        text_pair_column: Column of the second text, where the examples are pairs of texts; empty for single texts.
        label_column: Column of the label; empty to guess it.
        max_length: Words or tokens kept of each text, or tokens of a block of running text; None takes what the
            model reads.
        max_words: Size of a learnt vocabulary; None takes 20,000 words, 8,000 word pieces, or for byte pairs
            the 256 bytes alone.
        validation_fraction: Fraction in [0, 1) to choose by.
        test_fraction: Fraction in [0, 1) to judge by.
        seed: Chooses the examples of the parts.
        keep_duplicates: Whether equal examples are all used; None takes the default of the kind of data.
    """

    path: str
    target: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    text_column: str = ""
    text_pair_column: str = ""
    label_column: str = ""
    max_length: int | None = None
    max_words: int | None = None
    validation_fraction: float = 0.15
    test_fraction: float = 0.15
    seed: int = 0
    keep_duplicates: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the source as JSON-ready data."""
        return {name: list(value) if isinstance(value, tuple) else value
                for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataSource:
        """Reads what `to_dict` wrote.

        Raises:
            ArgumentError: A field is unknown or `path` is missing.
        """
        read: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value
                                for name, value in values.items()}
        try:
            return cls(**read)
        except TypeError as error:
            raise ArgumentError(f"This does not say which data to use: {error}") from None


def anywhere(source: DataSource) -> DataSource:
    """Names data so that they are found from every working directory.

    Args:
        source: The data.

    Returns:
        The same with an absolute path, or unchanged if they are a public dataset.
    """
    if source.path.startswith(NAMED_SCHEMES):
        return source
    return dataclasses.replace(source, path=os.path.abspath(source.path))  # noqa: PTH100  (a link stays a link)
