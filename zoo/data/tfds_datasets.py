"""Datasets of TensorFlow Datasets (TFDS), read in place from the TFRecord files that it prepares."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from zoo.data.cleaning import Exclusion
from zoo.data.fingerprints import DIGEST_BYTES, content_digest
from zoo.data.keras_datasets import fitting_preprocessing
from zoo.data.labelled import Examples, LabelledData, Lazy
from zoo.data.planning import Found, SplitPlan, plan_split
from zoo.data.splitting import TEST, TRAIN, VALIDATION, SplitFractions
from zoo.data.text_encoding import AnyText, for_texts, learnt
from zoo.data.tfrecords import RecordIndex
from zoo.errors import DataError, MissingDependencyError, UnknownNameError
from zoo.preprocessing.image import ImageTransform
from zoo.preprocessing.transform import transform_for
from zoo.spec import TEXT_PREPROCESSING, ImagePreprocessing, Preprocessing

_PARTS = {"train": TRAIN, "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION, "dev": VALIDATION,
          "test": TEST}


def load_tfds_dataset(name: str, preprocessing: Preprocessing | None, fractions: SplitFractions, *,
                      keep_duplicates: bool, data_dir: str | Path | None) -> LabelledData:
    """Prepares a TFDS dataset of pictures or texts where that is not done yet, and splits it; see `load_named`.

    Args:
        name: The name without "tfds:", at will with configuration and version.
        preprocessing: What to do with pictures or texts.
        fractions: Sizes of the parts that the dataset does not give, and the seed.
        keep_duplicates: Uses examples of equal content nevertheless.
        data_dir: Where TFDS keeps its datasets.

    Raises:
        ArgumentError: A preprocessing of another kind than the dataset.
        DataError: It cannot be fetched, or is no classification of pictures or texts in TFRecord files.
        MissingDependencyError: TFDS, or a package that this dataset needs, is not installed.
        UnknownNameError: No such dataset.
    """
    tfds = _tfds()
    info = _prepared(tfds, name, data_dir)
    layout = _layout(tfds, info, name)
    preprocessing = fitting_preprocessing(f"tfds:{name}", layout.kind, preprocessing)
    records = _Records(tfds, info, layout, name)
    if isinstance(preprocessing, ImagePreprocessing):
        transform = ImageTransform(preprocessing).from_bytes
        found = records.found(transform)
    else:
        found = records.found(tf.strings.length)
    plan = plan_split(found.found, fractions, keep_duplicates=keep_duplicates)
    kept = tf.constant(found.kept)
    if isinstance(preprocessing, TEXT_PREPROCESSING):
        return _text_data(plan, records, found.kept, preprocessing)

    def load(index: Any) -> Any:
        return transform(records.read(tf.gather(kept, index))[0])

    examples = Examples(load=load, batched=False, targets=found.found.targets, names=found.found.names)
    return plan.labelled(examples, preprocessing)


def _text_data(plan: SplitPlan, records: _Records, kept: np.ndarray, preprocessing: AnyText) -> LabelledData:
    preprocessing = learnt(for_texts(preprocessing, texts=1), records.contents(kept[plan.train]), None)
    transform: Any = transform_for(preprocessing)
    held = tf.constant(kept)

    def load(indices: Any) -> Any:
        return transform.batch(tf.map_fn(lambda index: records.read(index)[0], tf.gather(held, indices),
                                         fn_output_signature=tf.string))

    examples = Examples(load=load, batched=True, targets=plan.found.targets, names=plan.found.names)
    return plan.labelled(examples, preprocessing)


# === What TFDS knows ===


@dataclass(frozen=True)
class _Layout:
    """Which features are input and target, and what they are."""

    kind: Literal["image", "text"]
    input_key: str
    target_key: str


def _tfds() -> Any:
    try:
        return importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        raise MissingDependencyError(error.name or "tensorflow-datasets", "datasets", "A dataset of TFDS") from error


def _prepared(tfds: Any, name: str, data_dir: str | Path | None) -> Any:
    """Returns the description of a dataset whose files are there."""
    folder = None if data_dir is None else str(Path(data_dir).expanduser())
    try:
        builder = tfds.builder(name, data_dir=folder)
        builder.download_and_prepare()
    except tfds.core.registered.DatasetNotFoundError:
        raise UnknownNameError("TFDS dataset", name, tfds.list_builders(), "TFDS does not know it.") from None
    except ImportError as error:
        raise MissingDependencyError(error.name or str(error), "datasets", f"The dataset tfds:{name}") from error
    except Exception as error:  # downloads fail with the errors of many libraries
        reason = (str(error) or type(error).__name__).strip().splitlines()[0][:300]
        raise DataError(f"The dataset tfds:{name} could not be fetched: {reason}. Check the network, or give the "
                        "folder with the prepared dataset as `data_dir`.") from error
    return builder.info


def _layout(tfds: Any, info: Any, name: str) -> _Layout:
    features = info.features
    keys = info.supervised_keys or ("image" if "image" in features else "text", "label")
    if not all(isinstance(key, str) and key in features for key in keys):
        raise DataError(f"tfds:{name} names no input and target; its features are {', '.join(features)}. Only datasets "
                        "with a picture or a text and a label can be loaded by name.")
    input_key, target_key = keys[:2]
    is_image = isinstance(features[input_key], tfds.features.Image)
    is_text = features[input_key].np_dtype in (object, np.str_, np.bytes_) and features[input_key].shape == ()
    if not (is_image or is_text) or not isinstance(features[target_key], tfds.features.ClassLabel):
        raise DataError(f"tfds:{name} maps {input_key} ({type(features[input_key]).__name__}) to {target_key} "
                        f"({type(features[target_key]).__name__}), expected a picture or a text and a class label.")
    return _Layout("image" if is_image else "text", input_key, target_key)


# === Its records ===


@dataclass(frozen=True)
class _FoundRecords:
    """The usable records, and the position of each in the record index, int64 [n]."""

    found: Found
    kept: np.ndarray


class _Records:
    """All records of the parts that we know, in the order of the parts and files."""

    def __init__(self, tfds: Any, info: Any, layout: _Layout, name: str) -> None:
        self._tfds, self._info, self._layout, self._name = tfds, info, layout, name
        file_format = getattr(info.file_format, "value", "tfrecord")
        if file_format != "tfrecord":
            raise DataError(f"tfds:{name} is stored as {file_format}, expected tfrecord. Prepare it again with "
                            "tfds.builder(..., file_format='tfrecord').")
        known = [part for part in info.splits if part in _PARTS]
        if "train" not in known:
            raise DataError(f"tfds:{name} has the parts {', '.join(info.splits)}, expected one called 'train'.")
        files = [(Path(path), _PARTS[part]) for part in known for path in sorted(info.splits[part].filepaths)]
        self._index = RecordIndex([path for path, _ in files if path.exists()])
        self._part_of_file = np.array([part for path, part in files if path.exists()], np.int8)
        self._ignored = [part for part in info.splits if part not in _PARTS]

    def read(self, index: Any) -> tuple[Any, Any]:
        """Returns content (string scalar) and target (int64 scalar) of the record at an index, in a graph."""
        record = tf.ensure_shape(tf.numpy_function(self._index.read, [index], tf.string, stateful=False), [])
        skip = {self._layout.input_key: self._tfds.decode.SkipDecoding()} if self._layout.kind == "image" else None
        example = self._info.features.deserialize_example(record, decoders=skip)
        return example[self._layout.input_key], example[self._layout.target_key]

    def contents(self, indices: np.ndarray) -> Iterator[str]:
        """Yields as text the contents of the records at `indices`."""
        stream = tf.data.Dataset.from_tensor_slices(indices).map(lambda index: self.read(index)[0])
        for content in stream.as_numpy_iterator():
            yield content.decode("utf-8", "replace")

    def found(self, probe: Callable[[Any], Any]) -> _FoundRecords:
        """Reads every record once, and returns those whose content `probe` accepts."""
        def look(index: Any) -> tuple[Any, ...]:
            content, target = self.read(index)
            # The sum is returned so that the content is decoded: what nobody needs, the graph leaves out.
            return index, content, target, tf.reduce_sum(probe(content))

        count = len(self._index)
        digests, targets = np.zeros(count, f"S{DIGEST_BYTES}"), np.full(count, -1, np.int32)
        stream = tf.data.Dataset.range(count).map(look, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
        readable = np.zeros(count, bool)
        for index, content, target, _ in stream.ignore_errors().as_numpy_iterator():
            digests[index], targets[index], readable[index] = content_digest(content), target, True
        return self._usable(readable, digests, targets)

    def _usable(self, readable: np.ndarray, digests: np.ndarray, targets: np.ndarray) -> _FoundRecords:
        kept, names = np.flatnonzero(readable & (targets >= 0)), self._index.name
        excluded = [Exclusion(names(int(i)), "unreadable") for i in np.flatnonzero(~readable)]
        excluded += [Exclusion(names(int(i)), "no label") for i in np.flatnonzero(readable & (targets < 0))]
        found = Found(
            where=f"tfds:{self._name}",
            names=Lazy(len(kept), lambda index: names(int(kept[index]))),
            digests=digests[kept],
            targets=targets[kept],
            labels=tuple(self._info.features[self._layout.target_key].names),
            given=self._part_of_file[self._index.files[kept]],
            checked=len(readable),
            excluded=tuple(excluded),
            notes=tuple(f"The part {part!r} of the dataset is not used." for part in self._ignored),
        )
        return _FoundRecords(found, kept)
