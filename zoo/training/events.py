"""What a training run tells whoever watches it, such as a progress bar: small frozen dataclasses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RunResumed:
    """A run goes on after `epoch` epochs that an earlier process finished."""

    epoch: int
    epochs: int


@dataclass(frozen=True, kw_only=True)
class EpochBegun:
    """Epoch `epoch` (from 1) of `epochs` begins; `frozen` tells whether only the head learns in it."""

    epoch: int
    epochs: int
    batches: int
    learning_rate: float
    frozen: bool


@dataclass(frozen=True, kw_only=True)
class BlocksUnfrozen:
    """From epoch `epoch` (from 1) on, `unfrozen` of the model's `blocks` blocks learn, counted from the last."""

    epoch: int
    unfrozen: int
    blocks: int


@dataclass(frozen=True, kw_only=True)
class BatchDone:
    """Batch `batch` (from 1) of `batches` is done; `logs` holds the means since the epoch began."""

    epoch: int
    batch: int
    batches: int
    logs: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class EpochEnded:
    """An epoch is done, judged and saved; `best` tells whether it is the best so far."""

    epoch: int
    epochs: int
    logs: Mapping[str, float]
    seconds: float
    best: bool


ProgressEvent = RunResumed | BlocksUnfrozen | EpochBegun | BatchDone | EpochEnded
Progress = Callable[[ProgressEvent], None]
Pause = Callable[[EpochEnded], bool]
