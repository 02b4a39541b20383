"""What a killed execution of a hypermodel goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.tuning.programs.in_memory import MemoryContext, task
from tests.tuning.programs.test_keras_tuner_program import VALUES, history, search
from tuning.errors import StoreError
from tuning.programs.execution_files import ExecutionFiles
from tuning.programs.running import run_task
from tuning.programs.variables_file import load_variables, save_variables


def network(units: int = 3, optimizer: str = "adam") -> Any:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units), keras.layers.BatchNormalization(),
                              keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    model.optimizer.build(model.trainable_variables)
    for number, variable in enumerate((*model.weights, *model.optimizer.variables)):
        variable.assign(np.full(variable.shape, number + 1))
    return model


def values(model: Any) -> list[Any]:
    return [np.asarray(variable.value.numpy()).tolist() for variable in (*model.variables, *model.optimizer.variables)]


def test_everything_with_a_state_comes_back(tmp_path: Path) -> None:
    """Kernels, moving means, the seeds of dropout and the optimizer's moments; a new model needs no training first."""
    model = network()
    save_variables(model, tmp_path / "v.safetensors")
    other = keras.Sequential.from_config(model.get_config())
    other.compile("adam", "mse")
    load_variables(other, tmp_path / "v.safetensors")
    assert values(other) == values(model)
    assert [path.name for path in tmp_path.iterdir()] == ["v.safetensors"]


def test_another_models_file_is_refused_and_another_optimizer_begins_anew(tmp_path: Path) -> None:
    """A damaged file and that of another model are StoreErrors; a hypermodel may compile anew in its `fit`."""
    save_variables(network(), tmp_path / "v.safetensors")
    with pytest.raises(StoreError, match="holds the parameters of another model"):
        load_variables(network(units=4), tmp_path / "v.safetensors")
    other = network(optimizer="sgd")
    before = [np.asarray(variable).tolist() for variable in other.optimizer.variables]
    load_variables(other, tmp_path / "v.safetensors")
    assert [np.asarray(variable).tolist() for variable in other.optimizer.variables] == before
    (tmp_path / "v.safetensors").write_bytes(b"half a file")
    with pytest.raises(StoreError, match="is damaged"):
        load_variables(network(), tmp_path / "v.safetensors")


def test_only_what_is_whole_counts(tmp_path: Path) -> None:
    """Without its parameters, or with half a state, an execution begins afresh."""
    files = ExecutionFiles(tmp_path / "trial_0000" / "execution0")
    assert files.read() is None
    files.write(model := network(), [{"loss": 1.0}], best=True)
    files.write(model, [{"loss": 1.0}, {"loss": 2.0}], best=False)
    state = files.read()
    assert state is not None and state.weights == "epoch-00002.safetensors" and len(state.rows) == 2
    assert sorted(path.name for path in files.folder.iterdir()) == ["best.safetensors", "epoch-00002.safetensors",
                                                                     "epochs.json"]
    whole = (files.folder / "epochs.json").read_text()
    for broken in ("", whole[:20], "[]", '{"weights": 3}'):
        (files.folder / "epochs.json").write_text(broken)
        assert files.read() is None
    (files.folder / "epochs.json").write_text(whole)
    (files.folder / state.weights).unlink()
    assert files.read() is None


def test_damaged_parameters_mean_beginning_afresh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A disk that failed costs the epochs of this execution, not the trial; the log tells of it."""
    first = MemoryContext(tmp_path, task(values=VALUES, epochs=2))
    run_task(search("build", epochs=2), first)
    (tmp_path / "trial_0000" / "execution0" / "epoch-00002.safetensors").write_bytes(b"nothing")
    again = MemoryContext(tmp_path, task(values=VALUES, epochs=2))
    outcome = run_task(search("build", epochs=2), again)
    assert outcome.status == "completed", outcome.error
    assert "The training begins afresh: " in capsys.readouterr().out
    assert history(again)[-2:] == history(first)
