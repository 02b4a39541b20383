"""What a worker of Ray does for a trial: it begins the trial's process, hears it and sees how it ends.

The worker imports no TensorFlow. It keeps a zygote from trial to trial, so that only the first of them waits for
imports, and every trial still has a process and a memory of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import select
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from tuning.executors.attempts import Attempt, interrupted
from tuning.executors.container import killed_for_memory
from tuning.executors.cores import Share
from tuning.executors.launching import Launcher, LauncherDied
from tuning.executors.ray_quiet import NodeQuiet
from tuning.executors.starting import make_launcher
from tuning.folder import SearchFolder
from tuning.trial import TrialOutcome, TrialTask

_LOOK_S = 0.1
_SOON_S = 0.02
_LINGER_S = 10.0  # how long a process that has nothing left to do may take to end
_LONGEST_MEASURE_S = 900.0  # who measures for longer than this measures in company

State = Literal["computing", "resting", "asking", "measuring", "judged"]
"""A process computes, stands still while another measures, asks to measure, measures, or waits for an answer."""


class TrialHost:
    """Runs one trial after the other, each in a process of its own.

    Args:
        runner: What runs a program, as "module:function".
        share: What every trial may use.
        quiet: This node's; the host closes it.
        fork: As `make_launcher` takes it.
    """

    def __init__(self, runner: str, share: Share, quiet: NodeQuiet, *, fork: bool | None = None) -> None:
        self._make: Callable[[], Launcher] = lambda: make_launcher(runner, fork=fork)
        self._launcher: Launcher | None = self._make()
        self._share = share
        self._quiet = quiet
        self._attempt: Attempt | None = None
        self._state: State = "computing"
        self._looked = self._measures_since = 0.0
        self._limit: float | None = None
        self._count = 0

    def begin(self, task: TrialTask, program: Mapping[str, Any], folder: SearchFolder, *,
              must_end: Callable[[], bool]) -> None:
        """Begins a trial's process, and ends one that is left over.

        Args:
            task: What is to be run.
            program: The program's description.
            folder: The search's.
            must_end: Tells whether the search is ending; then none is begun.

        Raises:
            EngineError: No process can be begun.
        """
        self._end(TrialOutcome(status="interrupted"))
        self._limit = program.get("trial_minutes")
        self._count += 1
        order = {"task": task.to_dict(), "program": dict(program), "folder": str(folder.path),
                 "share": dataclasses.asdict(self._share)}
        folder.trial(task.trial).mkdir(parents=True, exist_ok=True)
        try:
            self._start(task, order, folder, must_end)
        except LauncherDied:  # between two trials; a second death has a reason
            self._drop_launcher()
            self._start(task, order, folder, must_end)

    def answer(self, go_on: bool) -> None:
        """Answers the epoch that was reported last.

        Args:
            go_on: Whether the trial goes on.
        """
        self._count_time()
        self._state = "computing"
        self._send({"go": go_on})

    def next_event(self, must_end: Callable[[], bool]) -> dict[str, Any]:
        """Waits for the next epoch, which is to be answered, or the end of the trial.

        Args:
            must_end: Tells whether the trial is to end at once.

        Returns:
            {"report": ...} or {"outcome": ...}, JSON-ready.
        """
        while self._attempt is not None:
            if must_end():
                return self._end(interrupted("The search was asked to stop."))
            report = self._hear(self._attempt)
            if report is not None:
                self._state = "judged"
                return {"report": report}
            if self._is_over(self._attempt):
                return self._end()
            self._count_time()
            self._hold_to_bounds(self._attempt)
            self._keep_the_quiet()
        return {"outcome": interrupted("The search was asked to stop.").to_dict()}

    def close(self) -> None:
        """Ends everything."""
        self._end(TrialOutcome(status="interrupted"))
        self._drop_launcher()
        self._quiet.close()

    def _start(self, task: TrialTask, order: Mapping[str, Any], folder: SearchFolder,
               must_end: Callable[[], bool]) -> None:
        if self._launcher is None:
            self._launcher = self._make()
        while not (self._launcher.ready and self._quiet.compute()):
            if must_end():
                return
            select.select(self._launcher.waited_for(), (), (), _LOOK_S)
        log = folder.log(task.trial)
        with log.open("ab") as file:
            log_begun = file.tell()  # the process may have written before anybody could ask afterwards
            process = self._launcher.start(str(self._count), order, file)
            self._attempt = Attempt(task=task, process=process, share=self._share, log=log, log_begun=log_begun,
                                    memory_kills=killed_for_memory())
        self._state, self._looked = "computing", time.monotonic()

    def _hear(self, attempt: Attempt) -> dict[str, Any] | None:
        """Waits a moment and takes what the process says; returns an epoch that it reports."""
        waited = list(() if self._launcher is None else self._launcher.waited_for())
        if not attempt.closed:
            waited.append(attempt.process.channel.fileno())
        select.select(waited, (), (), _SOON_S if attempt.closed or self._state == "asking" else _LOOK_S)
        if attempt.closed:
            return None
        messages, attempt.closed = attempt.process.channel.arrived()
        for message in messages:  # a process says nothing after a report before it is answered
            if "report" in message:
                report: dict[str, Any] = message["report"]
                return report
            if "quiet" in message:
                self._change_quiet(bool(message["quiet"]))
            elif "outcome" in message:
                attempt.outcome = TrialOutcome.from_dict(message["outcome"])
                attempt.over_since = time.monotonic()
        if attempt.closed and attempt.over_since is None:
            attempt.over_since = time.monotonic()
        return None

    def _is_over(self, attempt: Attempt) -> bool:
        """Tells whether nothing more is to be waited for."""
        lingers = attempt.over_since is not None and time.monotonic() > attempt.over_since + _LINGER_S
        return attempt.doom is not None or (attempt.over_since is not None and (attempt.closed or lingers))

    def _end(self, doom: TrialOutcome | None = None) -> dict[str, Any]:
        """Sees the process to its end, if there is one, and returns the outcome.

        Only then may another attempt at the trial write into its folder.

        Args:
            doom: Why it is killed; None if it has nothing left to do.
        """
        attempt, self._attempt = self._attempt, None
        self._quiet.leave()
        if attempt is None:
            return {"outcome": (doom or TrialOutcome(status="interrupted")).to_dict()}
        if doom is not None:
            attempt.kill(doom)
        status = self._status(attempt)
        attempt.process.channel.close()
        return {"outcome": attempt.ended(status, killed_for_memory()).to_dict()}

    def _status(self, attempt: Attempt) -> int | None:
        """Waits for the process's exit status; None if nobody knows it. A process that does not end is killed."""
        deadline = time.monotonic() + _LINGER_S
        try:
            while self._launcher is not None:
                for key, status in self._launcher.ended():
                    if key == attempt.process.key:
                        self._launcher.bury(attempt.process)
                        return status
                if time.monotonic() > deadline:
                    attempt.process.send_signal(signal.SIGKILL)
                select.select(self._launcher.waited_for(), (), (), _SOON_S)
        except LauncherDied:
            self._drop_launcher()
        return None

    def _hold_to_bounds(self, attempt: Attempt) -> None:
        if self._limit is not None and self._state == "computing" and attempt.seconds > self._limit * 60:
            attempt.kill(TrialOutcome(status="failed", kind="timeout", error="The trial was not done in "
                                      f"{self._limit:g} minutes (`trial_minutes`)."))

    def _count_time(self) -> None:
        now = time.monotonic()
        if self._attempt is not None and self._state in ("resting", "asking", "judged"):
            self._attempt.stood_still += now - self._looked
        self._looked = now

    def _change_quiet(self, wanted: bool) -> None:
        self._count_time()
        if wanted:
            self._quiet.rest()
            self._state = "asking"
        else:
            self._quiet.leave()
            self._go_on_or_rest()

    def _keep_the_quiet(self) -> None:
        """Stands still where another wants to measure, and goes on where nobody does."""
        if self._state == "asking" and self._quiet.take():
            self._state, self._measures_since = "measuring", time.monotonic()
            self._send({"quiet": True})
        elif self._state == "measuring" and time.monotonic() > self._measures_since + _LONGEST_MEASURE_S:
            self._quiet.leave()
            self._go_on_or_rest()
        elif self._state == "resting" and self._quiet.compute():
            self._state = "computing"
            self._signal(signal.SIGCONT)
        elif self._state == "computing" and self._quiet.wanted():
            self._rest()

    def _go_on_or_rest(self) -> None:
        if self._quiet.compute():
            self._state = "computing"
        else:
            self._rest()

    def _rest(self) -> None:
        self._signal(signal.SIGSTOP)
        time.sleep(_SOON_S)  # it takes effect thread by thread
        self._quiet.rest()
        self._state = "resting"

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._attempt is not None:
            with contextlib.suppress(OSError):  # it has died meanwhile, which is told in its turn
                self._attempt.process.channel.send(message)

    def _signal(self, number: signal.Signals) -> None:
        if self._attempt is not None:
            self._attempt.process.send_signal(number)

    def _drop_launcher(self) -> None:
        if self._launcher is not None:
            self._launcher.close()
        self._launcher = None
