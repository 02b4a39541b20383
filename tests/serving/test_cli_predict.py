"""`zoo predict` against a running server: pictures, texts, rows and JSON, over gRPC and REST, and bad input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import zoo as models
from serving.server.app import running_server
from serving.server.settings import ServerSettings
from tests.command_line import Answer, zoo
from tests.conftest import Workplace

KINDS = ("pictures", "line", "points", "texts", "series")


@pytest.fixture(scope="module")
def servers(workplace: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Every run of the workplace exported under its kind's name and served; the addresses of the server."""
    root = tmp_path_factory.mktemp("served")
    for kind in KINDS:
        zoo("export", workplace.run(kind), "--root", root, "--name", kind, "--no-validate").ok()
    with running_server(ServerSettings(root=root, grpc_port=0, rest_port=0)) as server:
        yield {"grpc": f"grpc://127.0.0.1:{server.grpc_port}", "rest": f"http://127.0.0.1:{server.rest_port}"}


@pytest.fixture(params=["grpc", "rest"])
def address(request: pytest.FixtureRequest, servers: dict[str, str]) -> str:
    return servers[request.param]


def ask(address: str, *words: object) -> Answer:
    return zoo("predict", *words, "--server", address)


# === Answers ===


def test_pictures_are_answered_with_labels(address: str, workplace: Workplace) -> None:
    """One row per file: labels best first, with scores that are probabilities."""
    files = sorted(workplace.digits.glob("*/*.png"))[::20]
    answer = ask(address, "pictures", *files, "--json").json()
    assert (answer["model"], answer["version"], answer["signature"]) == ("pictures", 1, "serve_bytes")
    assert answer["inputs"] == [str(file) for file in files]
    assert [sorted(labels) for labels in answer["outputs"]["labels"]] == [["0", "1", "2"]] * len(files)
    np.testing.assert_allclose(np.sum(answer["outputs"]["scores"], axis=1), 1.0, atol=1e-5)
    shown = ask(address, "pictures", *files).ok().out
    assert shown.splitlines()[0] == "pictures version 1, serve_bytes"
    assert all(str(file) in shown for file in files)


def test_texts_are_answered(address: str) -> None:
    """Each word of the command line is a text of its own."""
    answer = ask(address, "texts", "the film was lovely", "awful", "", "--json").json()
    assert answer["signature"] == "serve_text"
    assert len(answer["outputs"]["labels"]) == 3
    assert set(answer["outputs"]["labels"][0]) == {"neg", "pos"}


def test_rows_are_answered_as_the_model_computes(address: str, workplace: Workplace) -> None:
    """Columns in any order, an empty value is a missing one (the mean); the answer is that of the saved model."""
    answer = ask(address, "line", "a=1,b=2", "b=-1,a=0.5", "a=3,b=", "--json").json()
    assert answer["signature"] == "serve_columns"
    model = models.load(workplace.run("line"))
    columns = models.record_of(model).preprocessing.columns  # type: ignore[union-attr]
    means, deviations = ([getattr(column, name) for column in columns] for name in ("mean", "std"))
    rows = np.array([[1, 2], [0.5, -1], [3, means[1]]], np.float32)
    scaled = (rows - means) / deviations
    np.testing.assert_allclose(answer["outputs"]["values"], np.asarray(model(scaled.astype(np.float32))), rtol=1e-4)


def test_binary_answers_name_the_decided_label_first(address: str) -> None:
    """Both labels come with their probabilities."""
    outputs = ask(address, "points", "a=3,b=3", "a=-3,b=-3", "--json").json()["outputs"]
    assert [sorted(labels) for labels in outputs["labels"]] == [["no", "yes"]] * 2
    np.testing.assert_allclose(np.sum(outputs["scores"], axis=1), 1.0, atol=1e-6)


def test_a_series_is_a_row(address: str) -> None:
    """The steps are columns."""
    row = ",".join(f"t{step}={step}" for step in range(1, 7))
    assert len(ask(address, "series", row, "--json").json()["outputs"]["labels"]) == 1


