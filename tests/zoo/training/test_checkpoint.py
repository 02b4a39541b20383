"""Checkpoints: whole or absent, refused when they belong to another run, and enough to go on after kill -9."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.zoo.training.in_memory import classifier, picture_classifier, pictures
from zoo.errors import TrainingError
from zoo.training import BatchDone, TrainingConfig, fit
from zoo.training.checkpoint import CHECKPOINT, best_name, open_checkpoints
from zoo.training.run_state import RunState

ROOT = Path(__file__).parents[3]
IDENTITY = {"model": {"name": "classifier"}, "config": {"learning_rate": 0.1, "epochs": 4}}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    built = classifier()
    built.compile(optimizer=keras.optimizers.Adam(), loss="sparse_categorical_crossentropy")
    built.optimizer.build(built.trainable_variables)
    return built


def state(*losses: float) -> RunState:
    result = RunState(monitor="loss")
    for loss in losses:
        result = result.after_epoch({"loss": loss}, TrainingConfig(epochs=9), seconds=1.0, train_seconds=1.0)
    return result


def values(variables: Any) -> list[np.ndarray]:
    return [np.array(v.value.numpy()) for v in variables]


def scramble(model: keras.Model) -> None:
    for variable in [*model.variables, *model.optimizer.variables]:
        variable.assign(variable + keras.ops.cast(1, variable.dtype))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Lets the operating system refuse larger files, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_everything_comes_back(model: keras.Model, tmp_path: Path) -> None:
    """Parameters, random states, optimizer and run state come back to the last bit."""
    with open_checkpoints(tmp_path, IDENTITY) as checkpoints:
        assert checkpoints.read_state() is None
        parameters, slots = values(model.variables), values(model.optimizer.variables)
        checkpoints.write(state(3.0, 2.0), model)
        scramble(model)
        checkpoints.restore_model(model)
        checkpoints.restore_optimizer(model.optimizer)
        assert checkpoints.read_state() == state(3.0, 2.0)
    for before, after in zip(parameters + slots, values(model.variables) + values(model.optimizer.variables),
                             strict=True):
        np.testing.assert_array_equal(before, after)
    assert "seed_generator_state" in {v.name for v in model.variables}  # dropout's random state is among them


def test_best_epoch_is_kept_beside_the_last(model: keras.Model, tmp_path: Path) -> None:
    """The best epoch's parameters stay while worse epochs follow, and only they."""
    with open_checkpoints(tmp_path, IDENTITY) as checkpoints:
        checkpoints.write(state(3.0), model)
        scramble(model)
        best = values(model.variables)
        checkpoints.write(state(3.0, 1.0), model)
        scramble(model)
        checkpoints.write(state(3.0, 1.0, 2.0), model)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".lock", CHECKPOINT, best_name(2)])
        checkpoints.restore_best(model, state(3.0, 1.0, 2.0))
    for before, after in zip(best, values(model.variables), strict=True):
        np.testing.assert_array_equal(before, after)


def test_half_written_files_are_ignored(model: keras.Model, tmp_path: Path) -> None:
    """What a killed process left half-written does no harm and is removed."""
    with open_checkpoints(tmp_path, IDENTITY) as checkpoints:
        checkpoints.write(state(3.0), model)
    (tmp_path / f"{CHECKPOINT}.partial").write_bytes(b"half")
    with open_checkpoints(tmp_path, IDENTITY) as checkpoints:
        assert checkpoints.read_state() == state(3.0)
    assert not list(tmp_path.glob("*.partial"))


def test_full_disk_keeps_the_previous_checkpoint(model: keras.Model, tmp_path: Path) -> None:
    """When the system refuses to write, the error names the file, and the one before is whole."""
    with open_checkpoints(tmp_path, IDENTITY) as checkpoints:
        checkpoints.write(state(3.0), model)
        before = (tmp_path / CHECKPOINT).read_bytes()
        with largest_file(1000), pytest.raises(TrainingError, match=r"checkpoint\.safetensors could not be written"):
            checkpoints.write(state(3.0, 4.0), model)
        assert (tmp_path / CHECKPOINT).read_bytes() == before
        assert checkpoints.read_state() == state(3.0)
    assert not list(tmp_path.glob("*.partial"))


