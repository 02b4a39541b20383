"""The files of a training run: written whole or not at all, and only by one process at a time.

    <directory>/
        checkpoint.safetensors   parameters, optimizer and `RunState` after the last finished epoch
        best-<epoch>.safetensors parameters of the best epoch that the checkpoint names
        report.json              what a finished run did
        .lock                    held by the process that trains

Safetensors holds numbers and text only: reading a checkpoint runs no code. Every file is written beside its place,
synced to the disk and renamed, so a kill at any moment leaves the previous one whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from zoo.errors import TrainingError
from zoo.training.report import TrainingReport
from zoo.training.run_state import RunState

FORMAT_VERSION = 1
CHECKPOINT = "checkpoint.safetensors"
REPORT = "report.json"
LOCK = ".lock"
PARTIAL = ".partial"
_METADATA_KEY = "zoo"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run.

    Args:
        directory: An existing folder.
        identity: What the numbers depend on (model, data, configuration), JSON-ready; a checkpoint of another
            identity is refused.
    """

    directory: Path
    identity: Mapping[str, Any]

    def read_state(self) -> RunState | None:
        """Returns the state after the last finished epoch, or None if there is none.

        Raises:
            TrainingError: The folder holds a run of another model, data or configuration, or a damaged file.
        """
        path = self.directory / CHECKPOINT
        if not path.is_file():
            return None
        metadata = _read_metadata(path)
        if metadata.get("format") != FORMAT_VERSION:
            raise TrainingError(f"The checkpoint {path} has the format {metadata.get('format')!r}; this version of "
                                f"zoo reads {FORMAT_VERSION}. {_ways_out()}")
        differences = _differences(metadata["identity"], self.identity)
        if differences:
            raise TrainingError(f"The folder {self.directory} holds a training run of another kind: "
                                f"{'; '.join(differences[:5])}{'; ...' if len(differences) > 5 else ''}. {_ways_out()}")
        return RunState.from_dict(metadata["state"])

    def write(self, state: RunState, model: keras.Model, *, optimizer: keras.optimizers.Optimizer | None = None,
              beside: Sequence[Any] = ()) -> None:
        """Saves the state after an epoch; afterwards a kill loses nothing of it.

        Args:
            state: How far the run is.
            model: Its parameters are saved.
            optimizer: Its state is saved, too; None takes the model's own.
            beside: Variables that belong to the run and not to the model; see `Technique`.

        Raises:
            TrainingError: A file could not be written; the previous checkpoint is whole.
        """
        parameters = _tensors("model", model.variables) | _tensors("beside", beside)
        if state.is_best:
            # First, so that the checkpoint never names a file that is not there.
            self._write(best_name(state.best_epoch), parameters, state)
        optimizer = model.optimizer if optimizer is None else optimizer
        self._write(CHECKPOINT, parameters | _tensors("optimizer", optimizer.variables), state)
        for path in self.directory.glob("best-*.safetensors"):
            if path.name != best_name(state.best_epoch):
                path.unlink(missing_ok=True)

    def restore_model(self, model: keras.Model, beside: Sequence[Any] = ()) -> None:
        """Gives the model, and what was saved beside it, the values after the last finished epoch."""
        self._restore(CHECKPOINT, model, beside)

    def restore_optimizer(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Gives a built optimizer its state after the last finished epoch."""
        _assign(self.directory / CHECKPOINT, "optimizer", optimizer.variables)

    def restore_best(self, model: keras.Model, state: RunState, beside: Sequence[Any] = ()) -> None:
        """Gives the model, and what was saved beside it, the values of the best epoch."""
        self._restore(best_name(state.best_epoch), model, beside)

    def _restore(self, name: str, model: keras.Model, beside: Sequence[Any]) -> None:
        _assign(self.directory / name, "model", model.variables)
        _assign(self.directory / name, "beside", beside)

    def write_report(self, report: TrainingReport) -> None:
        """Saves the report of a finished run as JSON."""
        text = json.dumps(report.to_dict(), indent=2) + "\n"
        _replace(self.directory / REPORT, lambda path: path.write_text(text, encoding="utf-8"))

    def clear(self) -> None:
        """Removes the files of a run and nothing else."""
        for path in (self.directory / CHECKPOINT, self.directory / REPORT,
                     *self.directory.glob("best-*.safetensors")):
            path.unlink(missing_ok=True)
        self.clear_partial()

    def clear_partial(self) -> None:
        """Removes what a killed process left half-written."""
        for path in self.directory.glob(f"*{PARTIAL}"):
            path.unlink(missing_ok=True)

    def _write(self, name: str, tensors: dict[str, np.ndarray], state: RunState) -> None:
        content = {"format": FORMAT_VERSION, "identity": self.identity, "state": state.to_dict()}
        metadata = {_METADATA_KEY: json.dumps(content)}
        _replace(self.directory / name, lambda path: save_file(tensors, path, metadata=metadata))


def best_name(epoch: int) -> str:
    """Returns the name of the file with the parameters of an epoch, from 1."""
    return f"best-{epoch:05d}.safetensors"


@contextmanager
def open_checkpoints(directory: str | os.PathLike[str], identity: Mapping[str, Any], *,
                     restart: bool = False) -> Iterator[Checkpoints]:
    """Makes the folder if need be and keeps other processes out of it.

    Args:
        directory: Where the run lives.
        identity: See `Checkpoints`.
        restart: Whether to remove an earlier run first.

    Yields:
        Its checkpoints.

    Raises:
        TrainingError: The folder cannot be made, or another process trains in it.
    """
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("a")
    except OSError as error:
        raise TrainingError(f"The training folder {folder} cannot be used: {error.strerror}. "
                            "Choose one that can be written to.") from error
    with lock:
        try:
            # The system lets go of it when the process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TrainingError(f"Another process is training in {folder}. Wait for it, or choose another "
                                "folder.") from None
        checkpoints = Checkpoints(folder, identity)
        checkpoints.clear() if restart else checkpoints.clear_partial()
        yield checkpoints


# === Files ===


def _ways_out() -> str:
    return "Choose another folder, or start afresh in this one with restart=True (the old run is removed)."


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file so that `path` is always either the old or the new one, whole."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        write(partial)
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise TrainingError(f"{path} could not be written: {error}. Whatever it held before is whole. Make room on "
                            "the disk, then give the same command again to go on from there.") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="np") as file:
            content: dict[str, Any] = json.loads(file.metadata()[_METADATA_KEY])
            return content
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"The checkpoint {path} is damaged or not from zoo: {error}. {_ways_out()}") from error


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Lists in words where two JSON-ready mappings differ, down to their leaves."""
    found = []
    for key in sorted(set(old) | set(new)):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += _differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key} was {_short(before)} and is now {_short(after)}")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# === Tensors ===


def _tensors(group: str, variables: Sequence[Any]) -> dict[str, np.ndarray]:
    # By position: names may be given twice, and differ between two builds of a model from elsewhere.
    return {_key(group, i): np.asarray(v.value.numpy(), order="C")
            for i, v in enumerate(variables)}


def _key(group: str, index: int) -> str:
    return f"{group}/{index:05d}"


def _assign(path: Path, group: str, variables: Sequence[Any]) -> None:
    try:
        with safe_open(path, framework="np") as file:
            found = sum(name.startswith(f"{group}/") for name in file.keys())  # noqa: SIM118 - it is no mapping
            if found != len(variables):
                raise TrainingError(f"{path} holds {found} {group} variables; {len(variables)} are needed. "
                                    f"{_ways_out()}")
            for index, variable in enumerate(variables):
                variable.assign(file.get_tensor(_key(group, index)))
    except (OSError, SafetensorError, ValueError) as error:
        raise TrainingError(f"The checkpoint {path} is damaged: {error}. {_ways_out()}") from error
