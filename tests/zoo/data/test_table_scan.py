from __future__ import annotations

from pathlib import Path

import pytest

from tests.zoo.data.sample_files import lines
from zoo.data.rows import RowIndex, open_rows
from zoo.data.table_layout import TableTask, table_layout
from zoo.data.table_scan import TableScan, found_rows, scan_table
from zoo.errors import ArgumentError, DataError


def _scan(tmp_path: Path, task: TableTask, *rows: str) -> tuple[TableScan, Path]:
    path = lines(tmp_path / "x.csv", ["a,b,y", *rows])
    files = open_rows(path, lambda fields: True, None)
    return scan_table(RowIndex(files), table_layout(files[0], ["y"], task, None, None)), path


def test_every_unusable_row_has_its_line_and_reason(tmp_path: Path) -> None:
    """Rows of the wrong width, with unreadable numbers or without a target are listed; missing numbers are counted."""
    scan, path = _scan(tmp_path, "regression", "1,2,3", "1,x,3", "1,2", ",2,3", "1,2,", "1,2,nan", "4,5,6", "7,8,9")
    assert [(e.source.removeprefix(f"{path}:"), e.reason, e.detail) for e in scan.excluded] == [
        ("3", "not a number", "b is 'x'"), ("4", "unreadable", "2 fields, expected 3"),
        ("6", "not a number", "y is ''"), ("7", "not a number", "y is 'nan'")]
    assert (scan.checked, list(scan.targets), scan.missing) == (8, [3.0, 3.0, 6.0, 9.0], {"a": 1})


def test_found_rows_keep_their_place_in_the_file(tmp_path: Path) -> None:
    """With chosen labels, targets and sources belong to the rows that are left."""
    rows = ("1,2,red", "3,4,blue", "5,6,", "7,8,red")
    files = open_rows(lines(tmp_path / "x.csv", ["a,b,y", *rows]), lambda fields: True, None)
    layout = table_layout(files[0], ["y"], "classification", None, None)
    found, kept = found_rows(scan_table(RowIndex(files), layout), layout, files[0].path, ["red"])
    assert (found.labels, found.targets.tolist(), kept.tolist()) == (("red",), [0, 0], [0, 2])
    assert list(found.names) == [f"{files[0].path}:{line}" for line in (2, 5)]
    assert [(e.reason, e.source.rpartition(":")[2]) for e in found.excluded] == [
        ("no label", "4"), ("not a class", "3")]


def test_a_target_of_words_is_no_regression(tmp_path: Path) -> None:
    """The error shows a row and names the way out."""
    with pytest.raises(DataError, match=r"not numeric in 2 of 3 rows; the first: .*:2: y is 'red'. .*classification"):
        _scan(tmp_path, "regression", "1,2,red", "1,2,blue", "1,2,3")


def test_binary_needs_two_classes_and_regression_no_labels(tmp_path: Path) -> None:
    """Labels that do not fit the task are refused."""
    path = lines(tmp_path / "x.csv", ["a,y", "1,r", "2,g", "3,b"])
    files = open_rows(path, lambda fields: True, None)
    binary = table_layout(files[0], ["y"], "binary_classification", None, None)
    with pytest.raises(DataError, match=r"has 3 classes \(b, g, r\), expected 2 for binary_classification"):
        found_rows(scan_table(RowIndex(files), binary), binary, path, None)
    regression = table_layout(files[0], ["a"], "regression", None, None)
    with pytest.raises(ArgumentError, match="A regression has no labels"):
        found_rows(scan_table(RowIndex(files), regression), regression, path, ["x"])
