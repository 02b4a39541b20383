from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

from tests.zoo.data.sample_files import lines
from zoo.data.labelled import LabelledData, Split
from zoo.data.tables import load_table
from zoo.errors import ArgumentError, DataError
from zoo.preprocessing.tabular import TabularTransform
from zoo.spec import Column, TabularPreprocessing


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    flowers = load_iris()
    rows = [",".join([*map(str, numbers), flowers.target_names[kind]])
            for numbers, kind in zip(flowers.data, flowers.target, strict=True)]
    return lines(tmp_path_factory.mktemp("iris") / "iris.csv", ["sl,sw,pl,pw,species", *rows])


def _whole(split: Split, seed: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    batches = [(inputs.numpy(), targets.numpy()) for inputs, targets in split.batches(16, shuffle_seed=seed)]
    return np.concatenate([inputs for inputs, _ in batches]), np.concatenate([targets for _, targets in batches])


def _rows(path: Path, split: Split) -> list[list[str]]:
    content = path.read_text().splitlines()
    return [content[int(name.rpartition(":")[2]) - 1].split(",") for name in split.examples()]


def _learnt(data: LabelledData) -> TabularPreprocessing:
    assert isinstance(data.preprocessing, TabularPreprocessing)
    return data.preprocessing


def test_classification_is_standardised_on_the_training_part(iris: Path) -> None:
    """Labels come from the column; mean and spread are those of the training rows, not of all rows."""
    data = load_table(iris, "species", task="classification")
    assert (data.labels, data.target_kind) == (("setosa", "versicolor", "virginica"), "index")
    inputs, targets = _whole(data.train)
    np.testing.assert_allclose(inputs.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(inputs.std(axis=0), 1.0, atol=1e-5)
    assert [data.labels[t] for t in targets] == [row[4] for row in _rows(iris, data.train)]
    assert data.test is not None and abs(_whole(data.test)[0].mean(axis=0)).max() > 1e-3


def test_inputs_are_what_the_transform_makes_of_the_columns(iris: Path) -> None:
    """Each row's features equal those of the export, in the order of `examples()`."""
    data = load_table(iris, "species", task="classification")
    rows = np.array(_rows(iris, data.train))
    columns = {name: rows[:, i].astype(np.float32) for i, name in enumerate(("sl", "sw", "pl", "pw"))}
    expected = TabularTransform(_learnt(data)).batch(columns).numpy()
    np.testing.assert_array_equal(_whole(data.train)[0], expected)
    assert data.train.batches(4).element_spec[0].shape.as_list() == [None, 4]


def test_regression_of_several_numbers_with_a_category(iris: Path) -> None:
    """Targets are float32 [B, k]; a column of words becomes one feature per category."""
    data = load_table(iris, ["pw", "pl"], task="regression")
    inputs, targets = _whole(data.train)
    rows = _rows(iris, data.train)
    assert (data.labels, data.target_kind, data.class_weights) == ((), "float", {})
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets, np.array([[row[3], row[2]] for row in rows], np.float32))
    assert [column.width for column in _learnt(data).columns] == [1, 1, 3]
    assert set(inputs[:, 2:].sum(axis=1).tolist()) == {1.0}
    assert data.train.batches(4).element_spec[1].shape.as_list() == [None, 2]


def test_shape_makes_sequences(iris: Path) -> None:
    """A row of steps * features numbers becomes [steps, features]."""
    data = load_table(iris, 4, task="classification", shape=(2, 2))
    assert _whole(data.train)[0].shape[1:] == (2, 2)
    with pytest.raises(ArgumentError, match="`shape` must have as many values as the columns have features, 4"):
        load_table(iris, 4, task="classification", shape=(3, 2))


def test_files_without_header_and_other_separators_read_alike(iris: Path, tmp_path: Path) -> None:
    """Header, semicolons or tabs do not change split and numbers."""
    reference = load_table(iris, -1, task="classification")
    body = iris.read_text().splitlines()[1:]
    for name, separator in (("x.csv", ","), ("y.csv", ";"), ("z.tsv", "\t")):
        data = load_table(lines(tmp_path / name, [row.replace(",", separator) for row in body]), -1,
                          task="classification")
        assert data.fingerprint == reference.fingerprint
        assert [column.name for column in _learnt(data).columns] == ["0", "1", "2", "3"]
        np.testing.assert_array_equal(_whole(data.train)[0], _whole(reference.train)[0])


def test_a_given_preprocessing_is_used_as_it_is(iris: Path) -> None:
    """The columns, means and categories of an earlier training are not learnt again."""
    given = TabularPreprocessing(columns=(Column(name="pw", mean=1.0, std=2.0), Column(name="sl")))
    data = load_table(iris, "species", task="classification", preprocessing=given)
    assert data.preprocessing == given
    expected = [[(float(row[3]) - 1.0) / 2.0, float(row[0])] for row in _rows(iris, data.train)]
    np.testing.assert_allclose(_whole(data.train)[0], expected, rtol=1e-6)
    shaped = load_table(iris, "species", task="classification", preprocessing=TabularPreprocessing(columns=(),
                                                                                                 shape=(4, 1)))
    assert (len(_learnt(shaped).columns), _learnt(shaped).shape) == (4, (4, 1))


def test_missing_numbers_count_as_the_mean(tmp_path: Path) -> None:
    """An empty field is 0 after standardisation, as in a served model, and the report tells how many there are."""
    rows = [f"{i},{i % 2}" for i in range(20)] + [",1", "NA,0", "bad,0"]
    data = load_table(lines(tmp_path / "x.csv", ["a,y", *rows]), "y", task="binary_classification",
                      validation_fraction=0.0, test_fraction=0.0)
    assert _whole(data.train)[0][-2:].tolist() == [[0.0], [0.0]]
    assert data.report.notes[0] == "2 rows have no value in the column 'a'; they count as its mean."
    assert [e.detail for e in data.report.excluded] == ["a is 'bad'"]


def test_equal_rows_are_kept_unless_asked(iris: Path) -> None:
    """Measurements may coincide; the report says so, and `keep_duplicates=False` leaves the later one out."""
    assert load_table(iris, "species", task="classification").report.notes[0].startswith("1 used with the same content")
    report = load_table(iris, "species", task="classification", keep_duplicates=False).report
    assert (report.used, report.counts) == (149, {"duplicate": 1})


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Four times as many rows of 4 kB take a few hundred bytes more for each of them, not their size."""
    peaks = []
    for count in (1000, 4000):
        rows = (f"{i},{'x' * 4000},{i % 7}" for i in range(count))
        path = lines(tmp_path / f"{count}.csv", ["a,remark,y", *rows])
        tracemalloc.start()
        data = load_table(path, "y", task="regression", columns=["a"])
        for _ in data.train.batches(16, shuffle_seed=1):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert data.report.used == count
    assert (peaks[1] - peaks[0]) / 3000 < 500


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"target": "species", "task": "regression"}, DataError, "is not numeric in 150 of 150 rows"),
    ({"target": "color", "task": "regression"}, KeyError, "Unknown column 'color'"),
    ({"target": "species", "task": "clustering"}, ArgumentError, "`task` must be one of classification"),
    ({"target": ["sl", "sw"], "task": "classification"}, ArgumentError, "`target` must be one column for"),
])
def test_unusable_arguments_are_one_clear_line(iris: Path, arguments: dict[str, object], error: type[Exception],
                                               message: str) -> None:
    """The message says what was expected."""
    with pytest.raises(error, match=message):
        load_table(iris, **arguments)  # type: ignore[arg-type]
