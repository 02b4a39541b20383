from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.preprocessing.table_fitting import fit_table
from zoo.preprocessing.tabular import TabularTransform
from zoo.spec import Column, TabularPreprocessing

SPEC = TabularPreprocessing(columns=(
    Column(name="age", mean=40.0, std=10.0),
    Column(name="colour", kind="categorical", categories=("blue", "red")),
    Column(name="size", mean=1.0, std=0.5), Column(name="price", mean=-3.0, std=2.0),
))
TABLE: dict[str, Any] = {"age": np.array([50, 40, 30]), "colour": np.array(["red", "green", "blue"]),
                         "size": np.array([1.5, np.nan, np.inf]), "price": np.array([-1.0, -3.0, -4.0], np.float32)}
ROWS = [[1, 0, 1, 1, 1], [0, 0, 0, 0, 0], [-1, 1, 0, 0, -0.5]]


def test_columns_become_rows_of_features() -> None:
    """Numbers are standardised, categories one-hot, in the record's order; NaN is the mean, unseen is zeros."""
    transform = TabularTransform(SPEC)
    rows = transform.batch(TABLE)
    assert rows.dtype == tf.float32 and transform.width == 5
    np.testing.assert_allclose(rows.numpy(), ROWS, rtol=1e-6)


def test_fitted_features_are_standardised() -> None:
    """What fit_table learns gives features of mean 0 and standard deviation 1 on the same rows."""
    random = np.random.default_rng(4)
    table = {"x": random.normal(5, 3, 500), "y": random.uniform(0, 1e-3, 500), "c": random.choice(["p", "q"], 500)}
    features = TabularTransform(fit_table(table)).batch(table).numpy()
    np.testing.assert_allclose(features[:, :2].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(features[:, :2].std(0), 1, atol=1e-5)
    np.testing.assert_array_equal(features[:, 2:].argmax(1), table["c"] == "q")


def test_a_shape_makes_sequences() -> None:
    """The features of a row are reshaped, the first axis of the shape slowest."""
    columns = tuple(Column(name=f"t{step}") for step in range(6))
    transform = TabularTransform(TabularPreprocessing(columns=columns, shape=(3, 2)))
    rows = transform.batch({f"t{step}": np.array([step, 10 + step]) for step in range(6)})
    np.testing.assert_array_equal(rows.numpy(), [np.arange(6).reshape(3, 2), 10 + np.arange(6).reshape(3, 2)])


def test_integers_may_be_categories() -> None:
    """An integer stands for the category of its text."""
    column = Column(name="c", kind="categorical", categories=("10", "9"))
    rows = TabularTransform(TabularPreprocessing(columns=(column,))).batch({"c": np.array([9, 10, 11])})
    np.testing.assert_array_equal(rows.numpy(), [[0, 1], [1, 0], [0, 0]])


def test_tf_data_and_graphs_give_the_eager_bits() -> None:
    """The same object works in tf.data and in a tf.function, with a complete static shape."""
    transform = TabularTransform(SPEC)
    random = np.random.default_rng(6)
    table = {"age": random.normal(40, 9, 100), "size": random.normal(0, 1, 100), "price": random.normal(0, 1e5, 100),
             "colour": random.choice(["red", "blue", "?"], 100)}
    eager = transform.batch(table).numpy()
    dataset = tf.data.Dataset.from_tensor_slices(table).batch(32).map(transform.batch)
    assert dataset.element_spec == tf.TensorSpec([None, 5], tf.float32)
    np.testing.assert_array_equal(np.concatenate(list(dataset.as_numpy_iterator())), eager)
    np.testing.assert_array_equal(tf.function(transform.batch)(table).numpy(), eager)


def test_no_rows_and_unknown_columns() -> None:
    """An empty table gives [0, width]; columns that are not named are ignored."""
    table = {name: values[:0] for name, values in TABLE.items()} | {"id": np.array([], np.int64)}
    assert TabularTransform(SPEC).batch(table).shape == (0, 5)


@pytest.mark.parametrize(("change", "message"), [
    ({"age": None}, "no column 'age'. It needs: age, colour, size, price. Received: colour"),
    ({"age": np.array(["a", "b", "c"])}, "'age' must hold numbers. Received: strings"),
    ({"colour": np.array([1.0, 2.0, 3.0])}, "'colour' must hold categories as strings or integers"),
    ({"size": np.zeros((3, 1))}, r"'size' must have the shape \[N\].*\(3, 1\)"),
])
def test_columns_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    """The message names the column, what was expected and what came."""
    table = {name: values for name, values in (TABLE | change).items() if values is not None}
    with pytest.raises(ArgumentError, match=message):
        TabularTransform(SPEC).batch(table)


@pytest.mark.parametrize(("spec", "message"), [
    (TabularPreprocessing(columns=()), "at least one column"),
    (TabularPreprocessing(columns=(Column(name="x"), Column(name="x"))), "Received twice: 'x'"),
    (TabularPreprocessing(columns=(Column(name="x", std=0.0),)), "positive std"),
    (TabularPreprocessing(columns=(Column(name="x", mean=float("nan")),)), "finite mean"),
    (TabularPreprocessing(columns=(Column(name="x", kind="categorical"),)), "at least one category"),
    (TabularPreprocessing(columns=(Column(name="x", kind="categorical", categories=("a", "a")),)), "none twice"),
    (TabularPreprocessing(columns=(Column(name="x"),), shape=(2, 1)), r"features, 1. Received: \(2, 1\), which is 2"),
])
def test_a_record_that_cannot_run_is_refused_at_once(spec: TabularPreprocessing, message: str) -> None:
    """Mistakes show at construction, not at the first request."""
    with pytest.raises(ArgumentError, match=message):
        TabularTransform(spec)
