"""Which hyperparameters a search has."""

from __future__ import annotations

import io
import json
from pathlib import Path

import keras_tuner
import pytest

from tests.tuning.programs import hypermodels_for_tests as given
from tests.tuning.programs.in_memory import search
from tuning.config import SearchConfig
from tuning.errors import SpaceError
from tuning.programs.declaring import declare, hyperparameters_of, main
from zoo.data_source import DataSource

FILE = str(given.__file__)


def config(name: str) -> SearchConfig:
    return SearchConfig(hypermodel=f"{FILE}:{name}", data_function=f"{FILE}:data")


def names(hp: keras_tuner.HyperParameters) -> set[str]:
    return {one.name for one in hp.space}


def test_a_registered_models_space_is_declared_as_it_is() -> None:
    """No process is needed for what stands in the configuration."""
    hp = keras_tuner.HyperParameters()
    declare(search(DataSource(path="t.csv")).to_dict())(hp)
    assert names(hp) == {"learning_rate"}


def test_a_hypermodel_declares_in_another_process() -> None:
    """Conditions are opened, and what `fit` asks for before it trains is found, as under KerasTuner itself."""
    hp = keras_tuner.HyperParameters()
    function = declare(config("WithFit").to_dict())
    function(hp)
    assert names(hp) == {"units", "optimizer", "momentum", "batch_size"}
    assert hp.values == {"units": 4, "optimizer": "adam", "batch_size": 16}  # the momentum is not active
    second = keras_tuner.HyperParameters()
    function(second)
    assert second.get_config() == hp.get_config()


def test_a_hypermodel_that_cannot_be_built_says_why(monkeypatch: pytest.MonkeyPatch,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    """What was raised is the last line that the process leaves."""
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(config("fails").to_dict())))
    assert main() == 1
    assert capsys.readouterr().err.splitlines()[-1] == "RuntimeError: out of ideas"


def test_the_words_of_the_process_come_along(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that ends without an answer is an error of the space, with its last words."""
    shell = tmp_path / "python"
    shell.write_text("#!/bin/sh\necho long trace >&2\necho RuntimeError: out of ideas >&2\nexit 1\n")
    shell.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(shell))
    with pytest.raises(SpaceError, match=r"fails cannot declare its hyperparameters: RuntimeError: out of ideas"):
        declare(config("fails").to_dict())(keras_tuner.HyperParameters())


@pytest.mark.parametrize(("name", "expected"), [
    ("OwnLoop", {"rate"}), ("NoMeasures", set()), ("build", {"units", "optimizer", "momentum"}), ("ready", {
        "units", "optimizer", "momentum", "batch_size"})])
def test_every_way_to_ask_is_found(name: str, expected: set[str]) -> None:
    """In `build`, under conditions, in `fit`, and in loops of the user's own; nothing is trained for it."""
    assert names(hyperparameters_of(config(name))) == expected
