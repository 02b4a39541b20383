"""What the words behind `zoo predict` mean: pictures, texts, pairs, rows and files of them as a signature's inputs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.errors import InvalidRequestError

if TYPE_CHECKING:
    from serving.protocol.signatures import Signature, TensorSpec

PAIR_INPUT = "text_pair"
_PREFERRED = ("serve_bytes", "serve_text", "serve_columns", "serving_default")
_WITH_OPTIONS = ("generate", *_PREFERRED)
_PICTURE_STARTS = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM", b"RIFF")  # JPEG, PNG, GIF, BMP, WebP
_COLUMN_FILE, _ROW_FILES, _LINE_FILE = ".json", (".jsonl", ".tsv", ".csv"), ".txt"


@dataclass(frozen=True)
class Words:
    """What stood on the command line.

    Attributes:
        inputs: Picture files; texts; rows as column=value,...; or one file: .json, .jsonl, .tsv, .csv or .txt.
        pairs: Second texts, one for each of `inputs`.
        settings: Values of further inputs as NAME=VALUE, for every example alike.
    """

    inputs: Sequence[str]
    pairs: Sequence[str] = ()
    settings: Sequence[str] = ()

    @property
    def file(self) -> Path | None:
        """The one file that holds the examples, or None."""
        path = Path(self.inputs[0]) if len(self.inputs) == 1 else None
        return path if path is not None and path.suffix in (_COLUMN_FILE, *_ROW_FILES, _LINE_FILE) else None

    def settings_by_name(self) -> dict[str, list[str]]:
        """The values of each further input; raises InvalidRequestError for one without a name."""
        settings: dict[str, list[str]] = {}
        for setting in self.settings:
            name, equals, value = setting.partition("=")
            if not equals or not name.strip():
                raise InvalidRequestError(f"`--set` takes NAME=VALUE, such as max_new_tokens=40. Received: {setting!r}")
            settings.setdefault(name.strip(), []).append(value)
        return settings


@dataclass(frozen=True)
class Examples:
    """Inputs of a signature, read from words.

    Attributes:
        inputs: Arrays or lists [N, ...] by input name.
        sources: A readable source of each example.
    """

    inputs: dict[str, Any]
    sources: list[str] = field(default_factory=list)


def choose_signature(signatures: Mapping[str, Signature], words: Words) -> str:
    """Chooses the signature for the words of a command line.

    Args:
        signatures: What the model has.
        words: The words.

    Returns:
        For a .json file the signature that takes just its names; else the friendliest that takes a second text and the
        further inputs where there are any.
    """
    wanted = set(words.settings_by_name()) | ({PAIR_INPUT} if words.pairs else set())
    if words.file is not None and words.file.suffix == _COLUMN_FILE:
        names = set(_json_object(words.file)) | wanted
        fitting = [name for name in ("serving_default", *sorted(signatures))
                   if name in signatures and set(signatures[name].inputs) == names]
        if fitting or "serving_default" in signatures:
            return fitting[0] if fitting else "serving_default"
    order = [*(_WITH_OPTIONS if wanted else _PREFERRED), *sorted(signatures)]
    known = [name for name in order if name in signatures]
    fitting = [name for name in known if wanted <= set(signatures[name].inputs)]
    return (fitting or known or ["serving_default"])[0]


def read_examples(words: Words, name: str, signature: Signature) -> Examples:
    """Turns the words of a command line into the inputs of a signature.

    Args:
        words: The words.
        name: The signature's name.
        signature: What it takes.

    Raises:
        InvalidRequestError: A file that is missing or not readable, a row that lacks a column, a second text too many
            or too few, or a setting that the signature does not have.
    """
    file = words.file
    if file is not None and name == "serve_bytes" and file.suffix != _COLUMN_FILE:
        file = None  # pictures do not fit into the lines of a file
    read = _read_words(words, name, signature) if file is None else _read_file(file, name, signature)
    count = len(read.sources)
    values = dict(read.inputs)
    if words.pairs:
        values[PAIR_INPUT] = _pairs(words, name, signature, count)
    elif PAIR_INPUT in signature.inputs and PAIR_INPUT not in values:
        raise InvalidRequestError("The model reads pairs of texts: give the second of each with `--pair`, or a .tsv "
                                  "file of two columns.")
    for key, texts in words.settings_by_name().items():
        spec = signature.inputs.get(key)
        if spec is None:
            raise InvalidRequestError(f"The signature {name!r} has no input {key!r} to set. It takes "
                                      f"{', '.join(sorted(signature.inputs))}.")
        values[key] = _setting(key, texts, spec, count)
    return Examples(values, read.sources)


def _read_words(words: Words, name: str, signature: Signature) -> Examples:
    sources = list(words.inputs)
    first = _text_input(signature)
    if name == "serve_bytes":
        return Examples({next(iter(signature.inputs)): [_picture(Path(word)) for word in sources]}, sources)
    if name == "serve_columns":
        return Examples(_columns(sources, signature), sources)
    if first is None:
        raise InvalidRequestError(f"The signature {name!r} takes {', '.join(sorted(signature.inputs))}. Give one .json "
                                  "file with an object of arrays by input name.")
    return Examples({first: sources}, [f"{text} | {pair}" for text, pair in zip(sources, words.pairs, strict=False)]
                    if words.pairs and len(words.pairs) == len(sources) else sources)


def _text_input(signature: Signature) -> str | None:
    """The input that a text on the command line is for."""
    return next((name for name in ("text", "prompt") if name in signature.inputs), None)


def _pairs(words: Words, name: str, signature: Signature, count: int) -> list[str]:
    if PAIR_INPUT not in signature.inputs:
        raise InvalidRequestError(f"The model reads single texts: the signature {name!r} has no input {PAIR_INPUT!r}. "
                                  "Leave `--pair` out.")
    if len(words.pairs) != count:
        raise InvalidRequestError(f"Each text needs a second one: {count} texts and {len(words.pairs)} times `--pair` "
                                  "came.")
    return list(words.pairs)


def _setting(name: str, texts: list[str], spec: TensorSpec, count: int) -> Any:
    """A setting as the input's kind, the same for every example."""
    kind: Any = str if spec.is_string else float if spec.dtype.kind == "f" else _whole
    try:
        values = [kind(text) for text in texts]
    except ValueError:
        raise InvalidRequestError(f"The input {name!r} takes a {'whole ' if kind is _whole else ''}number. Received: "
                                  f"{texts[-1]!r}") from None
    rank = 1 if spec.shape is None else len(spec.shape)
    if rank == 2:  # several values for each example
        return [values] * count
    if len(values) > 1:
        raise InvalidRequestError(f"The input {name!r} takes one value. Received: {', '.join(texts)}")
    return values * count if rank == 1 else values[0]


