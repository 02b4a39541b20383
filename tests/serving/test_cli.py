"""`zoo export`, `validate` and `serve`: what they print and leave, and bad input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import snapshot, zoo
from tests.conftest import Workplace


@pytest.fixture(scope="module")
def exported(workplace: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one validated version."""
    root = tmp_path_factory.mktemp("exported") / "models"
    answer = zoo("export", workplace.run("pictures"), "--root", root, "--name", "digits").ok()
    assert answer.err == ""
    assert answer.out.splitlines() == [
        f"digits version 1 in {root}/digits/1",
        "  serving_default: image -> probabilities",
        "  serve_bytes: image_bytes -> indices, labels, scores",
        "  classify: inputs -> classes, scores",
        f"Next: zoo serve {root}",
    ]
    return root


# === export ===


def test_an_export_as_json(workplace: Workplace, tmp_path: Path) -> None:
    """The document names the version, its folder and its signatures; the next export takes the next number."""
    words = ("export", workplace.run("points"), "--root", tmp_path, "--no-validate", "--json")
    first = zoo(*words, "--batch-size", 1, "--batch-size", 3).json()
    assert (first["name"], first["version"], first["validated"]) == ("mlp_binary", 1, False)
    assert first["signatures"]["serve_columns"] == {"inputs": ["a", "b"], "outputs": ["indices", "labels", "scores"]}
    manifest = json.loads((Path(first["path"]) / "manifest.json").read_text())
    assert manifest["batch_sizes"] == [1, 3]
    assert zoo(*words).json()["version"] == 2
    assert zoo(*words, "--version", 7).json()["path"] == str(tmp_path / "mlp_binary" / "7")


def test_a_sample_becomes_a_warm_up_request(workplace: Workplace, tmp_path: Path) -> None:
    """The user's picture is what a version is warmed up with."""
    picture = next((workplace.digits / "0").glob("*.png"))
    zoo("export", workplace.run("pictures"), "--root", tmp_path, "--no-validate", "--sample", picture).ok()
    requests = (tmp_path / "mnist_cnn" / "1" / "assets.extra" / "tf_serving_warmup_requests").read_bytes()
    assert picture.read_bytes() in requests


def test_a_rewritten_graph_is_told(workplace: Workplace, tmp_path: Path) -> None:
    """`--optimize` rewrites the graph; each pass stands in what is printed, and in the JSON."""
    words = ("export", workplace.run("pictures"), "--root", tmp_path, "--no-validate", "--optimize", "safe")
    assert "\n  simplify: error " in zoo(*words).ok().out
    answer = zoo(*words, "--optimized-weights", "variables", "--json").json()
    assert (answer["optimization"]["asked"], answer["optimization"]["weights"]) == ("safe", "variables")
    assert answer["optimization"]["passes"][0]["kept"]


@pytest.mark.parametrize(("words", "told"), [
    (("--optimize", "fast"), "`--optimize` is one of none, safe, bfloat16"),
    (("--version", "1"), "A version is never overwritten"),
    (("--version", "0"), "--version"),
    (("--name", "a/b"), "a/b"),
    (("--target-serving", "9.9"), "Known releases: 2.18, 2.19, 2.20"),
    (("--sample", "nowhere.png"), "nowhere.png"),
    (("--sample", "{digits}/../line.csv"), "sample"),
    (("--batch-size", "0"), "--batch-size"),
    (("--batch-size", "4", "--batch-size", "2"), "`--batch-size`"),
    (("--top-k", "0"), "--top-k"),
    (("--no-such",), "No such option"),
])
def test_an_export_that_cannot_be_leaves_nothing(workplace: Workplace, exported: Path, words: tuple[str, ...],
                                                 told: str) -> None:
    """One line, exit code 2, and the repository is as it was."""
    before = snapshot(exported)
    given = [word.format(digits=workplace.digits) for word in words]
    answer = zoo("export", workplace.run("pictures"), "--root", exported, "--name", "digits", *given, "--json")
    assert told in answer.error()
    assert answer.out == ""
    assert snapshot(exported) == before


