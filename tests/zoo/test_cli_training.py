"""`zoo train` and `zoo evaluate`: every kind of data, what they print and leave, bad input, interrupts, full disks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import PICTURES_PER_CLASS, snapshot, write_rows, zoo
from tests.conftest import Workplace

PICTURES = 3 * PICTURES_PER_CLASS


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def weights_of(run: Path) -> str:
    return str(json.loads((run / "bundle.json").read_text())["files"]["weights"]["sha256"])


def record_of(run: Path) -> dict[str, object]:
    record: dict[str, object] = json.loads((run / "bundle.json").read_text())["record"]
    return record


# === What a training gives ===


@pytest.mark.parametrize(("kind", "task", "labels"), [
    ("pictures", "classification", ["0", "1", "2"]),
    ("line", "regression", []),
    ("points", "binary_classification", ["no", "yes"]),
    ("texts", "classification", ["neg", "pos"]),
    ("series", "classification", ["down", "up"]),
])
def test_every_kind_of_data_is_trained_on_and_judged(workplace: Workplace, tmp_path: Path, kind: str, task: str,
                                                     labels: list[str]) -> None:
    """The run's folder holds the model with its labels; the held-out part is judged from any working directory."""
    run = Path(shutil.copytree(workplace.run(kind), tmp_path / "run"))
    record = record_of(run)
    assert (record["task"], record["labels"]) == (task, labels)
    assert {path.name for path in run.iterdir()} >= {"bundle.json", "run.json", "cleaning.json", "checkpoints"}
    report = zoo("evaluate", run, "--json", "--bootstrap-samples", 0).json()
    assert report["task"] == task
    assert report["examples"] > 0
    assert set(record_of(run)["metrics"]) == {"test"}  # type: ignore[arg-type]
    assert (run / "report" / "report.md").is_file()


def test_the_same_seed_gives_the_same_weights(in_folder: Path, workplace: Workplace) -> None:
    """Two trainings with one seed leave the same file; another seed leaves another."""
    words = ("train", "mnist_cnn", workplace.digits, "--size", 8, "--epochs", 1, "--augment", "rotate", "--option",
             "dropout=0.2")
    first = zoo(*words, "--seed", 3, "-o", "a", "--json").json()
    second = zoo(*words, "--seed", 3, "-o", "b", "--json").json()
    other = zoo(*words, "--seed", 4, "-o", "c", "--json").json()
    assert weights_of(Path("a")) == weights_of(Path("b")) != weights_of(Path("c"))
    assert first["training"]["history"] == second["training"]["history"] != other["training"]["history"]


def test_people_see_epochs_and_the_next_step(in_folder: Path, workplace: Workplace) -> None:
    """Progress goes to standard error; where the model is and what comes next to standard output."""
    answer = zoo("train", "mnist_cnn", workplace.digits, "--size", "8x8", "--epochs", 2).ok()
    assert answer.err.splitlines()[0].startswith("data: ")
    assert answer.err.splitlines()[1].startswith("epoch 1/2  accuracy")
    assert "Next: zoo evaluate runs/mnist_cnn" in answer.out
    again = zoo("train", "mnist_cnn", workplace.digits, "--size", 8, "--epochs", 2).ok()
    assert "2 epochs were trained already" in again.out
    longer = zoo("train", "mnist_cnn", workplace.digits, "--size", 8, "--epochs", 1)
    assert "config.epochs was 2 and is now 1" in longer.error()
    assert "--restart" in longer.error()
    assert "restart=True" not in longer.error()
    restarted = zoo("train", "mnist_cnn", workplace.digits, "--size", 8, "--epochs", 1, "--restart", "--json").json()
    assert len(restarted["training"]["history"]) == 1


