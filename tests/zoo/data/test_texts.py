from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.zoo.data.sample_files import lines
from zoo.data.labelled import LabelledData, Split
from zoo.data.texts import load_texts
from zoo.errors import ArgumentError, DataError, UnknownNameError
from zoo.preprocessing.text import TextTransform
from zoo.spec import ImagePreprocessing, TextPreprocessing

_ROWS = [(f"{mood} number{i}{mood}, \"quoted\"", label)
         for i in range(10) for mood, label in (("good", "1"), ("bad", "0"))]


def _inputs(split: Split, seed: int | None = None) -> np.ndarray:
    return np.concatenate([inputs.numpy() for inputs, _ in split.batches(4, shuffle_seed=seed)])


def _contents(data: LabelledData) -> tuple[object, ...]:
    return (data.labels, data.preprocessing, data.fingerprint,
            *(_inputs(split).tolist() for split in (data.train, data.validation, data.test) if split))


def _write(root: Path, kind: str) -> Path:
    if kind == "folders":
        for number, (text, label) in enumerate(_ROWS):
            lines(root / label / f"{number:03}.txt", [text], end="")
        return root
    if kind == "csv":
        quoted = [text.replace('"', '""') for text, _ in _ROWS]
        return lines(root / "x.csv", ["text,label", *(f'"{q}",{row[1]}' for q, row in zip(quoted, _ROWS, strict=True))])
    if kind == "tsv":
        return lines(root / "x.tsv", ["\t".join(row) for row in _ROWS])
    return lines(root / "x.jsonl", [json.dumps({"label": int(label), "text": text}) for text, label in _ROWS])


def test_all_formats_give_the_same_dataset(tmp_path: Path) -> None:
    """Class folders, CSV, TSV and JSON lines of the same texts have equal splits, vocabulary, ids and fingerprint."""
    loaded = {}
    for kind in ("folders", "csv", "tsv", "jsonl"):
        (tmp_path / kind).mkdir()
        loaded[kind] = load_texts(_write(tmp_path / kind, kind), max_length=6)
    reference = loaded.pop("csv")
    assert (reference.labels, reference.report.used, reference.report.excluded) == (("0", "1"), 20, ())
    for data in loaded.values():
        assert data.fingerprint == reference.fingerprint
        assert data.preprocessing == reference.preprocessing
    assert _contents(loaded["tsv"]) == _contents(loaded["jsonl"]) == _contents(reference)


def test_inputs_are_what_the_transform_makes_of_the_texts(tmp_path: Path) -> None:
    """Ids equal those of the export, in the order of `examples()`, shuffled or not."""
    data = load_texts(_write(tmp_path, "tsv"), max_length=6)
    assert isinstance(data.preprocessing, TextPreprocessing)
    rows = (tmp_path / "x.tsv").read_text().splitlines()
    chosen = [rows[int(name.rpartition(":")[2]) - 1].split("\t") for name in data.train.examples()]
    expected = TextTransform(data.preprocessing).batch([text for text, _ in chosen]).numpy()
    np.testing.assert_array_equal(_inputs(data.train), expected)
    assert data.train.targets().tolist() == [int(label) for _, label in chosen]
    assert sorted(map(tuple, _inputs(data.train, seed=1).tolist())) == sorted(map(tuple, expected.tolist()))
    inputs, targets = data.train.batches(4).element_spec
    assert (inputs.shape.as_list(), inputs.dtype.name, targets.dtype.name) == ([None, 6], "int32", "int32")


def test_vocabulary_is_learnt_from_the_training_part_only(tmp_path: Path) -> None:
    """No word that stands only in the validation or test texts is known to the model."""
    data = load_texts(_write(tmp_path, "tsv"), max_length=6)
    rows = (tmp_path / "x.tsv").read_text().splitlines()
    numbers = {part: {rows[int(name.rpartition(":")[2]) - 1].split()[1].rstrip(",") for name in split.examples()}
               for part, split in (("train", data.train), ("test", data.test)) if split}
    assert isinstance(data.preprocessing, TextPreprocessing)
    assert {word for word in data.preprocessing.vocabulary if word.startswith("number")} == numbers["train"]
    assert numbers["test"] - numbers["train"]


def test_a_given_vocabulary_is_used_as_it_is(tmp_path: Path) -> None:
    """A preprocessing with words is not learnt again; one without is."""
    path = _write(tmp_path, "tsv")
    given = TextPreprocessing(max_length=3, vocabulary=("good",))
    assert load_texts(path, given).preprocessing == given
    assert set(np.unique(_inputs(load_texts(path, given).train))) == {0, 1, 2} - {0}
    learnt = load_texts(path, TextPreprocessing(max_length=3, lowercase=False), max_words=2).preprocessing
    assert isinstance(learnt, TextPreprocessing)
    assert (learnt.max_length, learnt.lowercase, len(learnt.vocabulary)) == (3, False, 2)


