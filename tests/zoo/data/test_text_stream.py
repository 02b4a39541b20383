"""Long texts: pieces join to the whole text, parts share nothing, and encodings that are none are named."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path

import pytest

from zoo.data.splitting import TEST, TRAIN, VALIDATION, SplitFractions
from zoo.data.text_stream import PIECE_CHARACTERS, open_texts, pieces
from zoo.errors import DataError

FRACTIONS = SplitFractions(validation=0.2, test=0.1)


def _joined(path: Path, fractions: SplitFractions = FRACTIONS) -> dict[int, str]:
    parts: dict[int, str] = {}
    for piece in pieces(open_texts(path), fractions):
        parts[piece.part] = parts.get(piece.part, "") + piece.text
    return parts


def _text(words: int) -> str:
    return "".join(f"word{i}é{'  ' if i % 3 else chr(10) * 2}" for i in range(words))


def test_parts_are_contiguous_and_make_the_whole(tmp_path: Path) -> None:
    """Train, validation and test joined are the text; each begins where a word ended; sizes are near the fractions."""
    text = _text(9000)
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    parts = _joined(path)
    assert parts[TRAIN] + parts[VALIDATION] + parts[TEST] == text
    assert len(parts[TRAIN]) / len(text) == pytest.approx(0.7, abs=0.001)
    assert len(parts[TEST]) / len(text) == pytest.approx(0.1, abs=0.001)
    for part in (VALIDATION, TEST):
        assert parts[part][0].isspace()
    assert not parts[TRAIN][-1].isspace()
    assert not parts[VALIDATION][-1].isspace()


def test_pieces_end_where_tokenizers_start_anew(tmp_path: Path) -> None:
    """Every piece begins with white space after a word; one without any white space is cut all the same."""
    path = tmp_path / "a.txt"
    path.write_text(_text(20_000), encoding="utf-8")
    found = [piece.text for piece in pieces(open_texts(path), SplitFractions(validation=0.0, test=0.0))]
    assert len(found) > 5
    for before, after in itertools.pairwise(found):
        assert after[0].isspace()
        assert not before[-1].isspace()
    path.write_text("x" * (5 * PIECE_CHARACTERS), encoding="utf-8")
    whole = [piece.text for piece in pieces(open_texts(path), SplitFractions(validation=0.0, test=0.0))]
    assert "".join(whole) == "x" * (5 * PIECE_CHARACTERS)
    assert max(map(len, whole)) <= 3 * PIECE_CHARACTERS


def test_given_parts_are_kept_and_missing_ones_cut_off(tmp_path: Path) -> None:
    """With train.txt and dev.txt only the test part is cut off train."""
    (tmp_path / "train.txt").write_text(" ".join("abcdefghij"), encoding="utf-8")
    (tmp_path / "dev.txt").write_text("held out", encoding="utf-8")
    (tmp_path / "other.txt").write_text("never read", encoding="utf-8")
    parts = _joined(tmp_path)
    assert parts[VALIDATION] == "held out"
    assert parts[TRAIN] + parts[TEST] == " ".join("abcdefghij")
    assert parts[TEST] == " j"


def test_a_folder_of_texts_is_one_text(tmp_path: Path) -> None:
    """Files count in alphabetical order, and the end of each is marked; a byte order mark is no character."""
    (tmp_path / "b.txt").write_text("three four", encoding="utf-8")
    (tmp_path / "a.txt").write_text("one two", encoding="utf-8-sig")
    found = list(pieces(open_texts(tmp_path), SplitFractions(validation=0.0, test=0.0)))
    assert [(piece.text, piece.last) for piece in found] == [("one two", True), ("three four", True)]


def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    """8 MB are streamed in less than one."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"some words of a text\n" * 400_000)
    tracemalloc.start()
    total = sum(len(piece.text) for piece in pieces(open_texts(path), FRACTIONS))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 21 * 400_000
    assert peak < 1_000_000


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.txt", b"good\xff", "is not UTF-8 at about byte 4"),
    ("a.csv", b"x,y", "has the ending '.csv'. A language model learns from plain text"),
    ("missing.txt", None, "does not exist. Give a file of plain text"),
])
def test_bad_files_are_named(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    """One line says what is wrong and what to give."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_texts(tmp_path / name)
    if content is None:
        with pytest.raises(DataError, match=r"has no \.txt file"):
            open_texts(tmp_path)
