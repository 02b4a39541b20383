"""Sample inputs for warm-up records and golden vectors: the user's, or made ones that are the same every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.errors import ExportError
from serving.export.raw_inputs import raw_specs, reads_pairs, reads_texts
from serving.export.sample_texts import SAMPLES, sample_texts
from serving.export.servable_module import Forward
from zoo.preprocessing_spec import StringPreprocessing
from zoo.spec import ImagePreprocessing, ModelRecord, TabularPreprocessing, TextPreprocessing

Array = NDArray[Any]

_SEED = 20240229
_OPEN_AXIS = 8  # the size that an axis of any size gets
_LARGEST_PICTURE = 480  # pixels; a photograph's cost without a photograph's bytes
_COLOURS = (0.0, 85.0, 170.0, 255.0)


@dataclass(frozen=True)
class Samples:
    """Rows to try an export with.

    Attributes:
        tensors: The model's own inputs by name, [n, ...].
        raw: What the preprocessing takes, by input name of the raw signature: bytes objects [n] or float32 [n]; empty
            for a model that takes tensors. Texts differ in length, so that rows are padded.
    """

    tensors: Mapping[str, Array]
    raw: Mapping[str, Array]


def make_samples(forward: Forward, record: ModelRecord, given: Any = None, transform: Any = None) -> Samples:
    """Collects samples.

    Args:
        forward: The model's inputs.
        record: Its record.
        given: The user's own, or None. Images: a sequence of files or of their bytes. Text: a sequence of str, or of
            (str, str) for a model that reads pairs. Tables: a sequence of rows {column: value}. Tensors: {input name:
            array [n, ...]}.
        transform: The preprocessing, which a model of several inputs needs: they must fit each other.

    Raises:
        ExportError: `given` is empty or of another kind.
    """
    if reads_texts(record):
        texts = sample_texts(record) if given is None else _given_texts(record, _several(given))
        raw = {name: strings([text.encode("utf-8", "surrogatepass") for text in column])
               for name, column in zip(raw_specs(record), texts, strict=True)}
        made = transform.batch(*raw.values()) if transform is not None else None
        if isinstance(made, Mapping):
            return Samples({name: made[name].numpy() for name in forward.inputs}, raw)
        if isinstance(record.preprocessing, StringPreprocessing):
            return Samples(dict(zip(forward.inputs, raw.values(), strict=True)), raw)
    generator = np.random.Generator(np.random.PCG64(_SEED))
    tensors = {name: _tensor(spec, record, generator) for name, spec in forward.inputs.items()}
    match record.preprocessing:
        case ImagePreprocessing() as image:
            pictures = _pictures(image) if given is None else [_picture_bytes(item) for item in _several(given)]
            return Samples(tensors, {"image_bytes": strings(pictures)})
        case TextPreprocessing():
            return Samples(tensors, raw)
        case TabularPreprocessing() as table:
            return Samples(tensors, _columns(table, _rows(table) if given is None else _several(given)))
        case _:
            return Samples(tensors if given is None else _given_tensors(forward, given), {})


def strings(values: Sequence[bytes]) -> Array:
    """Bytes as an array [n] of dtype object; numpy's own bytes dtype would cut trailing zeros off."""
    array = np.empty(len(values), object)
    array[:] = list(values)
    return array


def _several(given: Any) -> list[Any]:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence) or not given:
        raise ExportError("`samples` for this model is a sequence of at least one picture (path or bytes), text, or "
                          f"row {{column: value}}. Received: {type(given).__name__}")
    return list(given)


def _given_texts(record: ModelRecord, items: list[Any]) -> list[list[str]]:
    """The user's texts, one list or two."""
    pairs = reads_pairs(record)
    for item in items:
        is_pair = isinstance(item, tuple | list) and len(item) == 2 and all(isinstance(text, str) for text in item)
        if not (is_pair if pairs else isinstance(item, str)):
            raise ExportError(f"`samples` for this model is a sequence of {'(text, text)' if pairs else 'str'}. "
                              f"Received: {item!r}")
    return [list(column) for column in zip(*items, strict=True)] if pairs else [items]


# === Tensors ===


