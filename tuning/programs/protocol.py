"""The seam between a trial's program and the engine that runs it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from tuning.folder import SearchFolder
from tuning.trial import EpochReport, TrialOutcome, TrialTask


class TrialContext(Protocol):
    """What a program may ask of the engine that runs it."""

    @property
    def task(self) -> TrialTask:
        """What is to be run."""

    @property
    def folder(self) -> SearchFolder:
        """The search's folder, on this machine."""

    def report(self, report: EpochReport) -> bool:
        """Tells the study the measures of a finished, saved epoch; False asks the trial to stop here.

        An epoch that the study knows already is ignored, so a program that goes on after a crash may report every
        epoch again.
        """

    def quiet(self) -> AbstractContextManager[None]:
        """Keeps other trials of this machine from computing, so that time can be measured."""


class Program(Protocol):
    """What a trial does. Made anew in each trial's process by `tuning.programs.loading.load_program`."""

    def run(self, context: TrialContext) -> TrialOutcome:
        """Runs an attempt; what the user can mend is an outcome "failed" of kind "error", and no exception."""
