from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from zoo.data.tfrecords import RecordIndex
from zoo.errors import DataError


def _write(path: Path, *contents: bytes) -> Path:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in contents:
            writer.write(content)
    return path


def test_records_are_read_at_any_place(tmp_path: Path) -> None:
    """Records of several files, empty ones included, come back in any order as TensorFlow wrote them."""
    index = RecordIndex([_write(tmp_path / "a", b"one", b"", b"x" * 5000), _write(tmp_path / "b"),
                         _write(tmp_path / "c", b"last")])
    assert (len(index), index.files.tolist()) == (4, [0, 0, 0, 2])
    assert [index.read(np.int64(i)) for i in (3, 0, 2, 1)] == [b"last", b"one", b"x" * 5000, b""]
    assert index.name(1) == "a@31"


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    """A half-copied file or one of another kind is named with the byte where it breaks."""
    path = _write(tmp_path / "a", b"one", b"two")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="a is cut off or no TFRecord file: the record at byte 19 ends at byte 38"):
        RecordIndex([path])
    path.write_bytes(b"short")
    with pytest.raises(DataError, match="is cut off or no TFRecord file"):
        RecordIndex([path])
