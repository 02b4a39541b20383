from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.zoo.data.sample_files import lines
from zoo.data.rows import RowFile, open_rows
from zoo.data.table_layout import is_header, parsed_number, table_layout
from zoo.errors import ArgumentError, DataError


def _file(tmp_path: Path) -> RowFile:
    rows = ["a,b,c,y", "1,x,,0", "2,3,?,1", "oops,z,n/a,1"]
    return open_rows(lines(tmp_path / "x.csv", rows), lambda fields: True, None)[0]


@pytest.mark.parametrize(("text", "number"), [
    (" 1.5 ", 1.5), ("-2e3", -2000.0), ("1_000", None), ("inf", None), ("1e300", None), ("3,5", None), ("x", None),
])
def test_numbers_are_finite_decimals(text: str, number: float | None) -> None:
    """Only what fits a finite float32 is a number."""
    assert parsed_number(text) == number


@pytest.mark.parametrize("text", ["", " ", "NA", "n/a", "NaN", "null", "None", "?"])
def test_usual_marks_are_missing_numbers(text: str) -> None:
    """A missing number is NaN, which the transform turns into the mean."""
    assert math.isnan(parsed_number(text) or 0.0)


def test_a_header_names_the_target_or_has_no_number() -> None:
    """Data without a header has a number in its first row."""
    assert is_header(["a", "b"], ["y"])
    assert is_header(["2020", "2021", "y"], ["y"])
    assert not is_header(["5.1", "3.5", "setosa"], [2])


def test_kinds_are_what_most_fields_are(tmp_path: Path) -> None:
    """A column is numeric if at least half of its present fields are numbers."""
    layout = table_layout(_file(tmp_path), ["y"], "classification", None, None)
    assert (layout.names, layout.kinds) == (("a", "b", "c"), ("numeric", "categorical", "numeric"))
    assert (layout.features, layout.targets) == ((0, 1, 2), (3,))


def test_given_columns_and_kinds_win(tmp_path: Path) -> None:
    """The user's choice of columns, their order and kinds is not guessed over."""
    file = _file(tmp_path)
    assert table_layout(file, [-1], "regression", ["b", 0], None).features == (1, 0)
    assert table_layout(file, ["y"], "regression", {"a": "categorical"}, None).kinds == ("categorical",)


def test_impossible_columns_are_refused(tmp_path: Path) -> None:
    """A target among the features, an unknown kind, and nothing to predict from are mistakes."""
    file = _file(tmp_path)
    with pytest.raises(ArgumentError, match="The column 'a' is both a target and among `columns`"):
        table_layout(file, ["a"], "regression", ["a", "b"], None)
    with pytest.raises(ArgumentError, match=r"A column is 'numeric' or 'categorical'. Received: 'number'"):
        table_layout(file, ["y"], "regression", {"a": "number"}, None)  # type: ignore[dict-item]
    with pytest.raises(DataError, match="has no column besides the target"):
        table_layout(file, ["a", "b", "c", "y"], "regression", None, None)