def _whole(text: str) -> int | bool:
    return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else int(text)


# === Files ===


def _read_file(path: Path, name: str, signature: Signature) -> Examples:
    if path.suffix == _COLUMN_FILE:
        values = _json_object(path)
        first = 0
    else:
        rows, first = _rows(path, signature)
        values = {key: [row[key] for row in rows] for key in rows[0]}
    foreign = sorted(set(values) - set(signature.inputs))
    if foreign:
        raise InvalidRequestError(f"The signature {name!r} has no input {foreign[0]!r}. It takes "
                                  f"{', '.join(sorted(signature.inputs))}.")
    if path.suffix not in (_COLUMN_FILE, ".jsonl"):
        values = {key: column if signature.inputs[key].is_string else [_number(key, text) for text in column]
                  for key, column in values.items()}
    count = len(next(iter(values.values()), ()))
    return Examples(values, [f"{path}:{first + index}" for index in range(count)])


def _rows(path: Path, signature: Signature) -> tuple[list[dict[str, Any]], int]:
    """The examples of a file with one per line, and the number of the first one's line."""
    text = _text(path)
    lines = [line for line in text.splitlines() if line.strip()] if path.suffix != ".csv" else []
    if path.suffix == ".jsonl":
        rows, first = [_json_row(path, number, line) for number, line in enumerate(lines, start=1)], 1
    elif path.suffix == _LINE_FILE:
        rows, first = [{_text_input(signature) or "text": line} for line in lines], 1
    else:
        rows, first = _table(path, text, signature)
    if not rows:
        raise InvalidRequestError(f"{path} has no example.")
    uneven = next((number for number, row in enumerate(rows) if set(row) != set(rows[0])), None)
    if uneven is not None:
        raise InvalidRequestError(f"{path}, line {first + uneven}: expected {', '.join(sorted(rows[0]))} as in the "
                                  f"first example. Received: {', '.join(sorted(rows[uneven])) or 'nothing'}.")
    return rows, first


def _table(path: Path, text: str, signature: Signature) -> tuple[list[dict[str, Any]], int]:
    """Columns by their titles, or without titles the texts in the order of the signature."""
    read = (csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE) if path.suffix == ".tsv"
            else csv.reader(io.StringIO(text)))
    cells = [row for row in read if row]
    titles, first = (cells[0], 2) if cells and set(cells[0]) <= set(signature.inputs) else ([], 1)
    if not titles:
        titles = [name for name in ("text", "prompt", PAIR_INPUT) if name in signature.inputs]
    for number, row in enumerate(cells[first - 1:], start=first):
        if len(row) != len(titles):
            raise InvalidRequestError(f"{path}, line {number}: expected {len(titles)} columns "
                                      f"({', '.join(titles) or 'with the inputs as titles'}). Received: {len(row)}.")
    return [dict(zip(titles, row, strict=True)) for row in cells[first - 1:]], first


def _json_row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InvalidRequestError(f"{path}, line {number}, is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise InvalidRequestError(f"{path}, line {number}, must be an object of values by input name.")
    return row


def _json_object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(_content(path))
    except ValueError as error:
        raise InvalidRequestError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(value, list) for value in values.values()):
        raise InvalidRequestError(f"{path} must hold an object of arrays by input name, with the batch axis first.")
    return values


def _text(path: Path) -> str:
    try:
        return _content(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{path} is no UTF-8 text (byte {error.start}). Save it as UTF-8.") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error.strerror}.") from error


# === Pictures and rows ===


def _picture(path: Path) -> bytes:
    content = _content(path)
    if not content.startswith(_PICTURE_STARTS):
        raise InvalidRequestError(f"{path} is not a JPEG, PNG, GIF, BMP or WebP picture.")
    return content


def _columns(words: Sequence[str], signature: Signature) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in signature.inputs}
    for word in words:
        pairs = [part.partition("=") for part in word.split(",")]
        row = {name.strip(): text for name, equals, text in pairs if equals}
        if set(row) != set(columns) or len(pairs) != len(columns):
            raise InvalidRequestError(f"A row reads column=value,column=value with each of the columns "
                                      f"{', '.join(columns)} once (values with commas: in a .json file). "
                                      f"Received: {word!r}")
        for name, text in row.items():
            columns[name].append(text if signature.inputs[name].is_string else _number(name, text))
    return columns


def _number(name: str, text: str) -> float:
    try:
        return float(text) if text.strip() else math.nan  # missing, as in the tables that models learn from
    except ValueError:
        raise InvalidRequestError(f"The column {name!r} takes a number. Received: {text!r}") from None
