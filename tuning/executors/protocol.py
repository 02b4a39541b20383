"""What every engine offers."""

from __future__ import annotations

from typing import Protocol

from tuning.study.study import Study


class Engine(Protocol):
    """Runs the trials of a study. The study is not thread-safe: an engine calls it from one thread."""

    def run(self, study: Study) -> None:
        """Runs trials until the study is done or has been asked to stop, and leaves no process behind.

        Args:
            study: An open study; `study.program` tells each trial's process what to run.

        Raises:
            EngineError: Trials cannot be run at all.
        """
