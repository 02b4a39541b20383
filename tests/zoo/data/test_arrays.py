from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zoo.data.arrays import from_arrays
from zoo.data.labelled import Split
from zoo.errors import ArgumentError, DataError
from zoo.preprocessing.image import ImageTransform
from zoo.spec import ImagePreprocessing, TabularPreprocessing, TextPreprocessing

_GREY = ImagePreprocessing(height=4, width=4, channels=1, scale=1 / 255)


def _rows(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float64)


def _whole(split: Split | None) -> tuple[Any, np.ndarray]:
    assert split is not None
    batches = list(split.batches(1000))
    assert len(batches) == 1
    inputs, targets = batches[0]
    plain = {k: v.numpy() for k, v in inputs.items()} if isinstance(inputs, dict) else inputs.numpy()
    return plain, targets.numpy()


def test_numbers_are_split_and_taken_as_they_are() -> None:
    """Every row is in exactly one part, as float32, with its target."""
    rows = _rows(40, 3)
    data = from_arrays(rows, np.arange(40) % 2)
    parts = [_whole(split) for split in (data.train, data.validation, data.test)]
    assert [len(targets) for _, targets in parts] == [28, 6, 6]
    inputs = np.concatenate([inputs for inputs, _ in parts])
    assert inputs.dtype == np.float32
    np.testing.assert_array_equal(np.sort(inputs[:, 0]), np.sort(rows[:, 0].astype(np.float32)))
    place = {float(np.float32(row[0])): i for i, row in enumerate(rows)}
    assert all(place[float(x[0])] % 2 == y for inputs, targets in parts for x, y in zip(inputs, targets, strict=True))
    assert (data.labels, data.target_kind) == (("0", "1"), "index")


def test_floats_are_a_regression_of_any_width() -> None:
    """Float targets [N] become [N, 1]; there are no labels and no class weights."""
    data = from_arrays(_rows(20, 2), np.linspace(0, 1, 20))
    assert (data.labels, data.target_kind, data.class_weights) == ((), "float", {})
    assert _whole(data.train)[1].shape == (14, 1)
    assert _whole(from_arrays(_rows(20, 2), _rows(20, 3)).train)[1].shape == (14, 3)


def test_names_as_targets_become_indices() -> None:
    """Strings are class names; without given labels they are sorted."""
    data = from_arrays(_rows(12, 2), ["b", "a", "c"] * 4, validation_fraction=0.0, test_fraction=0.0)
    assert (data.labels, data.train.targets().tolist()) == (("a", "b", "c"), [1, 0, 2] * 4)
    assert from_arrays(_rows(12, 2), ["b", "a"] * 6, labels=("b", "a")).labels == ("b", "a")


def test_several_inputs_stay_a_dict() -> None:
    """A model of two inputs gets both, row by row."""
    inputs = {"source": np.arange(20.0), "target": np.arange(20) * 10}
    data = from_arrays(inputs, np.arange(20.0), keep_duplicates=False)
    batch, targets = _whole(data.test)
    assert set(batch) == {"source", "target"}
    np.testing.assert_array_equal(batch["target"], batch["source"] * 10)
    np.testing.assert_array_equal(batch["source"], targets[:, 0])


@pytest.mark.parametrize(("shape", "channels"), [((6, 5), 1), ((6, 5, 1), 3), ((6, 5, 3), 3), ((6, 5, 3), 1)])
def test_pixels_go_through_the_picture_transform(shape: tuple[int, ...], channels: int) -> None:
    """Pixels are resized and scaled as in the export; grey and colour become what the model takes."""
    pixels = np.random.default_rng(1).integers(0, 256, (12, *shape), np.uint8)
    spec = ImagePreprocessing(height=4, width=4, channels=channels, scale=1 / 255)
    data = from_arrays(pixels, np.arange(12) % 2, preprocessing=spec, validation_fraction=0.0, test_fraction=0.0)
    inputs, _ = _whole(data.train)
    assert inputs.shape == (12, 4, 4, channels) and 0.0 <= inputs.min() < inputs.max() <= 1.0
    if len(shape) == 2 or shape[2] == channels:
        expected = ImageTransform(spec).from_pixels(pixels[3].reshape(6, 5, channels))
        np.testing.assert_array_equal(inputs[3], expected.numpy())


def test_texts_and_columns_are_learnt_from_the_training_part() -> None:
    """Texts get a vocabulary and columns their means, like files."""
    texts = from_arrays([f"word{i} same" for i in range(20)], np.arange(20) % 2,
                        preprocessing=TextPreprocessing(max_length=4))
    assert isinstance(texts.preprocessing, TextPreprocessing)
    assert len(texts.preprocessing.vocabulary) == texts.train.count + 1
    assert _whole(texts.train)[0].shape == (texts.train.count, 4)
    table = from_arrays({"a": np.arange(20.0), "b": np.array(["x", "y"] * 10)}, np.arange(20.0),
                        preprocessing=TabularPreprocessing(columns=()))
    inputs, _ = _whole(table.train)
    assert inputs.shape == (14, 3)
    np.testing.assert_allclose(inputs[:, 0].mean(), 0.0, atol=1e-6)


