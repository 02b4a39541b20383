from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.zoo.evaluation.picture_check import check_picture
from zoo.evaluation.calibration import CalibrationError, reliability
from zoo.evaluation.confusion import confusion_of
from zoo.evaluation.plots import (
    plot_confusion,
    plot_history,
    plot_most_confused,
    plot_ranking_curves,
    plot_regression,
    plot_reliability,
)


@pytest.mark.parametrize("labels", [("no", "yes"), tuple("0123456789"), ("a", "Golden Retriever of $cotland", "猫"),
                                    tuple(f"a rather long class name {i}" for i in range(30))])
def test_the_confusion_matrix_fits_its_picture(tmp_path: Path, labels: tuple[str, ...]) -> None:
    """Two or thirty classes, short or long names: everything is inside the picture."""
    targets = np.random.default_rng(0).integers(0, len(labels), 300)
    plot_confusion(confusion_of(targets, np.roll(targets, 1), labels), tmp_path / "x.png")
    check_picture(tmp_path / "x.png")


@pytest.mark.parametrize("classes", [2, 1000])
def test_the_most_confused_pairs_fit_their_picture(tmp_path: Path, classes: int) -> None:
    """One pair or the worst of a thousand classes: everything is inside the picture."""
    targets = np.arange(classes)
    labels = tuple(f"a rather long class name {i}" for i in targets)
    plot_most_confused(confusion_of(targets, np.roll(targets, 1), labels), tmp_path / "x.png")
    check_picture(tmp_path / "x.png")


def test_calibration_and_ranking_are_drawn(tmp_path: Path) -> None:
    """Reliability, ROC and precision over recall give pictures, also with a threshold that nothing reaches."""
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 2, 100)
    scores = generator.random(100) * 0.5 + targets * 0.4
    plot_reliability(reliability(CalibrationError(scores, targets.astype(float)), "the class '$x'"),
                     tmp_path / "reliability.png")
    plot_ranking_curves(targets, scores.astype(np.float32), 0.5, tmp_path / "curves.png")
    plot_ranking_curves(targets, scores.astype(np.float32), 1.0, tmp_path / "none.png")
    for name in ("reliability.png", "curves.png", "none.png"):
        check_picture(tmp_path / name)


@pytest.mark.parametrize("case", ["random", "constant", "exact", "single", "many outputs", "large"])
def test_regression_is_drawn_for_every_kind_of_numbers(tmp_path: Path, case: str) -> None:
    """Constant, exact, single and very large values have no range to scale by, and are drawn all the same."""
    generator = np.random.default_rng(0)
    true = {"constant": np.full((20, 1), 3.0), "single": np.array([[7.0]]), "many outputs": generator.normal(
        size=(30, 9)), "large": generator.normal(size=(25_000, 1)) * 1e12}.get(case, generator.normal(size=(50, 1)))
    said = true if case == "exact" else true + (1.0 if case == "constant" else generator.normal(size=true.shape))
    plot_regression(true, said.astype(np.float32), [f"out_{i}" for i in range(true.shape[1])], tmp_path / "x.png")
    check_picture(tmp_path / "x.png")


@pytest.mark.parametrize("epochs", [1, 40])
def test_training_curves_are_drawn(tmp_path: Path, epochs: int) -> None:
    """Quantities that are missing or NaN in some epochs are drawn where they are known."""
    history = [{"epoch": i + 1, "loss": 100.0 / 2**i, "val_loss": float("nan") if i == 1 else 1.0 / (i + 1),
                "learning_rate": 0.1**i, "accuracy": i / 40} for i in range(epochs)]
    history[-1]["val_accuracy"] = 0.5
    assert plot_history(history, tmp_path / "x.png")
    check_picture(tmp_path / "x.png")


@pytest.mark.parametrize("history", [[], [{"epoch": 1}]])
def test_no_history_gives_no_picture(tmp_path: Path, history: list[dict[str, float]]) -> None:
    """An empty picture is not written."""
    assert not plot_history(history, tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    """Pictures hold no date and no version, so a report can be compared."""
    confusion = confusion_of(np.array([0, 1]), np.array([1, 1]), ("a", "b"))
    for name in ("one.png", "two.png"):
        plot_confusion(confusion, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
