"""The engine of several machines with nothing but KerasTuner: a chief with the study, and a worker on every host."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_tuner.src import protos

from tuning.errors import EngineError
from tuning.executors.keras_tuner_desk import Desk
from tuning.executors.keras_tuner_environment import Address, MeetingPlace, chief_problems, refusal, versions
from tuning.executors.keras_tuner_oracle import OracleService
from tuning.executors.keras_tuner_roster import Roster
from tuning.executors.keras_tuner_service import Calls, JsonHandler, Refused, start_server
from tuning.executors.launching import environment, in_words
from tuning.executors.starting import RUNNER
from tuning.executors.stop_signals import StopSignals
from tuning.study.study import Study
from tuning.trial import EpochReport, TrialOutcome
from zoo.errors import ArgumentError

_TICK_S = 0.2
_FAREWELL_S = 15.0  # workers that live have so long to end their trials when the search is over
_OWN = "own-"  # in front of the name of this host's own worker
_DEATHS = 3  # so many own workers may die one after the other before anything comes of one


class KerasTunerEngine:
    """Runs trials on workers of several hosts that share a folder.

    This host is the chief, and works itself unless `local` is False. On every other host one command joins:
    `zoo tune worker HOST:PORT FOLDER`. A script with a plain KerasTuner tuner joins as KerasTuner has it, with
    KERASTUNER_ORACLE_IP, KERASTUNER_ORACLE_PORT and KERASTUNER_TUNER_ID set.

    Args:
        address: HOST:PORT where the chief listens; port 0 takes a free one. None takes what KERASTUNER_ORACLE_IP and
            KERASTUNER_ORACLE_PORT say, or else this machine alone (127.0.0.1).
        jobs: How many trials run at once on this host; None lets it choose.
        memory_bytes: The most memory that a trial of this host may take, in bytes; None for no bound.
        local: Whether this host works as well.
        patience_s: Seconds without a sign of a worker after which it counts as dead and its trials go to others.
        alone_s: Seconds that the chief waits for a first or another worker when none lives.
        runner: What runs a program in a trial's process, as "module:function".

    Raises:
        ArgumentError: A number is out of its range.
        EngineError: The address has another form.
    """

    def __init__(self, address: str | None = None, *, jobs: int | None = None, memory_bytes: int | None = None,
                 local: bool = True, patience_s: float = 20.0, alone_s: float = 600.0, runner: str = RUNNER) -> None:
        for name, value in (("jobs", jobs), ("memory_bytes", memory_bytes), ("patience_s", patience_s)):
            if value is not None and value <= 0:
                raise ArgumentError(f"`{name}` must be above 0. Received: {value}")
        self._address = Address.given(address)
        self._options = {"--jobs": jobs, "--memory-bytes": memory_bytes, "--runner": runner}
        self._local = local
        self._patience_s = patience_s
        self._alone_s = alone_s

    def run(self, study: Study) -> None:
        """Runs trials until the study is done or asked to stop; workers of this host end with it.

        Args:
            study: An open study.

        Raises:
            EngineError: The chief cannot listen, the folder cannot be shared, or no worker is left.
            StoreError: There is no room on the disk.
        """
        place = MeetingPlace(study.folder)
        problems = chief_problems(self._address, place)
        if problems:
            raise refusal("The chief of a search by KerasTuner's workers cannot begin here", problems)
        with StopSignals() as signals:
            _Chief(study, place, self._patience_s, self._alone_s).run(
                self._address, signals, self._options if self._local else None)


class _Chief:
    """One run of the engine."""

    def __init__(self, study: Study, place: MeetingPlace, patience_s: float, alone_s: float) -> None:
        self._study = study
        self._place = place
        self._token = place.prepare()
        self._roster = Roster(place, patience_s)
        self._desk = Desk(study, self._roster)
        self._calls = Calls()
        self._oracle = OracleService(self._calls, self._desk, study)
        self._patience_s = patience_s
        self._alone_s = alone_s
        self._known: set[str] = set()
        self._own: subprocess.Popen[bytes] | None = None
        self._deaths = 0
        self._alone_since = time.monotonic()

    def run(self, address: Address, signals: StopSignals, own: dict[str, Any] | None) -> None:
        for worker in self._place.read_beats():
            if worker.startswith(_OWN):  # of an earlier chief, with which it died
                self._roster.strike(worker)
        with self._listening(address) as bound:
            self._study.remark(f"the chief listens at {bound}; on another host that sees {self._place.folder.path}: "
                               f"zoo tune worker {_reachable(bound)} {self._place.folder.path}")
            try:
                while not (self._study.done or self._study.stopping):
                    if signals.asked:
                        self._study.request_stop()
                        break
                    if own is not None:
                        self._tend_own(bound, own)
                    self._calls.serve(_TICK_S)
                    self._look_after()
                self._part()
            finally:
                self._end_own()

    @contextmanager
    def _listening(self, address: Address) -> Iterator[Address]:
        names = {"hello": self._hello, "beat": self._state, "ask": self._ask, "report": self._report,
                 "tell": self._tell, "remark": self._remark, "bye": self._bye}
        server, bound = start_server(
            address, [JsonHandler(self._calls, self._token, names)],
            lambda made: protos.get_service_grpc().add_OracleServicer_to_server(self._oracle, made))
        try:
            yield bound
        finally:
            self._calls.close()
            server.stop(0.5).wait()

    # === What workers of this package say ===

    def _hello(self, request: dict[str, Any]) -> dict[str, Any]:
        worker, nonce = _read(request, "worker", str), request.get("nonce")
        beat = self._place.read_beats().get(worker, {})
        accepted = request.get("token") == self._token
        if accepted and request.get("joins"):
            self._roster.look()
            self._known.add(worker)
            self._study.remark(f"the worker {worker} has joined")
        return {"sees": nonce is not None and beat.get("nonce") == nonce, "accepted": accepted, "versions": versions(),
                "config": self._study.program, **self._state(request)}

    def _state(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"done": self._study.done, "stopping": self._study.stopping}

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        worker, running = _read(request, "worker", str), _read(request, "running", list)
        self._known.add(worker)
        task = None if self._study.stopping else self._desk.ask(worker, running)
        return {"task": None if task is None else task.to_dict(), **self._state(request)}

    def _report(self, request: dict[str, Any]) -> dict[str, Any]:
        worker, trial = _read(request, "worker", str), _read(request, "trial", str)
        values = _read(request, "report", dict)
        try:
            report = EpochReport(**values)
        except TypeError as error:
            raise Refused(f"No report of an epoch: {error}") from error
        self._deaths = 0
        return {"go": self._desk.report(worker, trial, report), **self._state(request)}

    def _tell(self, request: dict[str, Any]) -> dict[str, Any]:
        worker, trial = _read(request, "worker", str), _read(request, "trial", str)
        values = _read(request, "outcome", dict)
        try:
            outcome = TrialOutcome.from_dict(values)
        except (TypeError, ArgumentError) as error:
            raise Refused(f"No outcome of a trial: {error}") from error
        self._deaths = 0
        self._desk.tell(worker, trial, outcome)
        return self._state(request)

    def _remark(self, request: dict[str, Any]) -> dict[str, Any]:
        self._study.remark(f"{_read(request, 'worker', str)}: {_read(request, 'text', str)}", request.get("trial", ""))
        return self._state(request)

    def _bye(self, request: dict[str, Any]) -> dict[str, Any]:
        worker = _read(request, "worker", str)
        self._known.discard(worker)
        self._roster.strike(worker)
        if self._desk.trials_of(worker):
            self._desk.lose(worker, "it left")
        return self._state(request)

    # === Who lives ===

    def _look_after(self) -> None:
        self._roster.look()
        for worker in [name for name in self._known if not self._roster.lives(name)]:
            self._known.discard(worker)
            self._desk.lose(worker, f"it gave no sign for {self._patience_s:g} seconds")
        if (minutes := self._study.config.trial_minutes) is not None:
            # Workers of this package keep to it themselves; a script of the user's may hang, or be gone.
            for worker, trial in self._desk.overdue(minutes):
                if worker not in self._known:
                    self._desk.tell(worker, trial, TrialOutcome(
                        status="failed", kind="timeout", error=f"The worker {worker} was not done in {minutes:g} "
                                                               "minutes (`trial_minutes`)."))
        now = time.monotonic()
        if self._known or self._desk.busy:
            self._alone_since = now
        elif now > self._alone_since + self._alone_s:
            raise EngineError(f"No worker has lived for {self._alone_s:g} seconds. What is finished is kept: run the "
                              "same command again, with workers.")

    def _tend_own(self, bound: Address, options: dict[str, Any]) -> None:
        """Keeps this host's own worker running."""
        if self._own is not None:
            status = self._own.poll()
            if status is None:
                return
            name = self._own_name
            self._end_own()
            self._known.discard(name)
            self._roster.strike(name)
            self._desk.lose(name, f"its process {in_words(status)}")
            self._deaths += 1
            if self._deaths > _DEATHS:
                raise EngineError(f"The worker of this host died {self._deaths} times, and no trial got anywhere. "
                                  f"What it printed is in {self._log}.")
        self._own = self._start_own(bound, options)

    @property
    def _own_name(self) -> str:
        return "" if self._own is None else f"{_OWN}{self._own.pid}"

    @property
    def _log(self) -> Path:
        return self._place.path / "own-worker.log"

    def _start_own(self, bound: Address, options: dict[str, Any]) -> subprocess.Popen[bytes]:
        given = [text for name, value in options.items() if value is not None for text in (name, str(value))]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tuning.executors.keras_tuner_worker", _reachable(bound, own=True),
                 str(self._place.folder.path), "--own", "--patience", str(self._patience_s), *given],
                stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=environment(), start_new_session=True)

    def _end_own(self) -> None:
        if self._own is None:
            return
        if self._own.stdin is not None:
            self._own.stdin.close()  # which its end of the pipe takes as the chief's death
        try:
            self._own.wait(5.0)
        except subprocess.TimeoutExpired:
            self._own.kill()
            self._own.wait()

    def _part(self) -> None:
        """Lets workers see that the search is over, and take leave; KerasTuner's would wait an hour for a chief."""
        end = time.monotonic() + _FAREWELL_S
        while (self._known or self._oracle.unaware) and time.monotonic() < end:
            self._calls.serve(_TICK_S)
            self._roster.look()
            self._known = {worker for worker in self._known if self._roster.lives(worker)}


def _reachable(bound: Address, *, own: bool = False) -> str:
    host = bound.host.strip("[]")
    if host in ("0.0.0.0", "::"):
        return str(dataclasses.replace(bound, host="127.0.0.1" if own else socket.gethostname()))
    return str(bound)


def _read(request: dict[str, Any], name: str, kind: type) -> Any:
    value = request.get(name)
    if not isinstance(value, kind):
        raise Refused(f"A request needs {name!r} as {kind.__name__}.")
    return value
