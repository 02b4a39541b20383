"""Arrays, texts and columns in memory as labelled data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data.cleaning import Exclusion
from zoo.data.fingerprints import DIGEST_BYTES, content_digest
from zoo.data.folders import sorted_labels
from zoo.data.labelled import Examples, LabelledData, Lazy
from zoo.data.planning import Found, SplitPlan, plan_split
from zoo.data.splitting import TEST, TRAIN, UNDECIDED, VALIDATION, SplitFractions
from zoo.data.text_encoding import FoundTexts, text_data
from zoo.errors import ArgumentError, DataError
from zoo.preprocessing.image import ImageTransform
from zoo.preprocessing.image_decoding import luma
from zoo.preprocessing.table_fitting import fit_table
from zoo.preprocessing.tabular import TabularTransform
from zoo.preprocessing.transform import TensorTransform
from zoo.spec import (
    TEXT_PREPROCESSING,
    Preprocessing,
    TabularPreprocessing,
    TensorPreprocessing,
)

Inputs = Any  # an array [N, ...], a sequence of N texts, or a dict of either
_TEXT_KEYS = ("text", "text_pair")


def from_arrays(inputs: Inputs, targets: Any, *, labels: Sequence[str] = (),
                preprocessing: Preprocessing | None = None, validation: tuple[Inputs, Any] | None = None,
                test: tuple[Inputs, Any] | None = None, validation_fraction: float = 0.15, test_fraction: float = 0.15,
                seed: int = 0, keep_duplicates: bool = True, name: str = "the arrays") -> LabelledData:
    """Checks and splits examples that are in memory.

    Args:
        inputs: By the kind of `preprocessing`: pixels in [0, 255], [N, h, w] or [N, h, w, channels]; N texts, or for
            word pieces a dict of "text" and "text_pair"; a dict of columns [N]; numbers of any shape [N, ...] or a
            dict of such, as the model takes them.
        targets: Integers or bools [N] are class indices, strings [N] class names, floats [N] or [N, k] the values of
            a regression.
        labels: Class names in the order of the class index. By default the names that occur, sorted, or "0", "1" ...
        preprocessing: What turns `inputs` into the model's input; None takes numbers as they are. A
            preprocessing of texts without a vocabulary or of tables without columns is learnt from the training part.
        validation: Inputs and targets of a given validation part; None cuts it out of `inputs`.
        test: Inputs and targets of a given test part; None cuts it out of `inputs`.
        validation_fraction: Fraction in [0, 1) to choose by, of each class where there are classes.
        test_fraction: Fraction in [0, 1) to judge by, of each class where there are classes.
        seed: Chooses the examples of the parts; see `zoo.data.splitting` for what the split depends on.
        keep_duplicates: Uses equal examples nevertheless, as the default.
        name: What the report calls the dataset.

    Returns:
        Inputs as the model takes them, targets int32 [B] or float32 [B, k]. A class with too few examples for all
        parts is in train only; an example with a number that is not finite is left out and reported.

    Raises:
        ArgumentError: Inputs that do not fit `preprocessing`, or of another length than the targets.
        DataError: Too few examples or classes, or a class index without a label.
    """
    preprocessing = TensorPreprocessing() if preprocessing is None else preprocessing
    fractions = SplitFractions(validation=validation_fraction, test=test_fraction, seed=seed)
    given = {TRAIN if validation or test else UNDECIDED: (inputs, targets), VALIDATION: validation, TEST: test}
    parts = {part: (_columns(pair[0]), _plain_targets(pair[1])) for part, pair in given.items() if pair is not None}
    for columns, values in parts.values():
        _check_lengths(columns, values, name)
    table = {key: np.concatenate([columns[key] for columns, _ in parts.values()])
             for key in next(iter(parts.values()))[0]}
    indices, names = _class_indices(np.concatenate([values for _, values in parts.values()]), labels, name)
    part_of = np.concatenate([np.full(len(values), part, np.int8) for part, (_, values) in parts.items()])
    missing_allowed = isinstance(preprocessing, TabularPreprocessing)
    finite = _finite(indices, *([] if missing_allowed else table.values()))
    keep = np.flatnonzero(finite)
    found = Found(
        where=name,
        names=Lazy(len(keep), lambda index: f"{name}:{keep[index]}"),
        digests=_row_digests(table, indices)[keep],
        targets=indices[keep],
        labels=names,
        given=part_of[keep],
        checked=len(finite),
        excluded=tuple(Exclusion(f"{name}:{index}", "not a number", "NaN or infinite")
                       for index in np.flatnonzero(~finite)),
    )
    plan = plan_split(found, fractions, keep_duplicates=keep_duplicates, small_classes=True)
    single = not isinstance(inputs, Mapping)
    return _labelled(plan, {key: values[keep] for key, values in table.items()} if not finite.all() else table,
                     preprocessing, single)


# === Reading the arguments ===


def _columns(inputs: Inputs) -> dict[str, np.ndarray]:
    """Returns inputs as named arrays; texts become objects of type str."""
    named = inputs if isinstance(inputs, Mapping) else {"": inputs}
    arrays = {str(key): np.asarray(values) for key, values in named.items()}
    return {key: values.astype(object) if values.dtype.kind in "US" else values for key, values in arrays.items()}


def _plain_targets(targets: Any) -> np.ndarray:
    values = np.asarray(targets)
    if values.dtype.kind in "UO":
        return values.astype(str)
    if values.dtype.kind == "f":
        return values.astype(np.float32).reshape(len(values), -1)
    if values.dtype.kind in "iub":
        return values.reshape(len(values)).astype(np.int32)
    raise ArgumentError(f"`targets` must be integers, floats or strings. Received: {values.dtype}")


def _check_lengths(columns: Mapping[str, np.ndarray], targets: np.ndarray, name: str) -> None:
    lengths = {len(values) for values in columns.values()}
    if lengths != {len(targets)}:
        raise ArgumentError(f"Inputs and targets of {name} must have the same length. Received: inputs of "
                            f"{', '.join(map(str, sorted(lengths))) or 'no'} and targets of {len(targets)} examples.")


def _class_indices(targets: np.ndarray, labels: Sequence[str], name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns targets as int32 class indices and their labels, or float32 values and no labels."""
    if targets.dtype.kind == "f":
        if labels:
            raise ArgumentError(f"Float targets are a regression, which has no labels. Received: {list(labels)}. "
                                "Give class indices as integers.")
        return targets, ()
    if targets.dtype.kind == "U":
        names = tuple(labels) or sorted_labels(set(targets.tolist()))
        position = {label: index for index, label in enumerate(names)}
        unknown = sorted(set(targets.tolist()) - set(position))
        if unknown:
            raise DataError(f"{name} has the target {unknown[0]!r}, which is not among the labels "
                            f"{', '.join(names[:20])}.")
        return np.array([position[target] for target in targets.tolist()], np.int32), names
    highest = int(targets.max(initial=-1))
    names = tuple(labels) or tuple(str(index) for index in range(highest + 1))
    if highest >= len(names) or targets.min(initial=0) < 0:
        bad = highest if highest >= len(names) else int(targets.min())
        raise DataError(f"{name} has the class index {bad}, expected 0 to {len(names) - 1} for {len(names)} labels.")
    if len(names) < 2:
        raise DataError(f"{name} has only the class {', '.join(names) or '(none)'}, expected at least two. For a "
                        "regression give floats.")
    return targets, names