def test_the_same_command_keeps_what_was_measured(workplace: Workplace, tmp_path: Path) -> None:
    """A finished run keeps its chosen threshold and its figures when the command is given again."""
    run = Path(shutil.copytree(workplace.run("points"), tmp_path / "run"))
    report = zoo("evaluate", run, "--choose-threshold", "f1", "--bootstrap-samples", 0, "--json").json()
    assert record_of(run)["threshold"] == report["threshold"] != 0.5
    zoo("train", "mlp_binary", workplace.folder / "points.csv", "--target", "label", "--epochs", 2, "-o", run).ok()
    assert record_of(run)["threshold"] == report["threshold"]
    assert record_of(run)["metrics"]["test"]["accuracy"] == report["metrics"]["accuracy"]["value"]  # type: ignore[index]


def test_a_configuration_file_and_options_together(in_folder: Path, workplace: Workplace) -> None:
    """Options given on the command line win over the file, the file over the model's defaults; its seed counts too."""
    Path("c.json").write_text(json.dumps({"epochs": 5, "seed": 9, "clip_value": 1.0, "restore_best": True}))
    zoo("train", "linear_regression", workplace.folder / "line.csv", "--target", "y", "--config", "c.json", "--epochs",
        1, "--no-restore-best", "-o", "r").ok()
    run = json.loads(Path("r/run.json").read_text())
    config = run["config"]
    assert (config["epochs"], config["seed"], config["clip_value"], config["restore_best"]) == (1, 9, 1.0, False)
    assert config["optimizer"] == "sgd"
    assert run["data"]["seed"] == 9
    assert record_of(Path("r"))["training"]["config"] == config  # type: ignore[index]


def test_a_broken_picture_is_reported_and_training_goes_on(in_folder: Path, workplace: Workplace) -> None:
    """The file and the reason are told and written; the other pictures are used."""
    data = Path(shutil.copytree(workplace.digits, "data"))
    (data / "1" / "zz.png").write_text("no picture")
    whole = next((data / "0").glob("*.png")).read_bytes()
    (data / "0" / "cut.png").write_bytes(whole[:50])
    answer = zoo("train", "mnist_cnn", data, "--size", 8, "--epochs", 1, "-o", "r").ok()
    assert f"{PICTURES} of {PICTURES + 2} examples are used" in answer.err
    assert "1/zz.png" in answer.err
    cleaning = json.loads(Path("r/cleaning.json").read_text())
    details = {entry["source"]: entry["detail"] for entry in cleaning["excluded"]}
    assert details == {"0/cut.png": "Invalid PNG data, size 50", "1/zz.png": "expected JPEG, PNG, GIF, BMP or WebP"}
    assert cleaning["used"] == PICTURES


def test_weights_of_other_classes_warn_about_the_head(in_folder: Path, workplace: Workplace) -> None:
    """Going on from a file with another number of classes says in one line which variables start anew."""
    weights = next(workplace.run("pictures").glob("weights-*.safetensors"))
    data = Path(shutil.copytree(workplace.digits, "data"))
    shutil.rmtree(data / "2")
    answer = zoo("train", "mnist_cnn", data, "--size", 8, "--epochs", 1, "--weights", weights, "--json", "-o", "r")
    assert answer.json()["labels"] == ["0", "1"]
    warning, = [line for line in answer.err.splitlines() if line.startswith("warning:")]
    assert "predictions" in warning


# === Evaluation ===


def test_other_examples_are_read_as_the_run_s_own(workplace: Workplace, tmp_path: Path) -> None:
    """`--data` needs no column names that the run knows, and uses all the examples."""
    run = Path(shutil.copytree(workplace.run("points"), tmp_path / "run"))
    rows = [(0.1 * n, 0.2 * n, "yes" if n > 0 else "no") for n in range(-6, 7)]
    other = write_rows(tmp_path / "other.csv", ("a", "b", "label"), rows)
    answer = zoo("evaluate", run, "--data", other, "--json", "--bootstrap-samples", 0, "--report", tmp_path / "rep")
    assert answer.json()["examples"] == len(rows)
    assert (tmp_path / "rep" / "report.json").is_file()
    assert not (run / "report").exists()
    assert set(record_of(run)["metrics"]) == {"given"}  # type: ignore[arg-type]