def test_a_root_that_is_a_file_is_told(workplace: Workplace, tmp_path: Path) -> None:
    """It stays as it is."""
    (tmp_path / "models").write_text("x")
    assert "models" in zoo("export", workplace.run("line"), "--root", tmp_path / "models").error()
    assert (tmp_path / "models").read_text() == "x"


# === validate ===


def test_a_sound_version_passes(exported: Path) -> None:
    """One line per check, and the same as one JSON document."""
    lines = zoo("validate", exported / "digits" / "1").ok().out.splitlines()
    assert [line.split(":")[0].split()[1] for line in lines[:2]] == ["files", "graph"]
    assert all(line.startswith("ok ") for line in lines)


def test_a_damaged_version_fails(exported: Path, tmp_path: Path) -> None:
    """The report comes as JSON all the same; the finding is the error line and the exit code is 2."""
    broken = Path(shutil.copytree(exported / "digits" / "1", tmp_path / "1"))
    with (broken / "saved_model.pb").open("ab") as file:
        file.write(b"x")
    answer = zoo("validate", broken, "--json")
    report = json.loads(answer.out)
    assert not report["ok"]
    assert report["findings"][0]["check"] == "files"
    assert "must not be served" in answer.error()


def test_what_is_no_version_is_told(tmp_path: Path) -> None:
    """A folder without a manifest is not served, and the line says what makes one."""
    assert "is no folder" in zoo("validate", tmp_path / "none").error()
    assert "No manifest.json" in zoo("validate", tmp_path).error()


# === serve ===


def serve(root: Path, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "zoo", "serve", str(root), *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_server_tells_its_life_and_ends_well(exported: Path) -> None:
    """One JSON object per event; Ctrl-C is how a server is stopped, so it is success; standard error stays empty."""
    with serve(exported, "--grpc-port", 0, "--rest-port", 0, "--json") as process:
        assert process.stdout is not None
        events = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert [event["event"] for event in events] == ["listening", "ready"]
        assert events[1]["models"] == {"digits": {"1": "AVAILABLE"}}
        picture = next(exported.glob("digits/1/**/saved_model.pb"))
        assert "is not a JPEG" in zoo("predict", "digits", picture, "--server",
                                      f"grpc://127.0.0.1:{events[0]['grpc_port']}").error()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["stopping", "stopped"]
    assert process.returncode == 0
    assert err == ""


def test_an_occupied_port_is_told(exported: Path) -> None:
    """One line names the port and the option, and nothing else is said."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with serve(exported, "--grpc-port", port, "--rest-port", 0) as process:
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    line, = err.splitlines()
    assert line.startswith(f"error: The gRPC address 127.0.0.1:{port} cannot be bound")
    assert "--grpc-port" in line


@pytest.mark.parametrize(("words", "told"), [
    (("nowhere",), "The model folder nowhere does not exist"),
    ((".", "--grpc-port", "70000"), "--grpc-port"),
    ((".", "--drain-seconds", "-1"), "`--drain-seconds` must be 0 or more"),
    ((".", "--drain-seconds", "soon"), "--drain-seconds"),
])
def test_a_server_that_cannot_be_is_told(words: tuple[str, ...], told: str) -> None:
    """Found before TensorFlow is loaded."""
    answer = zoo("serve", *words)
    assert told in answer.error()
    assert answer.out == ""


def test_the_serving_commands_stand_alone() -> None:
    """`python -m serving` offers them without the others, with the same errors."""
    def serving(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "serving", *words], capture_output=True, text=True, check=False,
                              timeout=60, env=os.environ | {"COLUMNS": "100"})

    shown = serving("--help")
    assert shown.returncode == 0
    assert "│ predict " in shown.stdout
    assert "│ train " not in shown.stdout
    failed = serving("export", "nowhere")
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: There is no saved model in nowhere")
