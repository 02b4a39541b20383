"""Texts with labels, from class folders of .txt files or from CSV, TSV and JSON lines."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data.cleaning import Exclusion
from zoo.data.columns import LABEL_NAMES, TEXT_NAMES, text_and_label
from zoo.data.fingerprints import DIGEST_BYTES, content_digest
from zoo.data.folders import read_class_folders, sorted_labels
from zoo.data.labelled import Examples, LabelledData, Lazy
from zoo.data.planning import Found, SplitPlan, plan_split
from zoo.data.rows import Row, RowIndex, has_row_files, open_rows
from zoo.data.splitting import SplitFractions
from zoo.errors import ArgumentError, DataError
from zoo.preprocessing.text import TextTransform
from zoo.preprocessing.text_vocabulary import fit_text
from zoo.spec import TextPreprocessing

_READ_AT_ONCE = 256


def load_texts(path: str | Path, preprocessing: TextPreprocessing | None = None, *,
               text_column: str | int | None = None, label_column: str | int | None = None,
               header: bool | None = None, max_length: int = 128, max_words: int = 20_000, lowercase: bool = True,
               validation_fraction: float = 0.15, test_fraction: float = 0.15, seed: int = 0,
               keep_duplicates: bool = False, labels: Sequence[str] | None = None) -> LabelledData:
    """Checks and splits labelled texts; they are read from their files as training goes on.

    Memory holds a path per file or less than 100 bytes per row, and the vocabulary.

    Args:
        path: A folder of class folders of UTF-8 .txt files; or a CSV, TSV or JSON lines file with a text and a label
            column; or a folder with train.csv (.tsv, .jsonl ...) and at will validation (val, dev) and test files
            beside it, or train/, validation/ and test/ folders of class folders: then this split is kept and only a
            part that is missing is cut out of train.
        preprocessing: How a text becomes word ids. None, or one without a vocabulary, learns the vocabulary from the
            training part only.
        text_column: Name or position of the text column; None guesses it.
        label_column: Name or position of the label column; None guesses it.
        header: Whether the first row of a CSV or TSV holds column names; None finds out by usual names.
        max_length: Words that are kept of each text, where no `preprocessing` is given.
        max_words: Size of a learnt vocabulary: the most frequent words.
        lowercase: Whether case is ignored, where no `preprocessing` is given.
        validation_fraction: Fraction of each class in [0, 1) to choose by; 0 for no validation part.
        test_fraction: Fraction of each class in [0, 1) to judge by; 0 for no test part.
        seed: Chooses the examples of the parts; see `zoo.data.splitting` for what the split depends on.
        keep_duplicates: Uses equal texts nevertheless. By default the first of each is used, and none of those with
            different labels.
        labels: Class names to use, in the order of the class index; None for all.

    Returns:
        Inputs int32 [B, max_length], targets int32 [B]; `preprocessing` of the result has the vocabulary.

    Raises:
        ArgumentError: An argument out of range.
        DataError: Missing or empty files, no such column, fewer than two classes, or too few examples of one.
        UnknownNameError: No such column.
    """
    if preprocessing is not None and not isinstance(preprocessing, TextPreprocessing):
        raise ArgumentError(f"`preprocessing` must be a TextPreprocessing. Received: {type(preprocessing).__name__}")
    fractions = SplitFractions(validation=validation_fraction, test=test_fraction, seed=seed)
    path = Path(path).expanduser()
    if path.is_dir() and not has_row_files(path):
        found, read = _text_files(path, labels)
    else:
        found, read = _text_rows(path, text_column, label_column, header, labels)
    plan = plan_split(found, fractions, keep_duplicates=keep_duplicates)
    wanted = preprocessing or TextPreprocessing(max_length=max_length, lowercase=lowercase)
    return text_data(plan, read, wanted, max_words)


def text_data(plan: SplitPlan, read: Callable[[np.ndarray], list[str]], preprocessing: TextPreprocessing,
              max_words: int) -> LabelledData:
    """Returns planned texts as labelled data.

    Args:
        plan: The split.
        read: Returns the texts at some indices.
        preprocessing: Without a vocabulary, it is learnt from the training part.
        max_words: Size of a learnt vocabulary.
    """
    if not preprocessing.vocabulary:
        preprocessing = fit_text(_stream(read, plan.train), max_length=preprocessing.max_length, max_words=max_words,
                                 lowercase=preprocessing.lowercase)
    transform = TextTransform(preprocessing)

    def encoded(indices: np.ndarray) -> np.ndarray:
        return np.array([text.encode("utf-8") for text in read(indices)], object)

    def load(indices: Any) -> Any:
        texts = tf.numpy_function(encoded, [indices], tf.string, stateful=False)
        return transform.batch(tf.ensure_shape(texts, [None]))

    examples = Examples(load=load, batched=True, targets=plan.found.targets, names=plan.found.names)
    return plan.labelled(examples, preprocessing)


def _stream(read: Callable[[np.ndarray], list[str]], indices: np.ndarray) -> Iterator[str]:
    for start in range(0, len(indices), _READ_AT_ONCE):
        yield from read(indices[start:start + _READ_AT_ONCE])


# === Files ===


def _text_files(folder: Path, labels: Sequence[str] | None) -> tuple[Found, Callable[[np.ndarray], list[str]]]:
    files = read_class_folders(folder, labels)
    problems: list[Exclusion] = []
    keep, digests = [], []
    for index, name in enumerate(files.paths):
        content = _checked_text(files.folder / name, name)
        if isinstance(content, Exclusion):
            problems.append(content)
        else:
            keep.append(index)
            digests.append(content_digest(content.encode("utf-8")))
    names = [files.paths[index] for index in keep]

    def read(indices: np.ndarray) -> list[str]:
        return [(files.folder / names[index]).read_text(encoding="utf-8-sig") for index in indices]

    found = Found(
        where=str(files.folder),
        names=Lazy(len(names), lambda index: str(files.folder / names[index])),
        digests=np.array(digests, f"S{DIGEST_BYTES}"),
        targets=np.array(files.classes, np.int32)[keep],
        labels=files.labels,
        given=np.array(files.parts, np.int8)[keep],
        checked=len(files.paths) + len(files.excluded),
        excluded=tuple(sorted([*files.excluded, *problems], key=lambda exclusion: exclusion.source)),
    )
    return found, read


def _checked_text(path: Path, name: str) -> str | Exclusion:
    if path.suffix.lower() not in (".txt", ".text", ".md", ""):
        return Exclusion(name, "not a text", f"the ending is {path.suffix}, expected .txt")
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return Exclusion(name, "unreadable", f"not UTF-8 at byte {error.start}")
    except OSError as error:
        return Exclusion(name, "unreadable", error.strerror or type(error).__name__)
    return content if content.strip() else Exclusion(name, "empty")


# === Rows ===


def _text_rows(path: Path, text_column: str | int | None, label_column: str | int | None, header: bool | None,
               labels: Sequence[str] | None) -> tuple[Found, Callable[[np.ndarray], list[str]]]:
    given = [name.lower() for name in (text_column, label_column) if isinstance(name, str)]
    named = given or [*TEXT_NAMES, *LABEL_NAMES]
    files = open_rows(path, lambda fields: any(field.lower() in named for field in fields), header)
    text_at, label_at = text_and_label(files[0], text_column, label_column)
    scan = _RowScan(RowIndex(files), text_at, label_at)
    for number, file in enumerate(files):
        for row in file.rows():
            scan.add(number, row)
    names = sorted_labels(set(scan.label_numbers)) if labels is None else _known_labels(labels, scan, path)
    position = {name: index for index, name in enumerate(names)}
    order = np.array([position.get(name, -1) for name in scan.label_numbers], np.int32)
    classes = order[np.frombuffer(scan.classes, np.int32)] if len(scan.classes) else np.zeros(0, np.int32)
    keep = np.flatnonzero(classes >= 0)
    scan.excluded += [Exclusion(scan.rows.name(int(index)), "not a class", "not among the chosen labels")
                      for index in np.flatnonzero(classes < 0)]
    rows = scan.rows

    def read(indices: np.ndarray) -> list[str]:
        return [text for text, in rows.read(keep[indices], [text_at])]

    found = Found(
        where=str(path),
        names=Lazy(len(keep), lambda index: rows.name(int(keep[index]))),
        digests=np.frombuffer(bytes(scan.digests), f"S{DIGEST_BYTES}")[keep],
        targets=classes[keep],
        labels=names,
        given=rows.parts()[keep],
        checked=scan.checked,
        excluded=tuple(scan.excluded),
    )
    return found, read


class _RowScan:
    """What one pass over the rows collects."""

    def __init__(self, rows: RowIndex, text_at: int, label_at: int) -> None:
        self.rows = rows
        self.checked = 0
        self.label_numbers: dict[str, int] = {}  # in the order of their first row
        self.classes = array("i")
        self.digests = bytearray()
        self.excluded: list[Exclusion] = []
        self._text_at, self._label_at = text_at, label_at

    def add(self, number: int, row: Row) -> None:
        self.checked += 1
        problem = self._problem(row, f"{self.rows.files[number].path}:{row.line}")
        if problem is not None:
            self.excluded.append(problem)
            return
        label = row.fields[self._label_at].strip()
        self.rows.add(number, row)
        self.classes.append(self.label_numbers.setdefault(label, len(self.label_numbers)))
        self.digests += content_digest(row.fields[self._text_at].encode("utf-8"))

    def _problem(self, row: Row, source: str) -> Exclusion | None:
        if row.problem:
            return Exclusion(source, "unreadable", row.problem)
        if not row.fields[self._text_at].strip():
            return Exclusion(source, "empty", "no text")
        if not row.fields[self._label_at].strip():
            return Exclusion(source, "no label")
        return None


def _known_labels(labels: Sequence[str], scan: _RowScan, path: Path) -> tuple[str, ...]:
    missing = [label for label in labels if label not in scan.label_numbers]
    if missing:
        raise DataError(f"{path} has no row of the class {missing[0]!r}. It has: "
                        f"{', '.join(_first_sorted(scan.label_numbers))}.")
    return tuple(labels)


def _first_sorted(names: Iterable[str]) -> list[str]:
    return sorted(names)[:20]
