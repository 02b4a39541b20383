"""TensorBoard's event files, and what TensorFlow's errors become."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from tests.zoo.training.in_memory import blobs, classifier
from zoo.errors import ArgumentError, TrainingError
from zoo.training import TrainingConfig, fit
from zoo.training.callbacks import EpochWatch, failures_explained

ROOT = Path(__file__).parents[3]

WITHOUT_TENSORBOARD = """
import sys
from importlib.machinery import PathFinder

class WithoutTensorBoard:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] == "tensorboard" else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutTensorBoard
from tests.zoo.training.in_memory import blobs, classifier
from zoo.errors import MissingDependencyError
from zoo.training import TrainingConfig, fit
try:
    fit(classifier(), blobs(), TrainingConfig(tensorboard=True), sys.argv[1])
except MissingDependencyError as error:
    print(error)
"""


def test_tensorboard_files(tmp_path: Path) -> None:
    """With tensorboard=True the run leaves event files for training and validation that hold every epoch's loss."""
    fit(classifier(), blobs(), TrainingConfig(epochs=2, tensorboard=True), tmp_path)
    for part in ("train", "validation"):
        (file,) = (tmp_path / "tensorboard" / part).glob("events.*")
        events = [tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file))]
        steps = [event.step for event in events for value in event.summary.value if value.tag == "epoch_loss"]
        assert steps == [0, 1]


def test_tensorboard_is_missing(tmp_path: Path) -> None:
    """In a Python without the package the error names the extra to install."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_TENSORBOARD, str(tmp_path)], capture_output=True, text=True,
                          check=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert "needs the package 'tensorboard'" in done.stdout
    assert "pip install 'servable-zoo[tensorboard]'" in done.stdout


MESSAGES = {
    "graph": "Graph execution error:\n\nDetected at node Read defined at (most recent call last):\n"
             "  File \"x.py\", line 1\n\n<stack traces unavailable>\nphoto.jpg; No such file\n"
             "\t [[{{node Read}}]] [Op:__inference_3]",
    "eager": "{{function_node __wrapped__IteratorGetNext}} photo.jpg; No such file [Op:IteratorGetNext] name: ",
    "twice": "2 root error(s) found.\n  (0) NOT_FOUND:  photo.jpg; No such file\n\t [[{{node Read}}]]",
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_cause_is_picked_from_the_message(kind: str) -> None:
    """Of TensorFlow's account only the sentence that says what happened is kept, with the place."""
    watch = EpochWatch(epochs=3, batches=8)
    watch.on_epoch_begin(1)
    with (pytest.raises(TrainingError, match=r"A step failed in epoch 2 of 3, batch 1 of 8: photo\.jpg; No such file"),
          failures_explained(watch, 16)):
        raise tf.errors.NotFoundError(None, None, MESSAGES[kind])


def test_out_of_memory_on_a_device() -> None:
    """A device that has no memory left is a TrainingError that names the batch size."""
    with (pytest.raises(TrainingError, match=r"Out of memory in epoch 1 of 3.*\(now 16\)"),
          failures_explained(EpochWatch(epochs=3, batches=8), 16)):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9]")


def test_own_errors_pass() -> None:
    """Errors that are explained already, and those of the user's callbacks, pass as they are."""
    for error in (ArgumentError("mine"), KeyError("theirs")):
        with pytest.raises(type(error), match=str(error.args[0])), failures_explained(EpochWatch(3, 8), 16):
            raise error
