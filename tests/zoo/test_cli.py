"""`zoo list`, `info` and `search`, the help of every command, shell completion, and a start without TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.command_line import zoo

COMMANDS = ("list", "info", "search", "train", "evaluate", "export", "validate", "serve", "predict", "demo")

WITHOUT_TENSORFLOW = """
import io, sys
from contextlib import redirect_stdout
from zoo import console
from zoo.cli import application
for words in (["--help"], ["list"], ["info", "mnist_cnn"], ["search", "digits"], ["train", "--help"],
              ["train", "mnst_cnn", "x"], ["evaluate", "nowhere"], ["export", "nowhere"]):
    with redirect_stdout(io.StringIO()):
        console.run(application, words)
    heavy = {"tensorflow", "keras", "numpy", "sklearn", "matplotlib"} & set(sys.modules)
    assert not heavy, (words, heavy)
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    """`--help` shows how the command is used and ends with 0."""
    answer = zoo(command, "--help").ok()
    assert f"zoo {command}" in " ".join(answer.out.split())
    assert "--help" in answer.out
    assert answer.err == ""


def test_the_help_names_every_command() -> None:
    """`zoo --help` lists our commands and those of the serving package."""
    out = zoo("--help").ok().out
    assert all(f"│ {command} " in out for command in COMMANDS)


def test_light_commands_load_no_tensorflow() -> None:
    """Help, lists and mistakes that can be seen at once do not wait for TensorFlow."""
    subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW], check=True, timeout=60, stderr=subprocess.DEVNULL)


def test_the_version_is_told() -> None:
    """`zoo --version` prints the distribution and its version."""
    assert zoo("--version").ok().out.startswith("servable-zoo ")


def test_a_list_as_json() -> None:
    """One JSON array of the models that pass the filters."""
    models = zoo("list", "resnet*", "--exclude", "*v2", "--sort", "parameters", "--json").json()
    assert [model["name"] for model in models] == ["resnet50", "resnet101", "resnet152"]
    assert models[0]["weights"] == ["imagenet"]
    assert models[0]["parameters"] == 25636712


def test_a_list_in_a_pipe_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no terminal gets whole lines, one per model, also where a shell exports the width of its own terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = zoo("list", "*_cnn").ok().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["cifar_cnn", "imagenet_cnn", "mnist_cnn"]
    assert lines[-1].rstrip().endswith("(MNIST).")


def test_a_list_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a usual terminal no name and no number is cut."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    out = zoo("list", terminal=True).ok().out
    assert "…" not in out
    assert max(len(line) for line in out.splitlines()) <= 80


def test_nothing_found_is_said() -> None:
    """An empty list is an answer, not a mistake."""
    assert "no model fits" in zoo("list", "nothing*").ok().out
    assert zoo("list", "nothing*", "--json").json() == []


def test_all_that_is_known_about_a_model() -> None:
    """`zoo info` shows the model's fields, and gives them all as JSON."""
    out = " ".join(zoo("info", "mnist_cnn").ok().out.split())
    assert "67,710" in out
    assert "[N, 28, 28, 1]" in out
    data = zoo("info", "mnist_cnn", "--json").json()
    assert data["builder"] == "zoo.vision.small_cnn:mnist_cnn"
    assert data["preprocessing"]["height"] == 28


def test_tasks_and_addresses_are_shown() -> None:
    """A language model's other tasks and where its parameters lie are part of what is known."""
    out = " ".join(zoo("info", "gpt2").ok().out.split())
    assert "text language_model" in out and "classification, regression" in out
    assert "hf://openai-community/gpt2" in out
    assert "embedding" in zoo("info", "bert", "--json").json()["tasks"]
    assert "huggingface+1" in zoo("list", "bert_base_cased").ok().out


def test_search_finds_by_words() -> None:
    """The best model for the words comes first."""
    assert zoo("search", "handwritten", "digits", "--json").json()[0]["name"] == "mnist_cnn"
    assert zoo("search", "handwritten", "digits", "--limit", 1, "--json").json()[1:] == []
    assert "no model fits" in zoo("search", "qqqqqq").ok().out


@pytest.mark.parametrize(("words", "told"), [
    (("info", "mnst_cnn"), "Did you mean 'mnist_cnn'"),
    (("list", "--sort", "size"), "Expected one of: name, parameters, top1"),
    (("list", "--family", "resnets"), "Unknown family 'resnets'"),
    (("list", "--max-params", "many"), "--max-params"),
    (("list", "--pretrainde"), "No such option: --pretrainde"),
    (("lst",), "No such command 'lst'"),
    (("info",), "Missing argument"),
    (("search", "x", "--limit", "0"), "--limit"),
])
def test_wrong_words_are_told_in_one_line(words: tuple[str, ...], told: str) -> None:
    """Exit code 2, one error line, nothing on standard output."""
    answer = zoo(*words)
    assert told in answer.error()
    assert answer.out == ""
    assert len(answer.err.splitlines()) == 1


def test_a_usage_error_says_where_help_is() -> None:
    """The line ends with the command that shows the options."""
    assert zoo("train", "--epochz", "3").error().endswith("See: zoo train --help")


def complete(*words: str) -> list[str]:
    environment = os.environ | {"_ZOO_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words),
                                "COMP_CWORD": str(len(words) - 1)}
    code = "import sys; sys.argv = ['zoo']; from zoo.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False,
                          timeout=60)
    return done.stdout.split()


def test_a_shell_completes_names_and_options() -> None:
    """Names of models and of options are completed."""
    assert complete("zoo", "train", "mnist") == ["mnist_cnn"]
    assert complete("zoo", "train", "--warm") == ["--warmup-epochs"]


def test_the_completion_script_is_shown() -> None:
    """`zoo --show-completion` prints the script of the shell that runs it."""
    done = subprocess.run(["bash", "-c", f"'{sys.executable}' -m zoo --show-completion; true"], capture_output=True,
                          text=True, check=True, timeout=60)
    assert "complete" in done.stdout


def test_json_is_sorted_and_ends_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs give the same bytes, so that files can be compared."""
    first, second = zoo("info", "mlp_binary", "--json").out, zoo("info", "mlp_binary", "--json").out
    assert first == second
    assert first.endswith("}\n")
    assert list(json.loads(first)) == sorted(json.loads(first))
