from __future__ import annotations

from pathlib import Path

import pytest

from tests.zoo.data.sample_files import lines
from zoo.data.columns import column_number, text_and_label
from zoo.data.rows import RowFile, open_rows
from zoo.errors import DataError, UnknownNameError


def _file(tmp_path: Path, *rows: str, header: bool = True) -> RowFile:
    return open_rows(lines(tmp_path / "x.csv", rows), lambda fields: header, None)[0]


def test_columns_are_found_by_name_and_position() -> None:
    """A name counts in any case if that is unambiguous; -1 is the last column."""
    names = ("id", "Text", "label")
    assert [column_number(c, names, "x") for c in ("Text", "text", 0, -1)] == [1, 1, 0, 2]


@pytest.mark.parametrize("column", ["texts", 3, -4])
def test_unknown_columns_are_listed_with_the_known(column: str | int) -> None:
    """The error lists what there is, and the nearest name first."""
    with pytest.raises(UnknownNameError, match=r"x.csv has the columns: id, text, label") as caught:
        column_number(column, ("id", "text", "label"), "x.csv")
    assert ("Did you mean 'text'" in str(caught.value)) == (column == "texts")


@pytest.mark.parametrize(("header", "expected"), [
    ("label,text", (1, 0)), ("id,Sentence,Sentiment", (1, 2)), ("id,review,class", (1, 2)), ("verdict,text", (1, 0)),
])
def test_usual_names_are_recognised(tmp_path: Path, header: str, expected: tuple[int, int]) -> None:
    """Columns of usual names are text and label; of two columns the other one is the other."""
    assert text_and_label(_file(tmp_path, header), None, None) == expected


def test_of_two_nameless_columns_the_longer_is_the_text(tmp_path: Path) -> None:
    """A file such as SST-2's needs no arguments."""
    assert text_and_label(_file(tmp_path, "1,a long text", "0,another", header=False), None, None) == (1, 0)


def test_given_columns_win(tmp_path: Path) -> None:
    """What the user says is not guessed over."""
    assert text_and_label(_file(tmp_path, "text,title,label,tone"), "title", 3) == (1, 3)


def test_what_cannot_be_guessed_is_asked_for(tmp_path: Path) -> None:
    """The error names the columns and the argument to use."""
    file = _file(tmp_path, "id,words,verdict")
    with pytest.raises(DataError, match=r"id, words, verdict; .* Say which one holds the texts with `text_column`"):
        text_and_label(file, None, "verdict")
    with pytest.raises(DataError, match="Say which one holds the labels with `label_column`"):
        text_and_label(file, "words", None)
    with pytest.raises(DataError, match="are both in the column 'words'"):
        text_and_label(file, "words", "words")
