"""`tuning.search`: models, functions and arrays become a search; what fits neither is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tuning
from tests.conftest import Workplace
from tests.tuning.inline_engine import InlineEngine
from tuning.errors import StoreError
from tuning.programs.user_code import load_data
from zoo.data_source import DataSource
from zoo.errors import ArgumentError


def build(hp: Any) -> Any:
    """What a user's file holds; nothing here calls it but KerasTuner."""
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(hp.Int("units", 1, 64))])
    model.compile("sgd", "mse")
    return model


def loss_of(values: Any, epoch: int) -> dict[str, float]:
    return {"val_loss": float(values.get("hidden_units", values.get("units"))), "val_accuracy": 0.5}


def test_a_registered_model_is_searched(workplace: Workplace, tmp_path: Path,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    """Space, objectives and budget are given as words and numbers; the result holds the trials; lines are shown."""
    source = DataSource(path=str(workplace.folder / "points.csv"), target=("label",), test_fraction=0.0)
    result = tuning.search("mlp_binary", source, tmp_path / "s", space={"hidden_units": "4..8"}, only=["hidden_units"],
                           objectives="val_loss", trials=3, epochs=1, engine=InlineEngine(loss_of))
    assert isinstance(result, tuning.SearchResult)
    assert result.finished
    assert result.final is None
    assert result.best is not None
    assert set(result.best.searched) == {"hidden_units"}
    assert all(4 <= trial.values["hidden_units"] <= 8 for trial in result.trials.values())
    assert capsys.readouterr().err.count("completed") == 3


def test_the_same_call_goes_on_and_restart_begins_anew(workplace: Workplace, tmp_path: Path) -> None:
    """Trials are not repeated unless that is asked for."""
    def call(engine: InlineEngine, **options: Any) -> InlineEngine:
        source = DataSource(path=str(workplace.folder / "points.csv"), target=("label",))
        tuning.search("mlp_binary", source, tmp_path / "s", trials=4, epochs=1, objectives="val_loss", engine=engine,
                      quiet=True, **options)
        return engine

    call(InlineEngine(loss_of, stop_after=1))
    assert len(call(InlineEngine(loss_of), only=()).ran) == 3
    with pytest.raises(StoreError, match="another search"):
        call(InlineEngine(loss_of), seed=5)
    assert len(call(InlineEngine(loss_of, stop_after=1), seed=5, restart=True).ran) == 1


def test_a_function_and_arrays_are_searched(tmp_path: Path) -> None:
    """The function is named by its file, the arrays are kept in the folder; the space is the function's own."""
    x, y = np.ones((4, 2)), np.zeros(4)
    heard: list[str] = []
    result = tuning.search(build, {"x": x, "y": y, "validation_data": (x, y)}, tmp_path / "s", trials=2, epochs=1,
                           engine=InlineEngine(loss_of), listener=lambda event: heard.append(type(event).__name__))
    assert result.config.hypermodel == f"{Path(__file__).absolute()}:build" or (
        result.config.hypermodel == "tests.tuning.test_searching:build")
    np.testing.assert_array_equal(load_data(result.config.data_function)["validation_data"][0], x)
    assert all(1 <= trial.values["units"] <= 64 for trial in result.trials.values())
    assert heard.count("TrialEnded") == 2
    with pytest.raises(StoreError, match="begun with other arrays"):
        tuning.search(build, {"x": x + 1, "y": y}, tmp_path / "s", trials=2, epochs=1, engine=InlineEngine(loss_of))


def test_what_fits_neither_is_refused(tmp_path: Path) -> None:
    """Each message says what the argument may be; no folder is left behind."""
    x = np.ones((4, 2))
    with pytest.raises(ArgumentError, match="`data` for a registered model is a path"):
        tuning.search("mlp_binary", {"x": x}, tmp_path / "s")
    with pytest.raises(ArgumentError, match="`only` is for registered models"):
        tuning.search(build, {"x": x}, tmp_path / "s", only=["units"])
    with pytest.raises(ArgumentError, match="`model` must have a name"):
        tuning.search(lambda hp: hp, {"x": x}, tmp_path / "s")
    with pytest.raises(ArgumentError, match="Unknown engine"):
        tuning.search(build, None, tmp_path / "s", engine="spark")
    assert not (tmp_path / "s").exists()