def _tensor(spec: Any, record: ModelRecord, generator: np.random.Generator) -> Array:
    shape = [SAMPLES, *(_OPEN_AXIS if size is None else size for size in spec.shape[1:])]
    if isinstance(record.preprocessing, ImagePreprocessing):
        return _tile_pattern(record.preprocessing, shape, generator)
    if not spec.dtype.is_floating:
        words = 2 + len(record.preprocessing.vocabulary) if isinstance(record.preprocessing, TextPreprocessing) else 2
        dtype: type[np.generic] = spec.dtype.as_numpy_dtype
        drawn = generator.integers(0, words, shape)
        # A row that is all padding has no meaning.
        return np.array(np.ones(shape) if spec.name == "padding_mask" else drawn, dtype)
    # Quarters compress well, and a sum of them is exact.
    return (generator.integers(-8, 9, shape) / 4).astype(np.float32)


def _tile_pattern(image: ImagePreprocessing, shape: list[int], generator: np.random.Generator) -> Array:
    """Coloured tiles in the range that the preprocessing makes: they compress to a few hundred bytes."""
    rows, height, width, channels = shape
    tiles = generator.choice(_COLOURS, (rows, 8, 8, channels))
    vertical, horizontal = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    pixels = tiles[:, vertical][:, :, horizontal]
    mean, std = np.array(image.mean or [0.0]), np.array(image.std or [1.0])
    normalised: Array = (pixels * image.scale - mean) / std
    return normalised.astype(np.float32)


def _given_tensors(forward: Forward, given: Any) -> dict[str, Array]:
    if not isinstance(given, Mapping) or set(given) != set(forward.inputs):
        raise ExportError(f"`samples` for this model is {{input name: array [n, ...]}} with the names "
                          f"{', '.join(forward.inputs)}. Received: {type(given).__name__}")
    arrays = {name: np.asarray(given[name], spec.dtype.as_numpy_dtype) for name, spec in forward.inputs.items()}
    for name, spec in forward.inputs.items():
        if not spec.shape.is_compatible_with(arrays[name].shape) or not len(arrays[name]):
            raise ExportError(f"`samples[{name!r}]` must have the shape {spec.shape.as_list()} with at least one row. "
                              f"Received: {list(arrays[name].shape)}")
    return arrays


# === Pictures ===


def _picture_bytes(item: Any) -> bytes:
    if isinstance(item, bytes):
        return item
    try:
        return Path(item).read_bytes()
    except (OSError, TypeError) as error:
        raise ExportError(f"The sample {item!r} cannot be read: {error}. Give paths of pictures, or their "
                          "bytes.") from error


def _pictures(image: ImagePreprocessing) -> list[bytes]:
    """JPEG files a quarter larger than the model's input, in three aspect ratios."""
    height, width = (min(max(8, size * 5 // 4), _LARGEST_PICTURE) for size in (image.height, image.width))
    sizes = [(height, width), (height, width * 4 // 3), (height * 4 // 3, width)]
    return [_picture(*size, image.channels, phase) for phase, size in enumerate(sizes)]


def _picture(height: int, width: int, channels: int, phase: int) -> bytes:
    down, across = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(7 * down * (1 + channel) + phase) * np.cos(5 * across - channel) for channel in range(channels)]
    pixels = np.round(127.5 + 127.5 * np.stack(waves, axis=-1)).astype(np.uint8)
    return bytes(tf.io.encode_jpeg(pixels, quality=90).numpy())


# === Rows of tables ===


def _rows(table: TabularPreprocessing) -> list[dict[str, Any]]:
    return [{column.name: column.mean + column.std * (index - 1) / 2 if column.kind == "numeric"
             else column.categories[index % len(column.categories)] for column in table.columns}
            for index in range(SAMPLES)]


def _columns(table: TabularPreprocessing, rows: Sequence[Any]) -> dict[str, Array]:
    for row in rows:
        missing = [c.name for c in table.columns if not isinstance(row, Mapping) or c.name not in row]
        if missing:
            raise ExportError(f"A row of `samples` has no column {missing[0]!r}. Each row is {{column: value}} with "
                              f"the columns {', '.join(c.name for c in table.columns)}.")
    return {column.name: np.array([row[column.name] for row in rows], np.float32) if column.kind == "numeric"
            else strings([_category(row[column.name]) for row in rows]) for column in table.columns}


def _category(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
