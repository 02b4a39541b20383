"""A training process that is killed with SIGKILL and started again ends with the numbers of one that was not."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.zoo.training.in_memory import picture_classifier, pictures
from zoo.training import BatchDone, TrainingConfig, fit

ROOT = Path(__file__).parents[3]
CONFIG = TrainingConfig(epochs=4, batch_size=8, learning_rate=0.02, frozen_epochs=1, schedule="cosine",
                        warmup_epochs=0.5, optimizer="momentum", label_smoothing=0.1,
                        augmentation=("flip", "rotate", "contrast", "mixup"))  # type: ignore[arg-type]
KILLED_AT = (3, 2)  # epoch, batch


def train(directory: Path, *, killed: bool) -> dict[str, Any]:
    """Trains to the end, or until the process kills itself as `kill -9` would."""
    def kill(event: Any) -> None:
        if killed and isinstance(event, BatchDone) and (event.epoch, event.batch) == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)

    model = picture_classifier()
    report = fit(model, pictures(), CONFIG, directory, progress=kill)
    content = b"".join(v.value.numpy().tobytes() for v in model.variables)
    return {"history": [dict(epoch) for epoch in report.history], "resumed_from": report.resumed_from,
            "weights": hashlib.sha256(content).hexdigest()}


def in_a_process(directory: Path, *, killed: bool) -> subprocess.CompletedProcess[str]:
    code = ("import json, sys; from pathlib import Path; from tests.zoo.training.test_resume_after_kill import train;"
            "print(json.dumps(train(Path(sys.argv[1]), killed=sys.argv[2] == 'True')))")
    return subprocess.run([sys.executable, "-c", code, str(directory), str(killed)], capture_output=True, text=True,
                          check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return train(tmp_path_factory.mktemp("whole"), killed=False)


def test_killed_and_started_again(whole: dict[str, Any], tmp_path: Path) -> None:
    """After a kill in the middle of epoch 3 the same command goes on there; history and parameters are equal to the
    last bit with those of an uninterrupted run in another process.
    """
    first = in_a_process(tmp_path, killed=True)
    assert (first.returncode, first.stdout) == (-signal.SIGKILL, "")
    second = in_a_process(tmp_path, killed=False)
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout) == whole | {"resumed_from": 2}
