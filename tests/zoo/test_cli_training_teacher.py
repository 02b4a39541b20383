"""`zoo train` with a teacher, for eight bits, and from a trained model's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import zoo
from tests.conftest import Workplace


def training_of(run: Path) -> dict[str, Any]:
    training: dict[str, Any] = json.loads((run / "bundle.json").read_text())["record"]["training"]
    return training


def test_a_teacher_and_its_settings(workplace: Workplace, tmp_path: Path) -> None:
    """The options reach the run and its record."""
    zoo("train", "mlp_binary", workplace.folder / "points.csv", "--target", "label", "--epochs", 1,
        "-o", tmp_path / "r", "--teacher", workplace.run("points"), "--teacher-weight", 0.25, "--temperature", 5,
        "--hidden", 0.5).ok()
    known = training_of(tmp_path / "r")["distillation"]
    assert [known[name] for name in ("weight", "temperature", "hidden", "take_layers")] == [0.25, 5.0, 0.5, False]
    assert len(known["states"]) == 1


def test_a_run_goes_on_without_naming_its_data(workplace: Workplace, tmp_path: Path) -> None:
    """For eight bits and with a teacher at once, on the run's own data and split."""
    answer = zoo("train", workplace.run("points"), "--quantization-aware", "--teacher", workplace.run("points"),
                 "--epochs", 1, "-o", tmp_path / "r", "--json").json()
    assert answer["training"]["best_epoch"] == 1
    training = training_of(tmp_path / "r")
    assert training["data"] == training_of(workplace.run("points"))["data"]
    assert training["quantization"]["bits"] == 8 and training["distillation"]["teacher"] == "mlp_binary"


@pytest.mark.parametrize(("words", "message"), [
    (["mlp_binary", "DATA", "--hidden", 1], "`--hidden` says how a teacher is used. Name one: --teacher FOLDER."),
    (["mlp_binary", "DATA", "--teacher-layers"], "`--teacher-layers` says how a teacher is used."),
    (["mlp_binary", "DATA", "--teacher", "nowhere"], "There is no saved model in nowhere"),
    (["mlp_binary", "DATA", "--target", "label", "--teacher", "RUN", "--teacher-weight", 2], "`--teacher-weight`"),
    (["RUN", "--weights", "default"], "`--weights` says how a model is built"),
    (["mlp_binary"], "Name a model and its data, a trained model, or a search"),
])
def test_what_contradicts_is_told(workplace: Workplace, tmp_path: Path, words: list[Any], message: str) -> None:
    """One line that names the option and the way out."""
    places = {"DATA": workplace.folder / "points.csv", "RUN": workplace.run("points")}
    answer = zoo("train", *(places.get(word, word) for word in words), "-o", tmp_path / "r")
    assert message in answer.error()
    assert not (tmp_path / "r").exists()
