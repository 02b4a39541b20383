"""How much of a search is used, what may still begin, and how long the rest will take."""

from __future__ import annotations

from dataclasses import dataclass

from tuning.config import SearchConfig


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a search is.

    Attributes:
        begun: Trials that were begun.
        ended: Trials that have ended.
        epochs: Epochs that were trained, over all trials.
        promised: Epochs that the trials which have not ended are still to train.
        seconds: Wall-clock seconds that processes worked on the search.
        trials: Largest number of trials, or None.
        total_epochs: Largest number of epochs, or None.
        total_seconds: Largest number of seconds, or None.
    """

    begun: int = 0
    ended: int = 0
    epochs: int = 0
    promised: int = 0
    seconds: float = 0.0
    trials: int | None = None
    total_epochs: int | None = None
    total_seconds: float | None = None

    @property
    def used_up(self) -> str:
        """The bound that is reached ("trials", "total_epochs" or "minutes"), or "" while another trial may begin."""
        if self.trials is not None and self.begun >= self.trials:
            return "trials"
        return self.must_stop

    @property
    def must_stop(self) -> str:
        """The bound that running trials must stop for ("total_epochs" or "minutes"), or ""."""
        if self.total_epochs is not None and self.epochs >= self.total_epochs:
            return "total_epochs"
        if self.total_seconds is not None and self.seconds >= self.total_seconds:
            return "minutes"
        return ""

    @property
    def may_begin(self) -> bool:
        """Whether another trial may begin now: also what running trials are still to train leaves an epoch over."""
        return not self.used_up and (self.total_epochs is None or self.epochs + self.promised < self.total_epochs)

    @property
    def seconds_left(self) -> float | None:
        """What the rest takes at the pace so far; None while nothing has ended or where no bound is near."""
        bounds = []
        if self.total_seconds is not None:
            bounds.append(self.total_seconds - self.seconds)
        if self.trials is not None and self.ended:
            bounds.append(self.seconds / self.ended * (self.trials - self.ended))
        if self.total_epochs is not None and self.epochs:
            bounds.append(self.seconds / self.epochs * (self.total_epochs - self.epochs))
        return max(0.0, min(bounds)) if bounds else None


def progress_of(config: SearchConfig, *, begun: int, ended: int, epochs: int, promised: int,
                seconds: float) -> Progress:
    """Sets what is used against the bounds of a configuration.

    Args:
        config: The bounds.
        begun: Trials that were begun.
        ended: Trials that have ended.
        epochs: Epochs that were trained.
        promised: Epochs that the trials which have not ended are still to train.
        seconds: Seconds that processes worked on the search.

    Returns:
        How far the search is.
    """
    return Progress(begun=begun, ended=ended, epochs=epochs, promised=promised, seconds=seconds, trials=config.trials,
                    total_epochs=config.total_epochs,
                    total_seconds=None if config.minutes is None else config.minutes * 60.0)
