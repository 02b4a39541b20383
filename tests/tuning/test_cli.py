"""`zoo tune` as people use it: to a served model's folder, over a kill, with code of one's own, and with bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import write_points, zoo
from tuning.folder import SearchFolder
from tuning.study.state import SearchView, read_search

MODEL = """
import keras
import numpy as np


def build(hp):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(hp.Int("units", 1, 4)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def data():
    x = np.ones((8, 2), "float32")
    return {"x": x, "y": x[:, 0], "validation_data": (x, x[:, 0])}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with data; the commands run in it."""
    folder, before = tmp_path_factory.mktemp("tune"), Path.cwd()
    write_points(folder / "points.csv")
    os.chdir(folder)
    yield folder
    os.chdir(before)


SEARCH = ("tune", "mlp_binary", "points.csv", "--target", "label", "--trials", "3", "--epochs", "2", "--jobs", "2",
          "--only", "hidden_units", "--fix", "batch_size=16")


@pytest.fixture(scope="module")
def finished(place: Path) -> dict[str, Any]:
    """What the whole command printed as JSON."""
    answer: dict[str, Any] = zoo(*SEARCH, "--export", "models", "--name", "tuned", "--json").json()
    return answer


def view_of(folder: str) -> SearchView:
    return read_search(SearchFolder.at(folder))


def test_a_search_ends_in_a_published_model(finished: dict[str, Any]) -> None:
    """The best of all trials is judged on the test part and published with the search in its manifest."""
    assert finished["finished"]
    accuracies = {trial["id"]: trial["measures"]["val_accuracy"] for trial in finished["trials"]}
    assert len(accuracies) == 3
    assert accuracies[finished["best"]] == max(accuracies.values())
    assert finished["final"]["trial"] == finished["best"]
    assert finished["final"]["examples"] == 19
    assert (finished["export"]["name"], finished["export"]["version"]) == ("tuned", 1)
    manifest = (Path(finished["export"]["path"]) / "manifest.json").read_text()
    assert json.loads(manifest)["record"]["training"]["search"]["trial"] == finished["best"]


def test_the_same_command_repeats_nothing(finished: dict[str, Any]) -> None:
    """Trials, best and score are those of before; people see the best, its score and the next step."""
    answer = zoo(*SEARCH).ok()
    assert [trial.id for trial in view_of("searches/mlp_binary").trials.values()] == ["0000", "0001", "0002"]
    assert all(trial.attempts == 1 for trial in view_of("searches/mlp_binary").trials.values())
    assert f"trial {finished['best']}, the best of 3: val_accuracy" in answer.out
    assert "hidden_units = " in answer.out
    assert "on the test part, which the search never saw (19 examples): accuracy" in answer.out
    assert "zoo tune best searches/mlp_binary --export models" in answer.out


def test_another_search_in_the_folder_is_refused(finished: dict[str, Any]) -> None:
    """The message names what differs; nothing is changed."""
    assert "holds another search" in zoo(*SEARCH, "--seed", 5).error()
    assert len(view_of("searches/mlp_binary").trials) == 3


def test_the_winner_is_built_again(finished: dict[str, Any]) -> None:
    """`zoo build --from-search` takes the real folder."""
    answer = zoo("build", "--from-search", "searches/mlp_binary", "-o", "again", "--json").json()
    best = next(trial for trial in finished["trials"] if trial["id"] == finished["best"])
    assert answer["search"]["trial"] == finished["best"]
    assert answer["arguments"]["hidden_units"] == best["values"]["hidden_units"]


def test_after_a_kill_the_same_command_goes_on(place: Path) -> None:
    """Kill -9 of the whole search: ended trials stay, and the rest is done by the same command."""
    words = ("tune", "mlp_binary", "points.csv", "--target", "label", "--trials", "2", "--epochs", "20", "--jobs", "1",
             "--only", "hidden_units", "--test-fraction", "0", "-o", "killed")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-m", "zoo", *words], stderr=subprocess.PIPE, env=environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(b"trial 0000 completed"):
                break
        process.send_signal(signal.SIGKILL)
    before = view_of("killed")
    while before.alive:  # the lock goes with the last of its processes
        time.sleep(0.05)
        before = view_of("killed")
    assert [trial.has_ended for trial in before.trials.values()][1:] in ([], [False])
    answer = zoo(*words, "--json").json()
    assert answer["finished"]
    assert len(answer["trials"]) == 2
    first = view_of("killed").trials["0000"]
    assert first.attempts == 1
    assert first.measures == before.trials["0000"].measures
    for trial in view_of("killed").trials.values():
        assert [report.epoch for report in trial.history] == list(range(1, 21))


def test_code_of_one_s_own_and_other_bounds(place: Path) -> None:
    """A build(hp) function and a function of data in a file are searched as they are; resume has other bounds."""
    (place / "model.py").write_text(MODEL)
    zoo("tune", "model.py:build", "model.py:data", "--trials", 1, "--epochs", 1, "--jobs", 1).ok()
    answer = zoo("tune", "resume", "searches/model", "--minutes", 5, "--json").json()
    assert [set(trial["values"]) for trial in answer["trials"]] == [{"units"}]
    assert (answer["finished"], answer["final"], answer["config"]["minutes"]) == (True, None, 5)
    assert "no zoo models" in zoo("tune", "best", "searches/model", "--export", "models").error()
    assert "`--only` is for registered models" in zoo("tune", "model.py:build", "--only", "units").error()


@pytest.mark.parametrize(("words", "said"), [
    (("mlp_binry", "points.csv"), "Did you mean 'mlp_binary'"),
    ((), None),
    (("mlp_binary",), "zoo tune mlp_binary DATA"),
    (("mlp_binary", "missing.csv"), "no file or folder missing.csv"),
    (("mlp_binary", "points.csv", "--size", "8"), "`--size` is for pictures"),
    (("mlp_binary", "points.csv", "--set", "learning_rate=1..x"), "'learning_rate' cannot be read"),
    (("mlp_binary", "points.csv", "--set", "nothing=1..2"), "takes `nothing`"),
    (("mlp_binary", "points.csv", "--only", "nothing"), "Unknown hyperparameter 'nothing'"),
    (("mlp_binary", "points.csv", "--space", "missing.yaml"), "missing.yaml cannot be read"),
    (("mlp_binary", "points.csv", "--objective", "a b"), "An objective reads"),
    (("mlp_binary", "points.csv", "--constraint", "a<3"), "A constraint reads"),
    (("mlp_binary", "points.csv", "--oracle", "bayes"), "Did you mean 'bayesian'"),
    (("mlp_binary", "points.csv", "--oracle-option", "x"), "--oracle-option"),
    (("mlp_binary", "points.csv", "--trials", "0"), "`--trials` must be"),
    (("mlp_binary", "points.csv", "--engine", "spark"), "Unknown engine 'spark'"),
    (("mlp_binary", "points.csv", "--address", "a:1"), "does not take `--address`"),
    (("mlp_binary", "points.csv", "--memory", "much"), "500M or 2G"),
    (("mlp_binary", "points.csv", "--name", "x"), "--export ROOT"),
    (("mlp_binary", "points.csv", "--config", "missing.json"), "does not exist"),
    (("missing.py:build",), "There is no file"),
    (("resume", "nowhere"), "no search in"),
    (("worker", "nobody", "nowhere"), "HOST:PORT"),
    (("worker", "127.0.0.1:1", "nowhere"), "no chief answers"),
])
def test_bad_input_is_told_in_a_line(place: Path, words: tuple[str, ...], said: str | None) -> None:
    """No traceback, exit code 2, what to do, and no folder."""
    before = sorted(path.name for path in place.iterdir())
    answer = zoo("tune", *words, *(("-o", "bad") if words and words[0] not in ("resume", "worker") else ()))
    if said is None:
        assert answer.code == 2
        assert "zoo tune MODEL DATA" in answer.out
    else:
        assert said in answer.error()
    assert sorted(path.name for path in place.iterdir()) == before


def test_a_configuration_file(place: Path) -> None:
    """Its fields count where no option says otherwise; a mistake in it is told."""
    (place / "search.yaml").write_text("model: mlp_binary\noracle: bayes\ntrials: 2\n")
    assert "zoo tune mlp_binary DATA" in zoo("tune", "--config", "search.yaml").error()
    (place / "search.yaml").write_text("model: mlp_binary\ndata: {path: points.csv, target: [label]}\noracle: bayes\n")
    assert "Did you mean 'bayesian'" in zoo("tune", "--config", "search.yaml").error()
    (place / "search.yaml").write_text("model: mlp_binary\ndata: points.csv\ntrails: 2\n")
    assert "Did you mean 'trials'" in zoo("tune", "--config", "search.yaml").error()