def test_given_parts_are_kept() -> None:
    """A given test part stays whole, and only validation is cut out of the inputs."""
    rows = _rows(30, 2)
    data = from_arrays(rows[:20], np.arange(20) % 2, test=(rows[20:], np.arange(10) % 2))
    inputs, targets = _whole(data.test)
    np.testing.assert_array_equal(inputs, rows[20:].astype(np.float32))
    assert targets.tolist() == [0, 1] * 5
    assert data.validation is not None and (data.train.count, data.validation.count) == (16, 4)


def test_numbers_that_are_not_finite_are_reported() -> None:
    """A row with NaN or infinity in inputs or targets is left out, and the rest keeps its targets."""
    rows, targets = _rows(20, 2), np.arange(20.0)
    rows[3, 1], targets[7] = np.nan, np.inf
    data = from_arrays(rows, targets, validation_fraction=0.0, test_fraction=0.0, name="sums")
    assert [(e.source, e.reason) for e in data.report.excluded] == [
        ("sums:3", "not a number"), ("sums:7", "not a number")]
    inputs, kept = _whole(data.train)
    assert kept[:, 0].tolist() == [i for i in range(20) if i not in (3, 7)]
    np.testing.assert_array_equal(inputs[3], rows[4].astype(np.float32))
    assert data.train.examples()[3] == "sums:4"


def test_equal_rows_are_kept_unless_asked() -> None:
    """Repeated rows are counted in a note, or left out."""
    rows = np.repeat(_rows(10, 2), 2, axis=0)
    assert from_arrays(rows, np.repeat(np.arange(10) % 2, 2)).report.notes[0].startswith("10 used with the same")
    assert from_arrays(rows, np.repeat(np.arange(10) % 2, 2), keep_duplicates=False).report.used == 10


def test_fingerprint_is_of_contents_and_split() -> None:
    """The byte order and memory layout of an array do not matter, its numbers and the seed do."""
    rows, targets = _rows(20, 4), np.arange(20) % 2
    reference = from_arrays(rows, targets).fingerprint
    assert from_arrays(np.asfortranarray(rows.astype(">f8")), targets.astype(">i8")).fingerprint == reference
    assert from_arrays(rows, targets, seed=1).fingerprint != reference
    assert from_arrays(rows + 1, targets).fingerprint != reference


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"inputs": np.zeros((4, 2)), "targets": [0, 1]}, ArgumentError, "must have the same length"),
    ({"inputs": np.zeros((4, 2)), "targets": [0, 1, 2, 5], "labels": ("a", "b", "c")}, DataError,
     "has the class index 5, expected 0 to 2 for 3 labels"),
    ({"inputs": np.zeros((4, 2)), "targets": [0, 1, 1, -1]}, DataError, "has the class index -1, expected 0 to 1"),
    ({"inputs": np.zeros((4, 2)), "targets": [0, 0, 0, 0]}, DataError, "only the class 0, .* For a regression give"),
    ({"inputs": np.zeros((4, 2)), "targets": ["a", "b", "a", "c"], "labels": ("a", "b")}, DataError,
     "has the target 'c', which is not among the labels a, b"),
    ({"inputs": np.zeros((4, 2)), "targets": np.zeros(4), "labels": ("a", "b")}, ArgumentError, "Float targets are a"),
    ({"inputs": np.zeros((4, 2)), "targets": np.zeros(4, complex)}, ArgumentError, "must be integers, floats or str"),
    ({"inputs": np.zeros((4, 2)), "targets": [0, 1, 0, 1], "preprocessing": _GREY}, ArgumentError, "must be pixels"),
    ({"inputs": np.zeros((4, 5, 5, 2)), "targets": [0, 1, 0, 1], "preprocessing": _GREY}, ArgumentError,
     "Pixels must have 1 or 3 channels. Received: 2"),
    ({"inputs": np.zeros((4, 5, 5, 3)), "targets": [0, 1, 0, 1], "preprocessing": _GREY}, ArgumentError,
     "Coloured pixels must be uint8"),
    ({"inputs": np.zeros((4, 2)), "targets": [0, 1, 0, 1], "preprocessing": TextPreprocessing(max_length=1)},
     ArgumentError, "must be texts"),
    ({"inputs": np.zeros(4), "targets": [0, 1, 0, 1], "preprocessing": TabularPreprocessing(columns=())},
     ArgumentError, "must be a dict of columns"),
    ({"inputs": {"a": np.zeros(4)}, "targets": [0, 1, 0, 1], "preprocessing": _GREY}, ArgumentError,
     "must be one array for a ImagePreprocessing"),
])
def test_unusable_arrays_are_one_clear_line(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """The message says what was expected and what came."""
    with pytest.raises(error, match=message):
        from_arrays(**arguments)
