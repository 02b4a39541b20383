"""The study's early stopping as a scheduler of Ray Tune.

Tune asks after every epoch; the study decides by its rule (ASHA, median), its budget and requests to stop, writes the
epoch into its journal, and the trial is told to finish instead of being taken down: its best parameters are saved.
"""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError
from ray.tune.schedulers import FIFOScheduler

from tuning.executors.ray_link import EVENT, Loss, StudyLink

_LONGEST_REASON = 200


class StudyScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray's classes are Any
    """Tells the study what the trials say, and lets all of them go on that were not told to stop.

    Args:
        link: To the study.
    """

    def __init__(self, link: StudyLink) -> None:
        super().__init__()
        self._link = link

    @property
    def supports_buffered_results(self) -> bool:
        """False: every epoch is judged before the next begins."""
        return False

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        """Tells the study of an epoch.

        Args:
            tune_controller: Tune's.
            trial: Tune's.
            result: What the trial's process returned.

        Returns:
            "CONTINUE"; a trial that is to stop ends by itself.
        """
        self._link.said(trial.trial_id, result[EVENT])
        return str(self.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> None:
        """Tells the study of an outcome.

        Args:
            tune_controller: Tune's.
            trial: Tune's.
            result: The last result.
        """
        if EVENT in result:
            self._link.said(trial.trial_id, result[EVENT])

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Tells the study of a trial that was lost.

        Args:
            tune_controller: Tune's.
            trial: Tune's.
        """
        self._link.lost(trial.trial_id, loss_of(_error_of(trial)))

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Leaves the choice to Tune, which keeps the waiting trials in order without looking through all of them.

        Args:
            tune_controller: Tune's.
        """


def _error_of(trial: Any) -> Exception:
    """Returns what Tune has written down beside the trial: Ray's own error, or its text."""
    if trial.pickled_error_file is not None:
        with contextlib.suppress(Exception):  # of a class that is not here
            error: object = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
            if isinstance(error, Exception):
                return error
    unknown: Exception = RayError(Path(trial.error_file).read_text() if trial.error_file else "no reason was given")
    return unknown


def loss_of(error: Exception) -> Loss:
    """Tells why an attempt ended without a word, from the error that Ray gives instead of a result.

    Args:
        error: Ray's.

    Returns:
        The kind and the reason.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if isinstance(error, OutOfMemoryError):
        return Loss("memory", f"Ray ended the trial because its node ran out of memory: {lines[0]}")
    if isinstance(error, RayTaskError) or (isinstance(error, RayActorError) and error.actor_init_failed):
        # The process that watches the trial refused: it cannot run any.
        return Loss("error", f"No trial can be run on a node of the Ray cluster: {lines[-1]}", engine=True)
    if isinstance(error, RayActorError):
        return Loss("lost", "The worker of Ray that watched the trial is gone, or its node: "
                    f"{textwrap.shorten(lines[0], _LONGEST_REASON)}")
    return Loss("lost", f"Ray lost the trial: {lines[-1]}")
