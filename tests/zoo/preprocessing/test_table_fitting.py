from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zoo.errors import ArgumentError, DataError
from zoo.preprocessing.table_fitting import TableFitter, fit_table
from zoo.spec import Column


def columns_of(table: dict[str, Any], **options: Any) -> dict[str, Column]:
    return {column.name: column for column in fit_table(table, **options).columns}


def test_numbers_give_mean_and_standard_deviation() -> None:
    """Integers, floats and bools are numeric; the spread is that of the whole population."""
    table = {"i": np.array([1, 2, 3, 6]), "f": np.array([0.5, -0.5, 1.5, 2.5], np.float32), "b": [True, False] * 2}
    for name, column in columns_of(table).items():
        values = np.asarray(table[name], np.float64)
        assert column.kind == "numeric"
        np.testing.assert_allclose([column.mean, column.std], [values.mean(), values.std()], rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, -1e9])
def test_a_constant_column_has_std_1(value: float) -> None:
    """Nothing is divided by zero, nor by rounding noise."""
    fitter = TableFitter()
    for _ in range(5):
        fitter.update({"x": np.full(333, value)})
    column, = fitter.finish().columns
    assert column.std == 1.0
    np.testing.assert_allclose(column.mean, value)


def test_numbers_that_are_not_finite_are_left_out() -> None:
    """NaN, infinity and None count for nothing."""
    column = columns_of({"x": [1.0, np.nan, 3.0, np.inf, -np.inf]})["x"]
    assert (column.mean, column.std) == (2.0, 1.0)
    assert columns_of({"x": [1.0, None, 3.0]})["x"] == column


def test_strings_give_sorted_categories() -> None:
    """Each different text once; empty and missing ones are no category."""
    for values in (["b", "a", "", "b"], np.array([b"b", b"a", b"", b"b"]), np.array(["b", None, "a", np.nan], object)):
        assert columns_of({"c": values})["c"] == Column(name="c", kind="categorical", categories=("a", "b"))


def test_integers_can_be_categories() -> None:
    """Named in `categorical`, integers become their texts."""
    assert columns_of({"c": [10, 9, 10]}, categorical=["c"])["c"].categories == ("10", "9")


def test_the_columns_keep_their_order_and_the_shape_is_passed_on() -> None:
    """The record names the columns as the table does."""
    spec = fit_table({"z": [1.0, 2.0], "a": [3, 4]}, shape=(2, 1))
    assert [column.name for column in spec.columns] == ["z", "a"] and spec.shape == (2, 1)


def test_chunks_give_what_the_whole_table_gives() -> None:
    """Fitting a stream equals fitting in memory, also for numbers far from zero and chunks of missing values."""
    random = np.random.default_rng(2)
    numbers = random.normal(1e6, 3.0, 1000)
    numbers[random.integers(0, 1000, 50)] = np.nan
    words = np.array(["red", "green", "blue", None], object)[random.integers(0, 4, 1000)]
    numbers[100:200], words[100:200] = np.nan, None
    fitter = TableFitter()
    for start in range(0, 1000, 100):
        fitter.update({"x": numbers[start:start + 100], "w": words[start:start + 100]})
    streamed = {column.name: column for column in fitter.finish().columns}
    whole = columns_of({"x": numbers, "w": words})
    assert streamed["w"] == whole["w"]
    np.testing.assert_allclose([streamed["x"].mean, streamed["x"].std], [np.nanmean(numbers), np.nanstd(numbers)],
                               rtol=1e-9)
    np.testing.assert_allclose([streamed["x"].mean, streamed["x"].std], [whole["x"].mean, whole["x"].std], rtol=1e-9)


def test_a_first_chunk_without_values_does_not_decide_the_kind() -> None:
    """A column that begins with missing values is what its later values are."""
    fitter = TableFitter().update({"w": [None, None], "x": [1, 2]}).update({"w": ["a", None], "x": [3, 4]})
    assert [(column.name, column.kind) for column in fitter.finish().columns] == [("w", "categorical"),
                                                                                 ("x", "numeric")]


@pytest.mark.parametrize(("table", "message"), [
    ({}, "no columns"),
    ({"x": []}, "'x' has no values"),
    ({"x": [None, None]}, "'x' has no values"),
    ({"x": [np.nan, np.inf]}, "'x' has no finite number"),
    ({"x": ["", ""]}, "'x' has no category"),
    ({"x": [1, 2], "y": [1]}, "same number of rows.*'x': 2.*'y': 1"),
    ({"x": [[1, 2]]}, r"'x' must have the shape \[N\]"),
    ({"x": np.array(["a", 1], object)}, "'x' mixes numbers and text"),
    ({"x": [str(number) for number in range(1001)]}, "'x' has more than 1000 categories.*max_categories"),
])
def test_a_table_that_cannot_be_learnt_is_refused(table: dict[str, Any], message: str) -> None:
    """The message names the column and what is wrong with it."""
    with pytest.raises(DataError, match=message):
        fit_table(table)


def test_chunks_that_contradict_each_other_are_refused() -> None:
    """Names and kinds must be the same in every chunk."""
    fitter = TableFitter().update({"x": [1.0]})
    with pytest.raises(DataError, match=r"columns \['x'\]. Received: \['y'\]"):
        fitter.update({"y": [1.0]})
    with pytest.raises(DataError, match="'x' was numeric and is categorical now"):
        fitter.update({"x": ["a"]})


def test_categorical_must_name_columns_of_whole_numbers_or_text() -> None:
    """A name that is no column, one string for many and decimal numbers are refused."""
    with pytest.raises(ArgumentError, match="'z', which is no column"):
        fit_table({"x": [1]}, categorical=["z"])
    with pytest.raises(ArgumentError, match="several names"):
        fit_table({"x": [1]}, categorical="x")
    with pytest.raises(DataError, match="decimal numbers"):
        fit_table({"x": [1.5]}, categorical=["x"])
    with pytest.raises(ArgumentError, match="max_categories"):
        fit_table({"x": ["a"]}, max_categories=0)
