"""Training of any zoo model: configuration, loop, checkpoints, augmentation.

`TrainingConfig` and the reports are pure data; `fit` loads TensorFlow, so it is looked up when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from zoo.training.config import Augmentation, TrainingConfig
from zoo.training.events import (
    BatchDone,
    BlocksUnfrozen,
    EpochBegun,
    EpochEnded,
    Pause,
    Progress,
    ProgressEvent,
    RunResumed,
)
from zoo.training.protocols import Split, TrainingData
from zoo.training.report import TrainingReport

if TYPE_CHECKING:
    from zoo.training.loop import fit

__all__ = ["Augmentation", "BatchDone", "BlocksUnfrozen", "EpochBegun", "EpochEnded", "Pause", "Progress",
           "ProgressEvent", "RunResumed", "Split", "TrainingConfig", "TrainingData", "TrainingReport", "fit"]


def __getattr__(name: str) -> Any:
    if name == "fit":
        return importlib.import_module("zoo.training.loop").fit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
