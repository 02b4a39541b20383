"""Long plain texts, read piece by piece, each piece with the part of the split that it belongs to.

A piece ends in front of white space that follows a word, where every tokenizer starts anew: the ids of the pieces
together are those of the whole text.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.data.splitting import TEST, TRAIN, UNDECIDED, VALIDATION, SplitFractions
from zoo.errors import DataError

PIECE_CHARACTERS = 1 << 14
_SUFFIXES = (".txt", ".text", ".md", "")
_STEMS = {"train": TRAIN, "validation": VALIDATION, "val": VALIDATION, "valid": VALIDATION, "dev": VALIDATION,
          "test": TEST}


@dataclass(frozen=True)
class TextFile:
    """One file of running text: its part of the split, or UNDECIDED, and its number of characters."""

    path: Path
    part: int
    characters: int


@dataclass(frozen=True)
class Piece:
    """Some text of one part; `last` where a file ends with it."""

    text: str
    part: int
    last: bool


def open_texts(path: Path) -> list[TextFile]:
    """Finds the files of a text, and reads each once to see that it can be read.

    Args:
        path: A .txt file; or a folder with train.txt and at will validation (val, dev) and test files; or any folder
            of .txt files, which are taken in alphabetical order.

    Raises:
        DataError: Nothing there, a file of another kind, or one that is not UTF-8.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist. Give a file of plain text (.txt), or a folder of such files.")
    if path.is_file():
        if path.suffix.lower() not in _SUFFIXES:
            raise DataError(f"{path} has the ending {path.suffix!r}. A language model learns from plain text: give a "
                            ".txt file or a folder of such files.")
        return [TextFile(path, UNDECIDED, _characters(path))]
    paths = sorted(file for file in path.rglob("*")
                   if file.is_file() and file.suffix.lower() in _SUFFIXES[:3] and not file.name.startswith("."))
    if not paths:
        raise DataError(f"The folder {path} has no .txt file. Give a file of plain text, or a folder of such files.")
    if any(file.stem.lower() == "train" for file in paths):
        return [TextFile(file, _STEMS[file.stem.lower()], _characters(file))
                for file in paths if file.stem.lower() in _STEMS]
    return [TextFile(file, UNDECIDED, _characters(file)) for file in paths]


def pieces(files: Sequence[TextFile], fractions: SplitFractions) -> Iterator[Piece]:
    """Yields the whole text: of each part the files in order.

    A part that no file names is cut off the end of the training text: the last characters are the test part, those
    before them the validation part. No character is in two parts.

    Args:
        files: What `open_texts` returned.
        fractions: Sizes of the parts to cut off.
    """
    given = {file.part for file in files}
    fractions = fractions.without([part for part in (VALIDATION, TEST) if part in given])
    cut = [file for file in files if file.part in (UNDECIDED, TRAIN)]
    total = sum(file.characters for file in cut)
    ends = [(TRAIN, round(total * (1.0 - fractions.validation - fractions.test))),
            (VALIDATION, round(total * (1.0 - fractions.test))), (TEST, total)]
    yield from _cut_off(cut, ends)
    for file in files:
        if file.part in (VALIDATION, TEST):
            yield from (Piece(text, file.part, last) for text, last in _with_end(_file_pieces(file.path)))


def _cut_off(files: Sequence[TextFile], ends: list[tuple[int, int]]) -> Iterator[Piece]:
    done, number = 0, 0
    for file in files:
        for text, last in _with_end(_file_pieces(file.path)):
            rest = text
            while number < len(ends) - 1 and done + len(rest) > ends[number][1]:
                place = _next_cut(rest, max(ends[number][1] - done, 0))
                if place:
                    yield Piece(rest[:place], ends[number][0], last and place == len(rest))
                done, rest, number = done + place, rest[place:], number + 1
            if rest:
                yield Piece(rest, ends[number][0], last)
            done += len(rest)


def _next_cut(text: str, start: int) -> int:
    """Returns the first place from `start` on where a piece may end, or the end of the text."""
    if start == 0:
        return 0
    return next((place for place in range(start, len(text)) if _may_cut(text, place)), len(text))


def _may_cut(text: str, place: int) -> bool:
    return text[place].isspace() and not text[place - 1].isspace()


def _with_end(texts: Iterator[str]) -> Iterator[tuple[str, bool]]:
    waiting: str | None = None
    for text in texts:
        if waiting is not None:
            yield waiting, False
        waiting = text
    if waiting is not None:
        yield waiting, True


def _file_pieces(path: Path) -> Iterator[str]:
    held = ""
    for text in _decoded(path):
        held += text
        if len(held) < 2 * PIECE_CHARACTERS:
            continue
        # From the back, so that long texts are cut into long pieces; without white space anywhere in between.
        place = next((i for i in range(len(held) - 1, len(held) // 2, -1) if _may_cut(held, i)), len(held) // 2)
        yield held[:place]
        held = held[place:]
    if held:
        yield held


def _decoded(path: Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    read = 0
    try:
        with path.open("rb") as file:
            begun = file.read(len(codecs.BOM_UTF8))
            chunk = b"" if begun == codecs.BOM_UTF8 else begun
            while chunk or read == 0:
                yield decoder.decode(chunk)
                read += max(len(chunk), 1)
                chunk = file.read(PIECE_CHARACTERS)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 at about byte {read + error.start}. Convert it, such as with "
                        "iconv -t UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _characters(path: Path) -> int:
    return sum(map(len, _decoded(path)))
