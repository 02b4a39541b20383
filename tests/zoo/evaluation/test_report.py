from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from tests.zoo.evaluation.picture_check import check_picture
from zoo.errors import ArgumentError
from zoo.evaluation import EvaluationReport, Predictions, judge

HISTORY = [{"epoch": 1, "loss": 2.0, "val_loss": 2.5}, {"epoch": 2, "loss": 1.0, "val_loss": float("nan")}]


def _classes(sources: tuple[str, ...] = (), classes: int = 4) -> EvaluationReport:
    generator = np.random.default_rng(0)
    targets = generator.integers(0, classes, 60)
    return judge(Predictions(generator.dirichlet(np.ones(classes), 60).astype(np.float32), targets,
                             sources or tuple(f"row {i}" for i in range(60))),
                 labels=[f"kind {i}" for i in range(classes)], task="classification", bootstrap_samples=100)


def _read(folder: Path) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    data = json.loads((folder / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert data["files"] == sorted(entry.name for entry in folder.iterdir())
    for name in data["files"]:
        if name.endswith(".png"):
            check_picture(folder / name)
    return data  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{i}.png" for i in range(60)]
    for path in paths:
        Image.effect_noise((20, 20), 80).save(path)
    return tuple(map(str, paths))


def test_a_report_of_pictures_is_complete(tmp_path: Path, pictures: tuple[str, ...]) -> None:
    """JSON without NaN, Markdown that shows every plot, and plots that are not blank."""
    report = _classes(pictures)
    assert report.save(tmp_path / "out", history=HISTORY) == tmp_path / "out"
    data = _read(tmp_path / "out")
    assert data["files"] == ["confusion_matrix.png", "most_confused.png", "reliability.png", "report.json",
                             "report.md", "training.png", "worst_mistakes.png"]
    assert data["metrics"]["accuracy"]["value"] == report.values["accuracy"]
    assert data["history"][1] == {"epoch": 2, "loss": 1.0, "val_loss": None}
    assert data["intervals"] == {"method": "percentile bootstrap over examples", "confidence": 0.95, "samples": 100,
                                 "seed": 0}
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    for name in data["files"]:
        assert (f"]({name})" in text) == name.endswith(".png"), name
    assert report.summary in text
    assert Path(report.mistakes[0].source).name in text


def test_a_report_of_texts_shows_the_text(tmp_path: Path) -> None:
    """Where the source is a line of a table, the line is beside the mistake; no picture is made up."""
    table = tmp_path / "reviews.csv"
    table.write_text("text,label\n" + "".join(f"review number {i},x\n" for i in range(60)))
    generator = np.random.default_rng(0)
    report = judge(Predictions(generator.random((60, 1)).astype(np.float32), generator.integers(0, 2, 60),
                               tuple(f"{table}:{i + 2}" for i in range(60))),
                   labels=["no", "yes"], task="binary_classification", bootstrap_samples=100)
    report.save(tmp_path / "out")
    data = _read(tmp_path / "out")
    assert data["files"] == ["confusion_matrix.png", "reliability.png", "report.json", "report.md",
                             "roc_and_precision_recall.png"]
    worst = data["mistakes"][0]
    assert worst["text"] == f"review number {worst['index']},x"
    assert worst["text"] in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_a_report_of_numbers_shows_residuals(tmp_path: Path) -> None:
    """Regression has its own plots and no classes."""
    targets = np.random.default_rng(0).normal(size=(40, 2))
    report = judge(Predictions((targets + 0.1).astype(np.float32), targets, tuple(map(str, range(40)))),
                   labels=["a", "b"], task="regression", bootstrap_samples=100)
    report.save(tmp_path / "out")
    data = _read(tmp_path / "out")
    assert data["files"] == ["predicted_and_true.png", "report.json", "report.md"]
    assert data["confusion"] is None and len(data["per_output"]) == 2


def test_a_report_of_a_thousand_classes_stays_legible(tmp_path: Path) -> None:
    """The matrix gives way to the most confused pairs."""
    _classes(classes=1000).save(tmp_path / "out")
    data = _read(tmp_path / "out")
    assert "confusion_matrix.png" not in data["files"] and "most_confused.png" in data["files"]
    assert (tmp_path / "out" / "report.json").stat().st_size < 2_000_000


def test_a_report_of_one_class_and_no_mistake_is_written(tmp_path: Path) -> None:
    """Undefined figures are null with a reason in the JSON."""
    report = judge(Predictions(np.full((5, 1), 0.1, np.float32), np.zeros(5, np.int64), tuple("abcde")),
                   labels=["no", "yes"], task="binary_classification", bootstrap_samples=100)
    report.save(tmp_path / "out")
    data = _read(tmp_path / "out")
    assert data["metrics"]["roc_auc"]["value"] is None and data["metrics"]["roc_auc"]["note"]
    assert "There was none" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_pictures_may_come_from_a_loader(tmp_path: Path) -> None:
    """Examples that are no files are shown by the caller's loader."""
    asked: list[str] = []

    def load(source: str) -> np.ndarray:
        asked.append(source)
        return np.random.default_rng(0).random((28, 28, 1))

    report = _classes()
    report.save(tmp_path / "out", load_picture=load)
    assert asked == [mistake.source for mistake in report.mistakes]
    assert "worst_mistakes.png" in _read(tmp_path / "out")["files"]


def test_saving_again_replaces_the_report_and_nothing_else(tmp_path: Path) -> None:
    """Plots of the earlier report do not stay behind; a foreign folder is refused."""
    _classes().save(tmp_path / "out", history=HISTORY)
    _classes().save(tmp_path / "out")
    assert "training.png" not in _read(tmp_path / "out")["files"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(ArgumentError, match=r"thesis\.tex"):
        _classes().save(tmp_path / "mine")


def test_a_loader_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """An error while drawing reaches the caller, and no half report stays."""
    def load(source: str) -> np.ndarray:
        raise RuntimeError(source)

    with pytest.raises(RuntimeError):
        _classes().save(tmp_path / "out", load_picture=load)
    assert list(tmp_path.iterdir()) == []


def test_file_names_need_not_be_text(tmp_path: Path) -> None:
    """A file name of bytes that are no UTF-8 is written as an escape."""
    _classes(tuple(os.fsdecode(b"caf\xe9 %d.png" % i) for i in range(60))).save(tmp_path / "out")
    assert "\\udce9" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "\udce9" in _read(tmp_path / "out")["mistakes"][0]["source"]


def test_a_users_own_plots_are_left_alone(tmp_path: Path) -> None:
    """A report opens no figure in pyplot, draws in none that is open, and changes no setting."""
    mine = pyplot.figure()
    try:
        settings = dict(matplotlib.rcParams)
        _classes().save(tmp_path / "out", history=HISTORY)
        assert pyplot.get_fignums() == [mine.number] and mine.axes == []
        assert dict(matplotlib.rcParams) == settings
    finally:
        pyplot.close(mine)
