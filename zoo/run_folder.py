"""A run's folder: what may be in it, which data it was trained on, and that a failed start leaves nothing behind.

    <folder>/bundle.json, weights-*.safetensors   the trained model (zoo.load opens it)
    <folder>/run.json                             model, data and configuration, so that evaluation finds the same split
    <folder>/cleaning.json                        which examples were left out, and why
    <folder>/checkpoints/                         the state after each epoch; the same command goes on from there
    <folder>/report/                              the evaluation: report.json, report.md and plots
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.bundle_index import is_bundle
from zoo.data_source import DataSource, anywhere
from zoo.errors import ArgumentError, BundleError
from zoo.training.checkpoint import CHECKPOINT, LOCK, best_name

RUN_FILE = "run.json"
CLEANING_FILE = "cleaning.json"
CHECKPOINTS = "checkpoints"
REPORT = "report"


def read_source(folder: Path) -> DataSource:
    """Returns the data that a run was trained on.

    Args:
        folder: The run's folder.

    Raises:
        BundleError: The folder does not say so.
    """
    path = folder / RUN_FILE
    try:
        values: dict[str, Any] = json.loads(path.read_text())["data"]
        read: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value
                                for key, value in values.items()}
        return DataSource(**read)
    except FileNotFoundError:
        raise BundleError(f"{folder} does not say which data its model was trained on ({RUN_FILE} is missing). "
                          "Name the examples to judge by: --data PATH.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path} cannot be read: {error}. Name the examples to judge by: --data PATH.") from error


def check_folder(folder: Path, source: DataSource) -> None:
    """Refuses a folder that a run may not use.

    Args:
        folder: The run's folder; it need not exist.
        source: The run's data.

    Raises:
        ArgumentError: It is a file, lies among the data, or holds what no training run wrote.
    """
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"{folder} is a file. Name a folder for the run.")
    if Path(source.path).is_dir() and folder.absolute().is_relative_to(Path(source.path).absolute()):
        raise ArgumentError(f"The run's folder {folder} lies among the data in {source.path}, where it would be read "
                            "as a class. Name a folder elsewhere.")
    ours = (folder / RUN_FILE).is_file() or (folder / CHECKPOINTS / LOCK).is_file()
    if folder.is_dir() and any(folder.iterdir()) and not ours:
        found = "a saved model" if is_bundle(folder) else "files"
        raise ArgumentError(f"{folder} holds {found} that no training run wrote. Name a new or empty folder.")


@contextlib.contextmanager
def swept(folder: Path) -> Iterator[None]:
    """Removes the folders that a run made if it fails before anything is saved in them.

    Args:
        folder: The run's folder.
    """
    made = [path for path in (folder / CHECKPOINTS, folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            if made and not (folder / CHECKPOINTS / CHECKPOINT).exists():
                _clear_checkpoints(folder / CHECKPOINTS)
            for path in made:  # innermost first; one with anything in it stays
                path.rmdir()
        raise


def _clear_checkpoints(folder: Path) -> None:
    with (folder / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while another process trains there
        for path in (*folder.glob(best_name(1)), folder / LOCK):
            path.unlink()


def write_run(folder: Path, model: str, source: DataSource, config: Mapping[str, Any],
              cleaning: Mapping[str, Any]) -> None:
    """Writes what evaluation and people need to know of a run beside its model.

    Args:
        folder: The run's folder.
        model: The registered name.
        source: The data.
        config: The training configuration, JSON-ready.
        cleaning: What was left out of the data, JSON-ready.
    """
    _write_json(folder / CLEANING_FILE, cleaning)
    _write_json(folder / RUN_FILE, {"model": model, "data": dataclasses.asdict(anywhere(source)), "config": config})


def _write_json(path: Path, data: Any) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(data, indent=1) + "\n")
    temporary.replace(path)