def test_a_json_file_chooses_the_signature_by_its_names(address: str, tmp_path: Path) -> None:
    """Columns call `serve_columns`, the model's own input calls `serving_default`."""
    (tmp_path / "columns.json").write_text(json.dumps({"a": [1, 2], "b": [2, 3]}))
    (tmp_path / "tensor.json").write_text(json.dumps({"features": [[1, 2]]}))
    assert ask(address, "points", tmp_path / "columns.json", "--json").json()["signature"] == "serve_columns"
    answer = ask(address, "points", tmp_path / "tensor.json", "--json").json()
    assert answer["signature"] == "serving_default"
    assert np.shape(answer["outputs"]["probabilities"]) == (1, 1)
    shown = ask(address, "points", tmp_path / "columns.json").ok().out
    assert "columns.json:1" in shown


# === Bad input ===


@pytest.mark.parametrize(("words", "told"), [
    (("nothing", "x"), "has no model 'nothing'"),
    (("points", "a=1,b=2", "--version", "9"), "has no model 'points' version 9"),
    (("points", "a=1,b=2", "--signature", "score"), "no signature 'score'. It has: classify, serve_columns"),
    (("points", "a=1,b=2", "--version", "0"), "--version"),
    (("points", "a=1,b=2", "--timeout-seconds", "0"), "above 0"),
    (("points", "a=1"), "the columns a, b once"),
    (("points", "a=1,b=2,c=3"), "the columns a, b once"),
    (("points", "a=1,a=2"), "the columns a, b once"),
    (("points", "a=1,b=2,a=3"), "the columns a, b once"),
    (("points", "a,b"), "the columns a, b once"),
    (("points", "a=1,b=two"), "The column 'b' takes a number"),
    (("pictures", "nowhere.png"), "nowhere.png cannot be read"),
    (("pictures", "{place}/line.csv"), "line.csv is not a JPEG"),
    (("pictures", "{place}/cut.png"), "Invalid PNG data"),
    (("pictures", "{place}/nowhere.json"), "nowhere.json cannot be read"),
    (("pictures", "{place}/shape.json"), "must be float32 [?, 8, 8, 1]"),
    (("pictures", "{place}/ragged.json"), "not rectangular"),
    (("pictures", "{place}/name.json"), "has no input 'picture'. It takes image"),
    (("pictures", "{place}/list.json"), "must hold an object of arrays"),
    (("pictures", "{place}/broken.json"), "is not JSON"),
    (("pictures", "a.png", "--signature", "serving_default"), "Give one .json file"),
])
def test_a_question_that_cannot_be_answered(address: str, workplace: Workplace, words: tuple[str, ...],
                                            told: str) -> None:
    """One line in plain words, exit code 2, nothing on standard output."""
    place = workplace.folder
    picture = next((workplace.digits / "0").glob("*.png")).read_bytes()
    (place / "cut.png").write_bytes(picture[:50])
    for name, text in {"shape": '{"image": [[1, 2]]}', "ragged": '{"image": [[1, 2], [3]]}', "list": "[1]",
                       "name": '{"picture": [1]}', "broken": "{"}.items():
        (place / f"{name}.json").write_text(text)
    answer = ask(address, *(word.format(place=place) for word in words), "--json")
    assert told in answer.error()
    assert "{{" not in answer.err
    assert answer.out == ""


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_no_server_is_told_with_what_to_do(scheme: str, free_port: int) -> None:
    """The address that was asked, and the command that starts a server."""
    line = ask(f"{scheme}://127.0.0.1:{free_port}", "digits", "a.png").error()
    assert f"No answer from {scheme}://127.0.0.1:{free_port}" in line
    assert "`zoo serve ROOT`" in line


def test_a_silent_server_is_given_up(silent_port: int) -> None:
    """After the time that was given, not after minutes."""
    line = ask(f"http://127.0.0.1:{silent_port}", "digits", "a.png", "--timeout-seconds", "0.3").error()
    assert "No answer from" in line


def test_an_address_of_another_form_is_told() -> None:
    """Without a scheme it could be either way."""
    assert "grpc://HOST:PORT" in ask("127.0.0.1:8500", "digits", "a.png").error()
