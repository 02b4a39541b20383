"""Hyperband's promotions: a trial goes on where another one rests, with the other's parameters and optimizer."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tuning.folder import SearchFolder
from tuning.trial import TrialTask
from zoo.run_folder import CHECKPOINTS, RUN_FILE
from zoo.training.checkpoint import CHECKPOINT, LOCK, REPORT


@dataclass(frozen=True)
class Taken:
    """What a trial takes over from its parent.

    Attributes:
        epochs: Epochs that the parent trained; 0 without a parent.
        seed: Seed of the execution: the parent's, because a training that goes on has one seed from end to end.
    """

    epochs: int
    seed: int


def take_up(folder: SearchFolder, task: TrialTask, execution: int) -> Taken:
    """Gives an execution the checkpoints of its parent, unless it has its own already.

    The parent's folder stays as it is. Where it is gone, the trial begins afresh.

    Args:
        folder: The search's folder.
        task: What is run.
        execution: Which of its executions.

    Returns:
        What was taken over, now or in an earlier attempt.
    """
    fresh = Taken(epochs=0, seed=task.seed + execution)
    if not task.parent:
        return fresh
    parent, own = folder.execution(task.parent, execution), folder.execution(task.trial, execution)
    try:
        seed = int(json.loads((parent / RUN_FILE).read_text())["config"]["seed"])
        epochs = len(json.loads((parent / CHECKPOINTS / REPORT).read_text())["history"])
    except (OSError, ValueError, KeyError, TypeError):
        return fresh
    if not own.exists():
        _copy_checkpoints(parent / CHECKPOINTS, own)
    return Taken(epochs=epochs, seed=seed)


def _copy_checkpoints(source: Path, run: Path) -> None:
    """Makes a run folder that holds another one's checkpoints; it appears in one step."""
    partial = run.with_name(f".{run.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    target = partial / CHECKPOINTS
    target.mkdir(parents=True)
    for path in (source / CHECKPOINT, *source.glob("best-*.safetensors")):
        link_or_copy(path, target / path.name)
    (target / LOCK).touch()  # not the parent's: two runs must not wait for each other
    partial.replace(run)


def link_or_copy(source: Path, target: Path) -> None:
    """Gives a file a second name, or copies it where the file system cannot.

    Both are safe: checkpoints are replaced as a whole and never written to.

    Args:
        source: An existing file.
        target: The new name.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