def test_bad_rows_are_reported_by_line(tmp_path: Path) -> None:
    """Rows without text or label, of another width, repeated or contradictory are listed with their line."""
    rows = ["\t".join(row) for row in _ROWS]
    path = lines(tmp_path / "x.tsv", [*rows, "  \t1", "no label\t", "no tab", rows[0], rows[1][:-1] + "1"])
    report = load_texts(path).report
    assert [(e.source.removeprefix(f"{path}:"), e.reason) for e in report.excluded] == [
        ("21", "empty"), ("22", "no label"), ("23", "unreadable"), ("2", "conflicting labels"), ("24", "duplicate"),
        ("25", "conflicting labels")]
    assert (report.checked, report.used) == (25, 19)


def test_bad_files_are_reported_by_path(tmp_path: Path) -> None:
    """Files that are no texts, not UTF-8, empty or hidden are listed; a byte order mark is not part of a text."""
    root = _write(tmp_path, "folders")
    (root / "0" / "latin.txt").write_bytes(b"caf\xe9")
    (root / "0" / "blank.txt").write_text(" \n")
    lines(root / "1" / "table.pdf", ["x"])
    lines(root / "1" / ".hidden.txt", ["x"])
    (root / "1" / "marked.txt").write_bytes(b"\xef\xbb\xbfgood number0good, \"quoted\"")
    report = load_texts(root).report
    assert [(e.source, e.reason) for e in report.excluded[:4]] == [
        ("0/blank.txt", "empty"), ("0/latin.txt", "unreadable"), ("1/.hidden.txt", "hidden"),
        ("1/table.pdf", "not a text")]
    assert [e.reason for e in report.excluded[4:]] == ["duplicate"]


def test_chosen_labels_leave_the_others_out(tmp_path: Path) -> None:
    """`labels` chooses and orders the classes; rows of others are reported."""
    path = lines(tmp_path / "x.tsv", [*("\t".join(row) for row in _ROWS), "so so\t2"])
    data = load_texts(path, labels=["1", "0"])
    assert (data.labels, data.report.counts) == (("1", "0"), {"not a class": 1})
    with pytest.raises(DataError, match=r"has no row of the class '3'. It has: 0, 1, 2"):
        load_texts(path, labels=["3", "0"])


def test_real_reviews_with_their_own_split(shared_data: Path) -> None:
    """SST-2 is read as it is: no header, a given dev part, and test cut out of train."""
    data = load_texts(shared_data / "sst2", max_length=32)
    assert data.labels == ("0", "1")
    assert data.validation is not None and data.validation.count == 872
    assert data.report.counts == {"duplicate": 9}
    assert data.train.count + (data.test.count if data.test else 0) == 6920 - 9
    assert {Path(name.rpartition(":")[0]).name for name in data.validation.examples()} == {"dev.tsv"}


def test_memory_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    """Three times as many texts of 4 kB take a few hundred bytes more for each of them, not their size."""
    peaks = []
    for count in (3200, 9600):  # the vocabulary is counted in chunks of 1024 texts, of which two are held
        path = lines(tmp_path / f"{count}.tsv", [f"{i} {'x' * 4000}\t{i % 2}" for i in range(count)])
        tracemalloc.start()
        data = load_texts(path, max_length=8, max_words=10)
        for _ in data.train.batches(16, shuffle_seed=1):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert data.report.used == count
    assert (peaks[1] - peaks[0]) / 6400 < 500


@pytest.mark.parametrize(("rows", "arguments", "error", "message"), [
    (["a\t1", "b\t1", "c\t1"], {}, DataError, "has only the class '1', expected at least two"),
    (["a\t1", "b\t1", "c\t1", "d\t0"], {}, DataError, "The class '0' in .* has 1 usable examples"),
    (["a\t1"], {"label_column": "mood"}, UnknownNameError, "Unknown column 'mood'"),
    (["a\t"], {}, DataError, "has no readable example. Looked at 1; the first: .*x.tsv:1: no label"),
    (["a\t1"], {"preprocessing": ImagePreprocessing(height=1, width=1)}, ArgumentError, "must be a TextPrep"),
])
def test_unusable_texts_are_one_clear_line(tmp_path: Path, rows: list[str], arguments: dict[str, object],
                                           error: type[Exception], message: str) -> None:
    """The message says what is missing."""
    with pytest.raises(error, match=message):
        load_texts(lines(tmp_path / "x.tsv", rows), **arguments)  # type: ignore[arg-type]
