"""Files of sentences whose words have tags: CoNLL ("word<TAB>tag", a blank line between sentences) or JSON lines.

Both are read as rows of two fields, the words and the tags of one sentence, each as a JSON list; so places, parts and
reading on demand are those of other rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from zoo.data.rows import Row, RowError, RowFile, split_record
from zoo.data.splitting import TEST, TRAIN, UNDECIDED, VALIDATION
from zoo.errors import DataError

_CONLL = (".conll", ".conll03", ".iob", ".iob2", ".bio", ".tsv", ".txt")
_JSON = (".jsonl", ".ndjson")
_STEMS = {"train": TRAIN, "validation": VALIDATION, "val": VALIDATION, "valid": VALIDATION, "dev": VALIDATION,
          "test": TEST}
_COLUMNS = ("tokens", "tags")
_DOCUMENT_START = b"-DOCSTART-"  # CoNLL 2003 has such a line between documents


@dataclass(frozen=True)
class TaggedFile(RowFile):
    """One file of tagged sentences, as rows of the columns "tokens" and "tags"."""

    is_json: bool = False

    def rows(self) -> Iterator[Row]:
        """Reads the file once from its beginning."""
        with self.path.open("rb") as file:
            for line, offset, record in _lines(file) if self.is_json else _sentences(file):
                try:
                    yield Row(line, offset, len(record), self.parse(record))
                except RowError as error:
                    yield Row(line, offset, len(record), [], str(error))

    def parse(self, record: bytes) -> list[str]:
        """Returns the words and the tags of one sentence, each as a JSON list.

        Raises:
            RowError: The bytes are not a sentence with a tag for every word.
        """
        return split_record(record, "jsonl", _COLUMNS) if self.is_json else _conll(record)


def words_and_tags(fields: list[str]) -> tuple[list[str], list[str]]:
    """Returns the words and the tags of a row.

    Raises:
        RowError: They are no lists of strings of the same length.
    """
    lists = []
    for name, field in zip(_COLUMNS, fields, strict=True):
        try:
            value = json.loads(field) if field else None
        except ValueError:
            value = None
        if not isinstance(value, list) or not all(isinstance(item, str | int) for item in value):
            raise RowError(f"{name!r} is no list of strings")
        lists.append([str(item) for item in value])
    words, tags = lists
    if len(words) != len(tags):
        raise RowError(f"{len(words)} tokens and {len(tags)} tags")
    if any(not word.strip() for word in words) or any(not tag.strip() for tag in tags):
        raise RowError("an empty token or tag")
    return words, tags


def open_tagged(path: Path) -> list[RowFile]:
    """Opens a file of tagged sentences, or a folder with train, validation (val, dev) and test files.

    Raises:
        DataError: Nothing there, or a file of another kind.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist. Give a file of sentences ({', '.join((*_CONLL, *_JSON))}).")
    if not path.is_dir():
        return [_opened(path, UNDECIDED)]
    paths = sorted(file for file in path.iterdir()
                   if file.suffix.lower() in (*_CONLL, *_JSON) and file.stem.lower() in _STEMS)
    if not any(file.stem.lower() == "train" for file in paths):
        raise DataError(f"The folder {path} has no train file of tagged sentences, expected train.conll, train.tsv or "
                        "train.jsonl, and at will validation and test files beside it.")
    return [_opened(file, _STEMS[file.stem.lower()]) for file in paths]


def _opened(path: Path, part: int) -> RowFile:
    suffix = path.suffix.lower()
    if suffix not in (*_CONLL, *_JSON):
        raise DataError(f"{path} has the ending {path.suffix!r}, expected one of {', '.join((*_CONLL, *_JSON))}: lines "
                        "of 'word<TAB>tag' with a blank line between sentences, or JSON objects of 'tokens' and "
                        "'tags'.")
    is_json = suffix in _JSON
    return TaggedFile(path, "jsonl" if is_json else "tsv", _COLUMNS, False, part, is_json=is_json)


def _lines(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    for number, line in enumerate(iter(file.readline, b""), start=1):
        if line.strip():
            yield number, offset, line
        offset += len(line)


def _sentences(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Yields the first line's number from 1, the byte offset and the bytes of each sentence."""
    begun, start, offset = 0, 0, 0
    lines: list[bytes] = []
    for number, line in enumerate(iter(file.readline, b""), start=1):
        if line.strip() and not line.startswith(_DOCUMENT_START):
            if not lines:
                begun, start = number, offset
            lines.append(line)
        elif lines:
            yield begun, start, b"".join(lines)
            lines = []
        offset += len(line)
    if lines:
        yield begun, start, b"".join(lines)


def _conll(record: bytes) -> list[str]:
    try:
        text = record.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RowError(f"not UTF-8 at byte {error.start} of the sentence") from None
    words, tags = [], []
    for line in text.split("\n"):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split("\t")] if "\t" in line else line.split()
        if len(fields) < 2:
            raise RowError(f"the line {line.strip()[:40]!r} has no tag")
        words.append(fields[0])
        tags.append(fields[-1])
    return [json.dumps(words), json.dumps(tags)]
