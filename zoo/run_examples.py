"""Examples for an export of a run: to learn the ranges of int8 from, and to judge candidates by."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.data.labelled import LabelledData, Split
from zoo.data_source import DataSource, anywhere
from zoo.errors import DataError
from zoo.run_folder import RUN_FILE, read_source
from zoo.runs import TrainingDataWarning, open_data
from zoo.spec import ModelRecord, Preprocessing, record_of

SplitFor = Callable[[ModelRecord], Split]


class RunExamples:
    """A run's own examples, or others that are read as they were, for every model that competes with the run's.

    Args:
        folder: The run's folder, or any folder that `zoo.save` wrote.
        model: Its model.
    """

    def __init__(self, folder: Path, model: Any) -> None:
        self._folder = folder
        self._fingerprint = record_of(model).training.get("data")
        self._read: list[tuple[DataSource, Preprocessing, LabelledData]] = []

    def to_learn_from(self, path: str | None = None) -> SplitFor | None:
        """Returns what gives examples to learn from, for a model's record.

        Args:
            path: Where they are; None takes the run's training part.

        Returns:
            None for a model that no run trained, unless a path is given.
        """
        if path is not None:
            whole = self._whole(path)
            return lambda record: self._opened(whole, record).train
        if not (self._folder / RUN_FILE).is_file():
            return None
        own = read_source(self._folder)
        return lambda record: self._checked(own, record).train

    def to_judge_by(self, path: str | None = None) -> SplitFor | None:
        """Returns what gives examples to judge by, for a model's record.

        Args:
            path: Where they are; None takes the run's validation part, or its test part if it has none.

        Returns:
            None for a model that no run trained, unless a path is given.

        Raises:
            DataError: By the result: the run held nothing out, or its data have changed.
        """
        if path is not None:
            whole = self._whole(path)
            self._warn_of_own(whole)
            return lambda record: self._judged(self._opened(whole, record))
        if not (self._folder / RUN_FILE).is_file():
            return None
        own = read_source(self._folder)
        return lambda record: self._held_out(self._checked(own, record))

    def _whole(self, path: str) -> DataSource:
        """All of the data there, read as the run's own are."""
        source = DataSource(path=path)
        if (self._folder / RUN_FILE).is_file():
            source = dataclasses.replace(read_source(self._folder), path=path)
        return dataclasses.replace(source, validation_fraction=0.0, test_fraction=0.0)

    def _warn_of_own(self, source: DataSource) -> None:
        if (self._folder / RUN_FILE).is_file() and read_source(self._folder).path == anywhere(source).path:
            warnings.warn(f"The model in {self._folder} was trained on a part of {source.path}, so candidates look "
                          "better than on new examples. Leave the validation data out to judge by the part that was "
                          "held out.", TrainingDataWarning, stacklevel=4)

    def _opened(self, source: DataSource, record: ModelRecord) -> LabelledData:
        for known, preprocessing, data in self._read:
            if (known, preprocessing) == (source, record.preprocessing):
                return data
        data = open_data(source, record, record.preprocessing, record.labels or None)
        self._read.append((source, record.preprocessing, data))
        return data

    def _checked(self, source: DataSource, record: ModelRecord) -> LabelledData:
        data = self._opened(source, record)
        if self._fingerprint and self._fingerprint != data.fingerprint:
            raise DataError(f"The data have changed since {self._folder} was trained on them, so the held-out part is "
                            "not the same. Bring the old data back, or name other examples: `calibration` and "
                            "`validation`.")
        return data

    def _judged(self, data: LabelledData) -> Split:
        return data.test or data.train

    def _held_out(self, data: LabelledData) -> Split:
        part = data.validation or data.test
        if part is None:
            raise DataError(f"The run in {self._folder} held nothing out. Name examples to judge by: `validation`.")
        return part
