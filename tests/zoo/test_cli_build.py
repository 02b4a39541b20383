"""`zoo build`: models by name and as a search found them; `zoo train --from-search`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo as zoo_package
from tests.command_line import zoo
from tests.conftest import Workplace
from tests.zoo.test_search_winner import recipe


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def search(workplace: Workplace, tmp_path: Path) -> Path:
    """A search whose one trial is the workplace's run on points."""
    folder = tmp_path / "search"
    run = shutil.copytree(workplace.run("points"), folder / "trial_0000" / "execution0")
    training = json.loads((run / "run.json").read_text())["config"]
    content = json.dumps(recipe(folder, "0000", build={}, values={}, training=training | {"batch_size": 8},
                                data={"path": str(workplace.folder / "points.csv"), "target": ["label"]}))
    for path in (folder / "winner.json", folder / "trial_0000" / "recipe.json", folder / "search.json"):
        path.write_text(content)
    return folder


def config_of(run: str) -> Any:
    return json.loads(Path(run, "run.json").read_text())


def test_a_model_by_name(in_folder: Path) -> None:
    """Options, classes and seed reach the model; it is opened by zoo.load; the next step is told."""
    answer = zoo("build", "mnist_cnn", "--size", 8, "--classes", 3, "--option", "dropout=0.1", "--seed", 4).ok()
    assert "saved in built/mnist_cnn" in answer.out
    assert "Next: zoo export built/mnist_cnn" in answer.out
    model = zoo_package.load("built/mnist_cnn")
    same = zoo_package.build("mnist_cnn", input_shape=(8, 8, 1), num_classes=3, dropout=0.1, seed=4)
    assert model.output_shape == (None, 3)
    for first, second in zip(model.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_labels_and_json(in_folder: Path) -> None:
    """Labels make the classes; one JSON document says what was built; nothing is replaced unasked."""
    words = ("build", "mnist_cnn", "--size", 8, "--label", "cat", "--label", "dog", "-o", "b", "--json")
    answer = zoo(*words).json()
    assert (answer["labels"], answer["model"], answer["search"]) == (["cat", "dog"], "mnist_cnn", None)
    assert answer["parameters"] == zoo_package.load("b").count_params()
    assert "--overwrite" in zoo(*words).error()
    zoo(*words, "--overwrite").ok()


def test_a_model_that_a_search_found(in_folder: Path, search: Path) -> None:
    """The same architecture, labels and preprocessing with fresh parameters, or as it was trained."""
    trained = zoo_package.load(search / "trial_0000" / "execution0")
    answer = zoo("build", "--from-search", search, "--seed", 9, "-o", "fresh", "--json").json()
    assert (answer["labels"], answer["search"]["trial"]) == (["no", "yes"], "0000")
    fresh = zoo_package.load("fresh")
    assert zoo_package.record_of(fresh).preprocessing == zoo_package.record_of(trained).preprocessing
    assert [w.shape for w in fresh.get_weights()] == [w.shape for w in trained.get_weights()]
    assert any((a != b).any() for a, b in zip(fresh.get_weights(), trained.get_weights(), strict=True))
    assert "of trial 0000" in zoo("build", "--from-search", search, "--trial", 0, "--trained", "-o", "same").ok().out
    for first, second in zip(zoo_package.load("same").get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_training_takes_up_what_a_search_found(in_folder: Path, search: Path, workplace: Workplace) -> None:
    """Data, split and settings are the trial's; what is given wins; other data are read as its own were."""
    zoo("train", "--from-search", search, "-o", "r", "--epochs", 1).ok()
    found = config_of("r")
    assert (found["model"], found["config"]["batch_size"], found["config"]["epochs"]) == ("mlp_binary", 8, 1)
    assert found["data"]["target"] == ["label"]
    other = shutil.copy(workplace.folder / "points.csv", "other.csv")
    zoo("train", "mlp_binary", other, "--from-search", search, "--trial", "0000", "--epochs", 1, "--seed", 6, "-o",
        "r2").ok()
    found = config_of("r2")
    assert found["data"]["path"] == str(in_folder / "other.csv")
    assert (found["data"]["target"], found["data"]["seed"], found["config"]["seed"]) == (["label"], 0, 6)


@pytest.mark.parametrize(("words", "said"), [
    (("build",), "Name a model, or a search"),
    (("build", "mlp_binry"), "Did you mean 'mlp_binary'"),
    (("build", "mnist_cnn", "--option", "nothing=1"), "nothing"),
    (("build", "mlp_binary", "--trained"), "--from-search FOLDER"),
    (("build", "--from-search", "nowhere"), "no search in nowhere"),
    (("build", "mlp_binary", "--classes", "2", "--from-search", "s"), "MODEL, --classes would contradict it"),
    (("train",), "zoo train MODEL DATA"),
    (("train", "mlp_binary"), "Name a model and its data"),
    (("train", "--trial", "1"), "--from-search FOLDER"),
    (("train", "--from-search", "nowhere"), "no search in nowhere"),
])
def test_bad_input(in_folder: Path, words: tuple[str, ...], said: str) -> None:
    """One line that says what to do, and nothing is written."""
    assert said in zoo(*words).error()
    assert list(in_folder.iterdir()) == []


def test_another_model_than_the_search_s(search: Path, in_folder: Path) -> None:
    """Settings of one model are not used for another."""
    assert "say nothing of rnn" in zoo("train", "rnn", "--from-search", search).error()