def test_another_run_is_refused(model: keras.Model, tmp_path: Path) -> None:
    """A folder of another run is refused with what differs and the two ways out; restart=True removes the run only."""
    (tmp_path / "notes.txt").write_text("mine")
    with open_checkpoints(tmp_path, IDENTITY) as checkpoints:
        checkpoints.write(state(3.0), model)
    other = json.loads(json.dumps(IDENTITY))
    other["config"]["learning_rate"] = 0.2
    with (open_checkpoints(tmp_path, other) as checkpoints,
          pytest.raises(TrainingError, match=r"config\.learning_rate was 0\.1 and is now 0\.2.*restart=True")):
        checkpoints.read_state()
    with open_checkpoints(tmp_path, other, restart=True) as checkpoints:
        assert checkpoints.read_state() is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "notes.txt"]


@pytest.mark.parametrize("keep", [0, 7, 400, -1], ids=["empty", "header cut", "metadata cut", "data cut"])
def test_damaged_checkpoint(model: keras.Model, tmp_path: Path, keep: int) -> None:
    """A damaged file is reported as such, with the way out."""
    with open_checkpoints(tmp_path, IDENTITY) as checkpoints:
        checkpoints.write(state(3.0), model)
        whole = (tmp_path / CHECKPOINT).read_bytes()
        (tmp_path / CHECKPOINT).write_bytes(whole[:keep])
        with pytest.raises(TrainingError, match=r"is damaged or not from zoo.*restart=True"):
            checkpoints.read_state()


def test_another_architecture(model: keras.Model, tmp_path: Path) -> None:
    """Variables of another number or shape are not taken."""
    with open_checkpoints(tmp_path, IDENTITY) as checkpoints:
        checkpoints.write(state(3.0), model)
        with pytest.raises(TrainingError, match=r"model variables; 8 are needed|is damaged"):
            checkpoints.restore_model(classifier(5))


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """A second run is refused while the first trains in the folder, and welcome afterwards."""
    with (open_checkpoints(tmp_path, IDENTITY),
          pytest.raises(TrainingError, match="Another process is training in"), open_checkpoints(tmp_path, IDENTITY)):
        pass
    with open_checkpoints(tmp_path, IDENTITY) as checkpoints:
        assert checkpoints.read_state() is None


def test_folder_that_cannot_be(tmp_path: Path) -> None:
    """A folder that cannot be made is one clear line."""
    (tmp_path / "file").write_text("")
    with (pytest.raises(TrainingError, match="cannot be used: Not a directory"),
          open_checkpoints(tmp_path / "file" / "run", IDENTITY)):
        pass


# === kill -9 ===


KILLED_RUN = TrainingConfig(epochs=4, batch_size=8, learning_rate=0.02, frozen_epochs=1, schedule="cosine",
                        warmup_epochs=0.5, optimizer="momentum", label_smoothing=0.1,
                        augmentation=("flip", "rotate", "contrast", "mixup"))  # type: ignore[arg-type]
KILLED_AT = (3, 2)  # epoch, batch


def train(directory: Path, *, killed: bool) -> dict[str, Any]:
    """Trains to the end, or until the process kills itself as `kill -9` would."""
    def kill(event: Any) -> None:
        if killed and isinstance(event, BatchDone) and (event.epoch, event.batch) == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)

    model = picture_classifier()
    report = fit(model, pictures(), KILLED_RUN, directory, progress=kill)
    content = b"".join(v.value.numpy().tobytes() for v in model.variables)
    return {"history": [dict(epoch) for epoch in report.history], "resumed_from": report.resumed_from,
            "weights": hashlib.sha256(content).hexdigest()}


def in_a_process(directory: Path, *, killed: bool) -> subprocess.CompletedProcess[str]:
    code = ("import json, sys; from pathlib import Path; from tests.zoo.training.test_checkpoint import train;"
            "print(json.dumps(train(Path(sys.argv[1]), killed=sys.argv[2] == 'True')))")
    return subprocess.run([sys.executable, "-c", code, str(directory), str(killed)], capture_output=True, text=True,
                          check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return train(tmp_path_factory.mktemp("whole"), killed=False)


def test_killed_and_started_again(whole: dict[str, Any], tmp_path: Path) -> None:
    """After SIGKILL in the middle of epoch 3 the same command goes on there; history and parameters are equal to the
    last bit with those of an uninterrupted run in another process.
    """
    first = in_a_process(tmp_path, killed=True)
    assert (first.returncode, first.stdout) == (-signal.SIGKILL, "")
    second = in_a_process(tmp_path, killed=False)
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout) == whole | {"resumed_from": 2}