def _finite(*arrays: np.ndarray) -> np.ndarray:
    """Returns for every row whether all its numbers are finite, bool [n]."""
    finite = np.ones(len(arrays[0]), bool)
    for values in arrays:
        if values.dtype.kind == "f":
            finite &= np.isfinite(values).reshape(len(values), -1).all(axis=1)
    return finite


def _row_digests(table: Mapping[str, np.ndarray], targets: np.ndarray) -> np.ndarray:
    columns = [table[key] for key in sorted(table)]
    if targets.dtype.kind == "f":  # equal inputs of different values are no duplicates
        columns.append(targets)
    plain = [values if values.dtype == object else values.astype(values.dtype.newbyteorder("<"), copy=False)
             for values in columns]
    digests = np.empty(len(targets), f"S{DIGEST_BYTES}")
    for index in range(len(targets)):
        digests[index] = content_digest(b"\x1f".join(_content(values[index]) for values in plain))
    return digests


def _content(value: Any) -> bytes:
    return value.encode("utf-8") if isinstance(value, str) else np.asarray(value).tobytes()


# === Feeding the model ===


def _labelled(plan: SplitPlan, table: dict[str, np.ndarray], preprocessing: Preprocessing,
              single: bool) -> LabelledData:
    if isinstance(preprocessing, TabularPreprocessing):
        if single:
            raise ArgumentError("`inputs` must be a dict of columns for a TabularPreprocessing. Received one array.")
        if not preprocessing.columns:
            preprocessing = fit_table({key: values[plan.train] for key, values in table.items()},
                                      shape=preprocessing.shape)
        return _finished(plan, preprocessing, _tabular(table, TabularTransform(preprocessing)))
    if isinstance(preprocessing, TensorPreprocessing):
        return _finished(plan, preprocessing, _tensors(table, TensorTransform(preprocessing), single))
    if isinstance(preprocessing, TEXT_PREPROCESSING):
        return text_data(plan, _texts(plan, table, single, type(preprocessing).__name__), preprocessing)
    if not single:
        raise ArgumentError(f"`inputs` must be one array for a {type(preprocessing).__name__}. Received a dict.")
    values = table[""]
    return _finished(plan, preprocessing, _pixels(values, ImageTransform(preprocessing)), batched=False)


