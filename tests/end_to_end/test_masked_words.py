"""A masked language model from plain text to the words that a server puts into gaps, with the commands alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import zoo as models
from serving.server.app import running_server
from serving.server.settings import ServerSettings
from tests.command_line import zoo

HOMES = {"anna": "rome", "cleo": "bonn", "dora": "oslo", "emil": "lima"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT, trained from random parameters on sentences in which a name decides a place."""
    folder = tmp_path_factory.mktemp("masked")
    names = random.Random(0).choices(list(HOMES), k=800)
    (folder / "homes.txt").write_text("\n".join(f"{name} lives in {HOMES[name]} ." for name in names))
    sizes = ("layers=1", "hidden_size=32", "heads=2", "max_positions=7", "dropout=0", "attention_dropout=0")
    zoo("train", "bert", folder / "homes.txt", "--task", "masked_language_model", "-o", folder / "run",
        *(word for size in sizes for word in ("--set", size)), "--max-words", 60, "--epochs", 20,
        "--learning-rate", 0.01).ok()
    return folder / "run"


@pytest.fixture(scope="module")
def addresses(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    root = tmp_path_factory.mktemp("served")
    zoo("export", run, "--root", root, "--name", "homes", "--no-validate").ok()
    with running_server(ServerSettings(root=root, grpc_port=0, rest_port=0)) as server:
        yield [f"grpc://127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}"]


def test_it_learns_and_is_judged_by_hidden_words(run: Path) -> None:
    """The loss falls far below that of guessing by frequency, and accuracy and perplexity are of hidden words alone."""
    history = models.record_of(models.load(run)).training["history"]
    assert history[-1]["val_loss"] < 0.5 * history[0]["val_loss"]
    judged = zoo("evaluate", run, "--bootstrap-samples", 0, "--json").json()
    figures = {name: metric["value"] for name, metric in judged["metrics"].items()}
    assert figures["accuracy"] > 0.8
    assert figures["perplexity"] == pytest.approx(np.exp(figures["loss"]))
    assert judged["examples"] <= judged["tokens"] < 2 * judged["examples"]  # one of five words, at least one


def test_a_server_fills_the_gaps(addresses: list[str]) -> None:
    """Each name's place comes first over gRPC and REST; both say the same; a text without a gap has no answer."""
    texts = [f"{name} lives in [MASK] ." for name in HOMES]
    answers = []
    for address in addresses:
        outputs = zoo("predict", "homes", *texts, "no gap", "--server", address, "--json").json()["outputs"]
        assert [row[0][0] for row in outputs["tokens"][:-1]] == list(HOMES.values())
        assert not any(word for gap in outputs["tokens"][-1] for word in gap)
        assert not any(outputs["truncated"])
        answers.append(outputs["scores"])
        shown = zoo("predict", "homes", texts[0], "--server", address).ok().out
        assert "gap" in shown and "rome" in shown
    np.testing.assert_allclose(*answers, rtol=1e-4)
