"""What happens inside an epoch besides learning: watching the loss, collecting measures, telling the progress."""

from __future__ import annotations

import importlib.util
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from zoo.errors import MissingDependencyError, TrainingError, ZooError
from zoo.training.events import BatchDone, Progress

_ABOUT_THE_GRAPH = ("Graph execution error", "Detected at node", "<stack traces", "File ", "Hint:", "[[",
                    "1 root error", "2 root error")
_DECORATION = re.compile(r"\{\{.*?\}\}|\[Op:[^\]]*\]|^\s*\(\d+\) [A-Z_]+: ")

REMEDY_FOR_NAN = ("Try a lower `learning_rate`, `clip_global_norm=1.0`, `warmup_epochs`, or mixed_precision="
                  "'float32', and look for NaN or huge values in the data.")


class EpochWatch(keras.callbacks.Callback):  # type: ignore[misc]
    """Knows where the run is and stops it as soon as the loss is no number.

    Args:
        epochs: Epochs of the whole run.
        batches: Batches in one.
        progress: Told about every batch.
    """

    def __init__(self, epochs: int, batches: int, progress: Progress | None = None) -> None:
        super().__init__()
        self.epochs = epochs
        self.batches = batches
        self.epoch = 0
        self.batch = 0
        self.measures: dict[str, float] = {}
        self.seconds = 0.0
        self.train_seconds = 0.0
        self._progress = progress
        self._begun = 0.0

    @property
    def place(self) -> str:
        """Where the run is, for a message."""
        where = f"batch {self.batch + 1} of {self.batches}" if self.batch < self.batches else "validation"
        return f"epoch {self.epoch + 1} of {self.epochs}, {where}"

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Starts the clock."""
        self.epoch, self.batch, self._begun, self.train_seconds = epoch, 0, time.perf_counter(), 0.0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Checks the mean loss so far: it is finite as long as every batch's was."""
        measures = dict(logs or {})
        self.batch = batch
        if not math.isfinite(measures.get("loss", 0.0)):
            raise TrainingError(f"The loss became {measures['loss']} in {self.place} (index {batch}). The checkpoint "
                                f"of the epoch before is kept. {REMEDY_FOR_NAN}")
        self.batch = batch + 1
        self.train_seconds = time.perf_counter() - self._begun
        if self._progress:
            self._progress(BatchDone(epoch=self.epoch + 1, batch=batch + 1, batches=self.batches, logs=measures))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keeps the measures of the epoch."""
        self.seconds = time.perf_counter() - self._begun
        self.measures = {name: float(value) for name, value in (logs or {}).items()}
        bad = [name for name in ("loss", "val_loss") if not math.isfinite(self.measures.get(name, 0.0))]
        if bad:
            raise TrainingError(f"The measure {bad[0]!r} became {self.measures[bad[0]]} at the end of epoch "
                                f"{epoch + 1} of {self.epochs}. {REMEDY_FOR_NAN}")


class RunCallbacks(keras.callbacks.CallbackList):  # type: ignore[misc]
    """Callbacks that see one run although the loop calls Keras's `fit` once per epoch."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Does nothing: `fit` calls it at each epoch."""

    def on_train_end(self, logs: Any = None) -> None:
        """Does nothing: `fit` calls it at each epoch."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Tells the callbacks the begin and, however it ends, the end of the whole run."""
        super().on_train_begin()
        try:
            yield
        finally:
            super().on_train_end()


def callbacks_for(model: keras.Model, watch: EpochWatch, given: Sequence[keras.callbacks.Callback], *,
                  tensorboard: Path | None) -> RunCallbacks:
    """Returns all callbacks of a run: the watch first, then TensorBoard's, then the given ones.

    Args:
        model: The model to be trained.
        watch: Sees each batch before the others.
        given: The user's own.
        tensorboard: Folder for event files, or None.

    Raises:
        MissingDependencyError: TensorBoard is wanted and not installed.
    """
    own: list[keras.callbacks.Callback] = [watch]
    if tensorboard is not None:
        if importlib.util.find_spec("tensorboard") is None:
            raise MissingDependencyError("tensorboard", "tensorboard", "Writing TensorBoard's event files")
        own.append(keras.callbacks.TensorBoard(str(tensorboard), write_graph=False))
    return RunCallbacks([*own, *given], add_history=True, model=model, epochs=watch.epochs, steps=watch.batches,
                        verbose=0)


@contextmanager
def failures_explained(watch: EpochWatch, batch_size: int) -> Iterator[None]:
    """Turns what TensorFlow raises in the middle of an epoch into a TrainingError that says where and what to do."""
    kept = "The checkpoint of the epoch before is kept: the same command goes on from there."
    try:
        yield
    except ZooError:
        raise
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise TrainingError(f"Out of memory in {watch.place}. Try a smaller `batch_size` (now {batch_size}), a "
                            f"smaller input size, or mixed_precision='mixed_bfloat16'. {kept}") from error
    except tf.errors.OpError as error:
        raise TrainingError(f"A step failed in {watch.place}: {_cause(error)} If it names a file, repair or "
                            f"remove it. {kept}") from error


def _cause(error: tf.errors.OpError) -> str:
    """Returns the sentence of TensorFlow's message that says what happened, without its account of the graph."""
    lines = [_DECORATION.sub("", line).strip() for line in str(error.message).splitlines()]
    text = next((line for line in lines if line and not line.startswith(_ABOUT_THE_GRAPH)), type(error).__name__)
    return text if text.endswith((".", "!")) else f"{text}."