def _texts(plan: SplitPlan, table: Mapping[str, np.ndarray], single: bool, kind: str) -> FoundTexts:
    columns = list(table.values()) if single else [table.get(key) for key in _TEXT_KEYS[:max(len(table), 1)]]
    if any(values is None for values in columns):
        raise ArgumentError(f"`inputs` for a {kind} must be texts, or a dict of {' and '.join(map(repr, _TEXT_KEYS))} "
                            f"for pairs. Received a dict of: {', '.join(map(repr, table))}")
    texts = [values for values in columns if values is not None]
    for values in texts:
        if values.dtype != object:
            raise ArgumentError(f"`inputs` must be texts for a {kind}. Received: {values.dtype}")
    lengths = np.array([sum(map(len, row)) for row in zip(*texts, strict=True)], np.int32)
    return FoundTexts(plan.found, lambda indices: list(zip(*[values[indices] for values in texts], strict=True)),
                      lengths, texts=len(texts))


def _finished(plan: SplitPlan, preprocessing: Preprocessing, load: Callable[[Any], Any],
              batched: bool = True) -> LabelledData:
    examples = Examples(load=load, batched=batched, targets=plan.found.targets, names=plan.found.names)
    return plan.labelled(examples, preprocessing)


def _on_host(values: np.ndarray) -> Any:
    with tf.device("CPU"):
        return tf.constant(values, tf.string) if values.dtype == object else tf.constant(values)


def _tensors(table: Mapping[str, np.ndarray], transform: TensorTransform, single: bool) -> Callable[[Any], Any]:
    held = {key: _on_host(values) for key, values in table.items()}

    def load(indices: Any) -> Any:
        rows = {key: transform.batch(tf.gather(values, indices)) for key, values in held.items()}
        return rows[""] if single else rows

    return load


def _tabular(table: Mapping[str, np.ndarray], transform: TabularTransform) -> Callable[[Any], Any]:
    held = {column.name: _on_host(table[column.name]) for column in transform.spec.columns if column.name in table}
    return lambda indices: transform.batch({key: tf.gather(values, indices) for key, values in held.items()})


def _pixels(values: np.ndarray, transform: ImageTransform) -> Callable[[Any], Any]:
    if values.ndim not in (3, 4) or values.dtype.kind not in "uif":
        raise ArgumentError("`inputs` must be pixels [N, h, w] or [N, h, w, channels] for an ImagePreprocessing. "
                            f"Received: {values.dtype} {list(values.shape)}")
    held = _on_host(values if values.ndim == 4 else values[..., np.newaxis])
    channels, wanted = int(held.shape[-1]), transform.spec.channels
    if channels not in (1, 3):
        raise ArgumentError(f"Pixels must have 1 or 3 channels. Received: {channels}")
    if channels > wanted and values.dtype != np.uint8:
        raise ArgumentError(f"Coloured pixels must be uint8 where the model takes grey. Received: {values.dtype}")

    def load(index: Any) -> Any:
        pixels = tf.gather(held, index)
        if channels < wanted:
            pixels = tf.repeat(pixels, wanted, axis=-1)
        return transform.from_pixels(luma(pixels) if channels > wanted else pixels)

    return load
