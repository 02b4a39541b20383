"""The loop of the local engine: it fills free places with trials, answers them, and reads how they end."""

from __future__ import annotations

import contextlib
import dataclasses
import select
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from tuning.errors import EngineError, StoreError
from tuning.executors.attempts import Attempt, interrupted
from tuning.executors.container import killed_for_memory
from tuning.executors.cores import Share
from tuning.executors.launching import Launcher, LauncherDied
from tuning.executors.memory import memory_of
from tuning.executors.quiet import QuietRoom
from tuning.executors.stop_signals import StopSignals
from tuning.study.study import Study
from tuning.trial import EpochReport, TrialOutcome, TrialTask

_TICK_S = 0.1  # how soon too much memory, too much time and a request to stop are seen
_SOON_S = 0.005
_LINGER_S = 10.0  # a process that has nothing left to do has this long to end
_PATIENCE_S = 30.0
_DEATHS = 3  # so many launchers may die one after the other before anything comes of one


class TrialLoop:
    """Runs the trials of a study until it is done or stopping.

    Args:
        study: The study.
        shares: A share of the machine for each trial that runs at once.
        launch: Makes what begins processes.
        signals: Ctrl-C and its like.
        memory_bytes: The most memory that a trial may take; None for no bound.
        patience_s: Seconds that a study which has nothing to do, and is not done, has to think better of it.
    """

    def __init__(self, study: Study, shares: tuple[Share, ...], launch: Callable[[], Launcher], signals: StopSignals,
                 memory_bytes: int | None, *, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._study = study
        self._shares = list(shares)
        self._launch = launch
        self._launcher = launch()
        self._signals = signals
        self._memory_bytes = memory_bytes
        self._attempts: dict[str, Attempt] = {}
        self._quiet = QuietRoom(lambda: [attempt.process for attempt in self._attempts.values()])
        self._begun = 0
        self._deaths = 0
        self._trouble = ""
        self._looked = time.monotonic()
        self._idle_since: float | None = None

    def run(self) -> None:
        """Runs trials until nothing is left to do; then no process is left either.

        Raises:
            EngineError: Trials cannot be run at all.
            StoreError: There is no room on the disk.
        """
        try:
            while True:
                self._stop_if_asked()
                if not self._attempts and (self._study.stopping or self._study.done):
                    break
                try:
                    self._fill()
                    self._wait()
                    self._hear_trials()
                    for key, status in self._launcher.ended():
                        self._end(self._attempts[key], status)
                except LauncherDied as death:
                    self._start_again(death)
                self._look_after()
        finally:
            for attempt in self._attempts.values():
                attempt.process.send_signal(signal.SIGKILL)
                attempt.process.channel.close()
            self._launcher.close()
        if self._trouble:
            raise StoreError(f"{self._trouble} Nothing that was saved is lost: mend that and run the same command "
                             "again.")

    def _stop_if_asked(self) -> None:
        if self._signals.asked and not self._study.stopping:
            self._study.request_stop()
        if self._study.stopping:
            for attempt in self._attempts.values():
                attempt.kill(interrupted("The search was asked to stop."))

    def _fill(self) -> None:
        while (len(self._attempts) < len(self._shares) and self._launcher.ready and self._quiet.holder is None
               and not self._study.stopping):
            task = self._study.ask()
            if task is None:
                self._be_patient()
                return
            self._idle_since = None
            self._begin(task)

    def _be_patient(self) -> None:
        """Waits for a study that waits, but not for ever where nothing runs that it could wait for."""
        now = time.monotonic()
        if self._attempts or self._study.done:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now > self._idle_since + self._patience_s:
            raise EngineError("The search proposes no trial although none is running and it is not done. Its folder "
                              "may be from another version; please report this with its journal.")

    def _begin(self, task: TrialTask) -> None:
        taken = [attempt.share for attempt in self._attempts.values()]
        share = next(share for share in self._shares if not any(share is other for other in taken))
        log = self._study.folder.log(task.trial)
        self._begun += 1
        order = {"task": task.to_dict(), "program": dict(self._study.program), "folder": str(self._study.folder.path),
                 "share": dataclasses.asdict(share)}
        with self._open_log(task.trial, log) as file:
            log_begun = file.tell()  # the process may have written before anybody could ask afterwards
            try:
                process = self._launcher.start(f"{task.trial}/{self._begun}", order, file)
            except LauncherDied as death:
                self._study.tell(task.trial, interrupted(str(death)))
                raise
            except EngineError as error:
                self._study.tell(task.trial, interrupted(str(error)))
                if not self._attempts:
                    raise
                self._shares.remove(share)
                self._study.remark(f"{error} From now on {len(self._shares)} trials run at once.")
                return
            self._attempts[process.key] = Attempt(task=task, process=process, share=share, log=log,
                                                  log_begun=log_begun, memory_kills=killed_for_memory())

    def _open_log(self, trial: str, log: Path) -> IO[bytes]:
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            return log.open("ab")
        except OSError as error:
            self._study.tell(trial, interrupted(str(error)))
            raise StoreError(f"{log} cannot be written: {error}. Nothing that was saved is lost: mend that and run "
                             "the same command again.") from error

    def _wait(self) -> None:
        poll = select.poll()
        for descriptor in (self._signals.fileno(), *self._launcher.waited_for()):
            poll.register(descriptor, select.POLLIN)
        for attempt in self._attempts.values():
            if not attempt.closed:
                poll.register(attempt.process.channel.fileno(), select.POLLIN)
        ending = any(attempt.closed for attempt in self._attempts.values())
        poll.poll((_SOON_S if ending else _TICK_S) * 1000)
        self._signals.clear()

    def _hear_trials(self) -> None:
        for attempt in list(self._attempts.values()):
            self._hear(attempt)

    def _hear(self, attempt: Attempt) -> None:
        if attempt.closed:
            return
        messages, attempt.closed = attempt.process.channel.arrived()
        for message in messages:
            self._answer(attempt, message)
        if attempt.closed and attempt.over_since is None:
            attempt.over_since = time.monotonic()

    def _answer(self, attempt: Attempt, message: Mapping[str, Any]) -> None:
        process = attempt.process
        if "report" in message:
            go = self._study.report(attempt.task.trial, EpochReport(**message["report"]))
            self._deaths = 0
            with contextlib.suppress(OSError):  # it has died meanwhile, which is told in its turn
                process.channel.send({"go": go})
        elif "quiet" in message:
            (self._quiet.ask if message["quiet"] else self._quiet.leave)(process)
        elif "outcome" in message:
            attempt.outcome = TrialOutcome.from_dict(message["outcome"])
            attempt.over_since = time.monotonic()

    def _end(self, attempt: Attempt, status: int | None) -> None:
        self._hear(attempt)
        del self._attempts[attempt.process.key]
        self._quiet.leave(attempt.process)
        self._launcher.bury(attempt.process)
        attempt.process.channel.close()
        outcome = attempt.ended(status, killed_for_memory())
        if outcome.status != "interrupted":
            self._deaths = 0
        elif attempt.outcome is not None and not self._study.stopping:  # a full disk, say: all others would follow
            self._trouble = f"Trial {attempt.task.trial} could not go on: {outcome.error}"
            self._study.request_stop()
        self._study.tell(attempt.task.trial, outcome)

    def _look_after(self) -> None:
        now = time.monotonic()
        for attempt in self._attempts.values():
            if self._quiet.stands_still(attempt.process):
                attempt.stood_still += now - self._looked
            elif attempt.over_since is not None:
                if now > attempt.over_since + _LINGER_S:
                    attempt.kill(TrialOutcome(status="failed", kind="crash", error="The trial's process did not end "
                                              "although it had nothing left to do."))
            else:
                self._hold_to_bounds(attempt)
        self._looked = now
        self._quiet.look()

    def _hold_to_bounds(self, attempt: Attempt) -> None:
        minutes = self._study.config.trial_minutes
        if minutes is not None and attempt.seconds > minutes * 60:
            attempt.kill(TrialOutcome(status="failed", kind="timeout", error=f"The trial was not done in {minutes:g} "
                                      "minutes (`trial_minutes`)."))
        if self._memory_bytes is not None and (taken := memory_of(attempt.process.pid)) > self._memory_bytes:
            attempt.kill(TrialOutcome(status="failed", kind="memory", error=f"The trial took {taken / 1e9:.2f} GB of "
                                      f"memory; at most {self._memory_bytes / 1e9:.2f} GB are allowed."))

    def _start_again(self, death: LauncherDied) -> None:
        """Begins another launcher; the processes of the one that died are gone with it."""
        self._deaths += 1
        self._quiet.open()
        for attempt in list(self._attempts.values()):
            attempt.process.send_signal(signal.SIGKILL)
            if attempt.outcome is None and attempt.doom is None:
                attempt.doom = interrupted(str(death))
            self._end(attempt, None)
        self._launcher.close()
        if self._deaths > _DEATHS:
            raise EngineError(f"{death} So did the {_DEATHS} before it, and no trial got anywhere. Is there enough "
                              "memory? Processes that do not share anything may do: run with `fork=False`.")
        self._study.remark(f"{death} Its trials begin again from their last epochs.")
        self._launcher = self._launch()