def test_judging_by_the_training_data_warns(workplace: Workplace, tmp_path: Path) -> None:
    """Figures on what was learnt are no promise, and one line says so."""
    run = Path(shutil.copytree(workplace.run("line"), tmp_path / "run"))
    answer = zoo("evaluate", run, "--data", workplace.folder / "line.csv", "--bootstrap-samples", 0).ok()
    assert "warning: The model in" in answer.err
    assert "60 examples" in answer.out
    assert "r2" in answer.out


def test_changed_data_are_refused(in_folder: Path, workplace: Workplace) -> None:
    """Another held-out part than the run's would flatter or damn it; nothing is written."""
    data = Path(shutil.copytree(workplace.digits, "data"))
    zoo("train", "mnist_cnn", data, "--size", 8, "--epochs", 1, "-o", "r").ok()
    next((data / "0").glob("*.png")).unlink()
    before = snapshot(Path("r"))
    assert "have changed since r was trained" in zoo("evaluate", "r").error()
    assert snapshot(Path("r")) == before


@pytest.mark.parametrize(("kind", "words", "told"), [
    ("points", ("--threshold", "0.4", "--choose-threshold", "f1"), "leave out `--threshold` or `--choose-threshold`"),
    ("points", ("--choose-threshold", "best"), "`--choose-threshold` must be one of f1, youden"),
    ("points", ("--target", "label"), "which `--data` names"),
    ("points", ("--data", "nowhere.csv"), "nowhere.csv does not exist"),
    ("points", ("--threshold", "2"), "--threshold"),
    ("pictures", ("--choose-threshold", "f1"), "A threshold decides between two classes"),
    ("pictures", ("--threshold", "0.5"), "A threshold decides between two classes"),
])
def test_an_evaluation_that_cannot_be_changes_nothing(workplace: Workplace, kind: str, words: tuple[str, ...],
                                                      told: str) -> None:
    """One line, exit code 2, and the run is as it was."""
    before = snapshot(workplace.run(kind))
    answer = zoo("evaluate", workplace.run(kind), *words)
    assert told in answer.error()
    assert snapshot(workplace.run(kind)) == before


def test_a_foreign_report_folder_is_left_alone(workplace: Workplace, tmp_path: Path) -> None:
    """A report never replaces what no report wrote."""
    (tmp_path / "notes.txt").write_text("mine")
    assert "no report wrote" in " ".join(zoo("evaluate", workplace.run("line"), "--report", tmp_path).error().split())
    assert set(snapshot(tmp_path)) == {"notes.txt"}


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_a_folder_without_a_model_is_told(tmp_path: Path, command: str) -> None:
    """The line says which file is missing and what makes it."""
    assert "bundle.json is missing" in zoo(command, tmp_path).error()
    assert "bundle.json is missing" in zoo(command, tmp_path / "none").error()


# === Bad input to a training ===


def corrupt_only(folder: Path) -> Path:
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            (folder / label / f"{number}.png").write_text(f"{label}{number}")
    return folder


