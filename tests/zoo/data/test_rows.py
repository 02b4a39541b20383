from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zoo.data.sample_files import lines
from zoo.data.rows import RowError, RowFile, RowIndex, has_row_files, open_rows
from zoo.data.splitting import TEST, TRAIN, VALIDATION
from zoo.errors import DataError


def _open(path: Path, *, header: bool | None = None) -> RowFile:
    return open_rows(path, lambda fields: fields[0] == "a", header)[0]


def _fields(file: RowFile) -> list[list[str]]:
    return [row.fields for row in file.rows()]


def test_header_blank_lines_and_byte_order_mark_are_no_rows(tmp_path: Path) -> None:
    """Rows are numbered by their line in the file, whatever stands between them."""
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4")
    file = _open(path)
    assert (file.columns, file.header) == (("a", "b"), True)
    assert [(row.line, row.fields) for row in file.rows()] == [(2, ["1", "2"]), (4, ["3", "4"])]


def test_without_a_header_columns_have_numbers(tmp_path: Path) -> None:
    """A first row that is no header is a row, and columns are called by position."""
    file = _open(lines(tmp_path / "x.csv", ["1,2", "3,4"]))
    assert (file.columns, _fields(file)) == (("0", "1"), [["1", "2"], ["3", "4"]])
    assert _open(file.path, header=True).columns == ("1", "2")


def test_semicolons_separate_where_there_is_no_comma(tmp_path: Path) -> None:
    """A CSV file written by a European spreadsheet is read as well."""
    file = _open(lines(tmp_path / "x.csv", ["a;b", '"1;0";2']))
    assert (file.columns, _fields(file)) == (("a", "b"), [["1;0", "2"]])


@given(st.lists(st.lists(st.text(st.sampled_from('ab",;\n \u2028é'), max_size=6), min_size=2, max_size=2), min_size=1,
                max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_csv_is_read_as_python_writes_it(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]],
                                         end: str) -> None:
    """Quotes, separators and line ends inside quoted fields come back exactly, with all their places in the file."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    path = tmp_path_factory.mktemp("rows") / "x.csv"
    path.write_bytes(text.getvalue().encode("utf-8"))
    file = RowFile(path, "csv", ("0", "1"), False)
    assert _fields(file) == rows
    index = RowIndex([file])
    for row in file.rows():
        index.add(0, row)
    backwards = np.arange(len(rows))[::-1]
    assert index.read(backwards, [1, 0]) == [row[::-1] for row in rows[::-1]]


def test_quotes_inside_a_field_are_ordinary(tmp_path: Path) -> None:
    """An inch sign in an unquoted field does not swallow the next lines."""
    file = _open(lines(tmp_path / "x.csv", ["a,b", '5" pipe,1', '6" pipe,2']))
    assert _fields(file) == [['5" pipe', "1"], ['6" pipe', "2"]]


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path: Path) -> None:
    """The broken line is reported and all others are read."""
    file = _open(lines(tmp_path / "x.csv", ["a,b", '"open,1', "fine,2", "good,3"]))
    rows = list(file.rows())
    assert [(row.line, row.fields) for row in rows[1:]] == [(3, ["fine", "2"]), (4, ["good", "3"])]
    assert rows[0].problem.startswith("not CSV: ")


def test_tab_separated_values_know_no_quotes(tmp_path: Path) -> None:
    """Quotes in a TSV file belong to the text, as in GLUE."""
    file = _open(lines(tmp_path / "x.tsv", ['"so" he said\t1', 'a " b\t0']))
    assert _fields(file) == [['"so" he said', "1"], ['a " b', "0"]]


def test_json_lines_are_read_by_name(tmp_path: Path) -> None:
    """Fields may come in any order and type; a missing one is empty, and what is no object is a problem."""
    path = lines(tmp_path / "x.jsonl", ['{"a": "x", "b": 1}', '{"b": true, "a": "é\\n"}', '{"a": null}', "[1]", "{"])
    rows = list(_open(path).rows())
    assert [row.fields for row in rows] == [["x", "1"], ["é\n", "true"], ["", ""], [], []]
    assert [rows[3].problem, rows[4].problem[:8]] == ["a JSON list, expected an object", "not JSON"]


def test_rows_of_wrong_width_and_encoding_are_problems(tmp_path: Path) -> None:
    """A row that cannot be read says why, and the next is read."""
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n1\n2,\xff\n3,4\n")
    assert [row.problem or row.fields for row in _open(path).rows()] == [
        "1 fields, expected 2", "not UTF-8 at byte 2 of the row", ["3", "4"]]


def test_files_of_a_folder_are_the_parts(tmp_path: Path) -> None:
    """train, dev (or validation) and test files belong together; rows know their file."""
    for name in ("train", "dev", "test"):
        lines(tmp_path / f"{name}.tsv", ["a\tb", f"{name}\t1"])
    files = open_rows(tmp_path, lambda fields: fields[0] == "a", None)
    assert has_row_files(tmp_path)
    assert [(file.path.stem, file.part) for file in files] == [("dev", VALIDATION), ("test", TEST), ("train", TRAIN)]
    index = RowIndex(files)
    for number, file in enumerate(files):
        for row in file.rows():
            index.add(number, row)
    assert index.read(np.array([2, 0]), [0, 1]) == [["train", "1"], ["dev", "1"]]
    assert (index.parts().tolist(), index.name(1)) == ([VALIDATION, TEST, TRAIN], f"{tmp_path / 'test.tsv'}:2")


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    """A file that is rewritten after it was indexed does not feed wrong rows silently."""
    file = _open(lines(tmp_path / "x.csv", ["a,b", "1,2", "3,4"]))
    index = RowIndex([file])
    for row in file.rows():
        index.add(0, row)
    lines(file.path, ["a", "1", "2"])
    with pytest.raises(RowError):
        index.read(np.array([1]), [0])


@pytest.mark.parametrize(("name", "content", "message"), [
    ("x.csv", b"", "is empty, expected one row per example"),
    ("x.xlsx", b"x", r"has the ending '.xlsx', expected one of .csv, .tsv"),
    ("x.jsonl", b"oops\n", "The first row of .* cannot be read: not JSON"),
    ("x.csv", b"a,b,a\n1,2,3\n", "names the column 'a' twice"),
    ("x.csv", b"\xff\xfe\n", "The first row of .* cannot be read: not UTF-8 at byte 0"),
])
def test_unusable_files_are_one_clear_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """The message says what is wrong with which file."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        _open(tmp_path / name)


def test_missing_and_mismatched_files_are_refused(tmp_path: Path) -> None:
    """No file, a folder without a train file, and parts of different columns cannot be used."""
    with pytest.raises(DataError, match="does not exist"):
        _open(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"has no train file, expected train.csv"):
        _open(tmp_path)
    lines(tmp_path / "train.csv", ["a,b"])
    lines(tmp_path / "test.csv", ["a,c"])
    with pytest.raises(DataError, match=r"train.csv has the columns a, b, but .*test.csv has a, c"):
        _open(tmp_path)
