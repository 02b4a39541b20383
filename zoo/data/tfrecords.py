"""TFRecord files read at any place: the offset of each record is found without reading the records."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.errors import DataError

_HEAD_BYTES = 12  # length as uint64, then its checksum
_FOOT_BYTES = 4  # the checksum of the record


class RecordIndex:
    """The places of all records in some TFRecord files: 18 bytes per record."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Finds the records of `paths`.

        Raises:
            DataError: A file is cut off, or no TFRecord file.
        """
        self.paths = tuple(paths)
        self._file, self._offset, self._length = array("H"), array("q"), array("q")
        for number, path in enumerate(self.paths):
            self._add(number, path)

    def __len__(self) -> int:
        return len(self._offset)

    @property
    def files(self) -> np.ndarray:
        """The number of the file of each record, uint16 [n]."""
        return np.frombuffer(self._file, np.uint16) if len(self) else np.zeros(0, np.uint16)

    def name(self, index: int) -> str:
        """Returns the source of a record, such as "mnist-train.tfrecord-00000-of-00001@1234"."""
        return f"{self.paths[self._file[index]].name}@{self._offset[index]}"

    def read(self, index: int | np.integer) -> bytes:
        """Returns the content of a record."""
        place = int(index)
        with self.paths[self._file[place]].open("rb") as file:
            file.seek(self._offset[place])
            return file.read(self._length[place])

    def _add(self, number: int, path: Path) -> None:
        size = path.stat().st_size
        offset = 0
        with path.open("rb") as file:
            while offset < size:
                file.seek(offset)
                head = file.read(_HEAD_BYTES)
                length = struct.unpack_from("<Q", head)[0] if len(head) == _HEAD_BYTES else size
                end = offset + _HEAD_BYTES + length + _FOOT_BYTES
                if end > size:
                    raise DataError(f"{path} is cut off or no TFRecord file: the record at byte {offset} ends at byte "
                                    f"{end}, the file at {size}. Prepare the dataset again.")
                self._file.append(number)
                self._offset.append(offset + _HEAD_BYTES)
                self._length.append(length)
                offset = end