@pytest.mark.parametrize(("words", "told"), [
    (("mnist_cnn", "nowhere"), "nowhere does not exist"),
    (("mnist_cnn", "{one}"), "only the class '0'"),
    (("mnist_cnn", "{corrupt}"), "no readable example"),
    (("mnist_cnn", "{place}/points.csv"), "is a file, expected a folder"),
    (("mnist_cnn", "keras:nothing"), "Unknown Keras dataset 'nothing'"),
    (("mnst_cnn", "{digits}"), "Did you mean 'mnist_cnn'"),
    (("mnist_cnn", "{digits}", "--sise", "8"), "No such option: --sise"),
    (("mnist_cnn", "{digits}", "--size", "8y"), "`--size` takes whole numbers"),
    (("mnist_cnn", "{digits}", "--size", "8x8x3"), "`--size` is one number or HEIGHTxWIDTH"),
    (("mnist_cnn", "{digits}", "--size", "0"), "`--size` takes numbers of at least 1"),
    (("mnist_cnn", "{digits}", "--size", "2"), "Height and width in `--size` must be at least 3"),
    (("mnist_cnn", "{digits}", "--option", "drouput=0.1"), "Did you mean 'dropout'"),
    (("mnist_cnn", "{digits}", "--option", "dropout"), "`--option` reads NAME=VALUE"),
    (("mnist_cnn", "{digits}", "--option", "dropout=high"), "dropout"),
    (("mnist_cnn", "{digits}", "--epochs", "0"), "`--epochs` must be a whole number"),
    (("mnist_cnn", "{digits}", "--epochs", "ten"), "'--epochs'"),
    (("mnist_cnn", "{digits}", "--optimizer", "adm"), "Did you mean 'adam'"),
    (("mnist_cnn", "{digits}", "--augment", "spin"), "Unknown augmentation 'spin'"),
    (("mnist_cnn", "{digits}", "--precision", "half"), "Unknown mixed precision 'half'"),
    (("mnist_cnn", "{digits}", "--epochs", "2", "--frozen-epochs", "3"), "`--frozen-epochs` are part of `--epochs`"),
    (("mnist_cnn", "{digits}", "--validation-fraction", "0.7", "--test-fraction", "0.5"), "fraction"),
    (("mnist_cnn", "{digits}", "--config", "nowhere.json"), "nowhere.json does not exist"),
    (("mnist_cnn", "{digits}", "--config", "{place}/points.csv"), "is not JSON"),
    (("mnist_cnn", "{digits}", "--config", "{list_file}"), "must hold a JSON object"),
    (("mnist_cnn", "{digits}", "--config", "{typo_file}"), "Unknown training option 'epoch'. Did you mean 'epochs'"),
    (("mnist_cnn", "{digits}", "--weights", "nowhere.safetensors"), "nowhere.safetensors"),
    (("mnist_cnn", "{digits}", "--learning-rate", "1e30"), "Try a lower `--learning-rate`"),
    (("mnist_cnn", "{digits}", "-o", "{digits}/run"), "lies among the data"),
    (("mnist_cnn", "{digits}", "--target", "x"), "`--target` is for tables and series"),
    (("mlp_binary", "{place}/points.csv", "--target", "label", "--size", "8"), "`--size` is for pictures"),
    (("mlp_binary", "{place}/points.csv", "--target", "lable"), "Unknown column 'lable'"),
    (("mlp_binary", "{place}/points.csv"), "--target COLUMN"),
    (("mlp_binary", "{place}/points.csv", "--target", "b"), "has 120 classes"),
    (("rnn", "{place}/series.csv", "--target", "label"), "--shape STEPS,FEATURES"),
    (("rnn", "{place}/series.csv", "--target", "label", "--shape", "5,1"), "`--shape` must have as many values"),
    (("rnn", "{place}/series.csv", "--target", "label", "--shape", "six"), "`--shape` takes whole numbers"),
    (("rnn_text", "{place}/reviews.tsv", "--text-column", "body"), "body"),
    (("transformer", "{place}/series.csv", "--target", "label", "--shape", "6,1"), "takes two inputs"),
])
def test_bad_input_is_told_and_leaves_nothing(workplace: Workplace, in_folder: Path, words: tuple[str, ...],
                                              told: str) -> None:
    """One error line, exit code 2, and no file or folder more than before."""
    shutil.copytree(workplace.digits / "0", "one/0")
    corrupt_only(Path("corrupt"))
    Path("list.json").write_text("[]")
    Path("typo.json").write_text('{"epoch": 3}')
    names = {"place": workplace.folder, "digits": workplace.digits, "one": "one", "corrupt": "corrupt",
             "list_file": "list.json", "typo_file": "typo.json"}
    before, before_there = snapshot(in_folder), set(snapshot(workplace.digits))
    answer = zoo("train", *(word.format(**names) for word in words), "--json")
    assert told in answer.error()
    assert answer.out == ""
    assert snapshot(in_folder) == before
    assert set(snapshot(workplace.digits)) == before_there


def test_an_output_that_is_not_ours_is_left_alone(workplace: Workplace, in_folder: Path) -> None:
    """A file, a folder of somebody's files and a saved model are never written to."""
    Path("file").write_text("x")
    Path("theirs/checkpoints").mkdir(parents=True)
    Path("theirs/checkpoints/model.ckpt").write_text("x")
    shutil.copytree(workplace.run("pictures"), "saved", ignore=shutil.ignore_patterns("run.json", "checkpoints"))
    before = snapshot(in_folder)
    words = ("train", "mnist_cnn", workplace.digits, "--size", 8, "--epochs", 1, "--restart", "-o")
    assert "file is a file" in zoo(*words, "file").error()
    assert "theirs holds files that no training run wrote" in zoo(*words, "theirs").error()
    assert "saved holds a saved model that no training run wrote" in zoo(*words, "saved").error()
    assert snapshot(in_folder) == before


# === Interrupts and full disks, in a process of their own ===


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "zoo", *map(str, words)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})


def wait_for_line(process: subprocess.Popen[str], begin: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(begin):
            return
    raise AssertionError(f"it ended with {process.wait()} before {begin!r}")


def test_after_an_interrupt_or_a_kill_the_same_command_goes_on(workplace: Workplace, in_folder: Path) -> None:
    """Ctrl-C ends with 130 and one line; kill -9 with nothing; either way the same command ends as if never stopped."""
    words = ("train", "mnist_cnn", workplace.digits, "--size", 8, "--batch-size", 1, "--epochs", 15, "-o", "r")
    for end, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        with start(*words) as process:
            wait_for_line(process, "epoch ")
            process.send_signal(end)
            out, err = process.communicate(timeout=60)
            assert process.returncode == code, err
            assert out == ""
            errors = [line for line in err.splitlines() if not line.startswith("epoch ")]
            assert errors == (["error: interrupted"] if code == 130 else [])
    done = zoo(*words).ok()
    assert "going on after epoch" in done.err
    whole = zoo(*words[:-1], "whole").ok()
    assert "going on" not in whole.err
    assert weights_of(Path("r")) == weights_of(Path("whole"))


FULL_DISK = """
import json, resource, sys
from zoo import console
from zoo.cli import application
console.load_tensorflow()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
print(json.dumps([console.run(application, words) for words in json.loads(sys.argv[2])]))
"""


def test_a_full_disk_is_told_and_leaves_nothing_half_written(workplace: Workplace, tmp_path: Path) -> None:
    """Training, evaluation and export each give one line and exit code 2, and what was there stays as it was."""
    run = Path(shutil.copytree(workplace.run("pictures"), tmp_path / "run"))
    before = snapshot(tmp_path)
    commands = [["train", "mnist_cnn", str(workplace.digits), "--size", "8", "--json", "-o", str(tmp_path / "new/run")],
                ["evaluate", str(run), "--json", "--bootstrap-samples", "0"],
                ["export", str(run), "--root", str(tmp_path / "models"), "--json", "--no-validate"]]
    done = subprocess.run([sys.executable, "-c", FULL_DISK, "2000", json.dumps(commands)], capture_output=True,
                          text=True, check=True, timeout=120)
    assert json.loads(done.stdout) == [2, 2, 2], done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 3, done.stderr
    assert all(line.startswith("error: ") for line in lines)
    assert {path: digest for path, digest in snapshot(tmp_path).items() if path != "models"} == before
