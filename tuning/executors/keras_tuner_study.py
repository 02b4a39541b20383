"""A chief's study as a worker sees it: the same calls as `Study`, over the network, and patient with it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import grpc

from tuning.config import SearchConfig
from tuning.errors import EngineError
from tuning.executors.keras_tuner_environment import (
    Address,
    MeetingPlace,
    different_versions,
    refusal,
    worker_problems,
)
from tuning.executors.keras_tuner_service import SERVICE
from tuning.folder import SearchFolder
from tuning.trial import EpochReport, TrialOutcome, TrialTask

_BEAT_S = 2.0
_CALL_S = 20.0
_FIRST_S = 5.0
_AGAIN_S = 0.5


class RemoteStudy:
    """What a `TrialLoop` asks of a study, answered by the chief. Made by `join`.

    Args:
        channel: To the chief.
        place: Where workers write their files.
        name: This worker's.
        token: What the chief knows it by.
        config: The search.
        patience_s: How long the chief may go without a sign of this worker.
    """

    def __init__(self, channel: Any, place: MeetingPlace, name: str, token: str, config: SearchConfig,
                 patience_s: float) -> None:
        self.name = name
        self.config = config
        self._channel = channel
        self._place = place
        self._token = token
        self._patience_s = patience_s
        self._trials: set[str] = set()
        self._over = self._is_stopping = self._leaving = False
        self._count = 0
        self._asked_at = 0.0
        self._lock = threading.Lock()

    @classmethod
    def join(cls, address: Address, place: MeetingPlace, name: str, patience_s: float) -> Self:
        """Looks at everything that a worker needs, and joins.

        Args:
            address: The chief's.
            place: Where workers write their files.
            name: This worker's.
            patience_s: How long the chief may go without a sign of this worker.

        Raises:
            EngineError: Something is wrong; the message names all of it.
        """
        problems = worker_problems(place, name)
        nonce = secrets.token_hex(8)
        with contextlib.suppress(OSError):
            place.write_beat(name, {"nonce": nonce})
        token = ""
        with contextlib.suppress(OSError):
            token = place.token.read_text().strip()
        channel = grpc.insecure_channel(str(address))
        hello = {"worker": name, "nonce": nonce, "token": token}
        answer = _try(channel, "hello", hello, _FIRST_S)
        if answer is None:
            problems.append(f"no chief answers at {address}; is the search running there, and the port open?")
        else:
            if not problems and not answer["sees"]:
                problems.append(f"the chief does not see the files that this host writes into {place.path}: its folder "
                                "is another one")
            elif not problems and not answer["accepted"]:
                problems.append(f"{place.token} is not the token of the chief at {address}: it works on another search")
            problems += different_versions(answer["versions"])
        if answer is None or problems:
            channel.close()
            with contextlib.suppress(OSError):
                place.beat(name).unlink(missing_ok=True)
            raise refusal(f"The worker cannot join the search of the chief at {address}", problems)
        study = cls(channel, place, name, token, SearchConfig.from_dict(answer["config"]), patience_s)
        study._beat()
        study._call("hello", joins=True)
        return study

    @property
    def folder(self) -> SearchFolder:
        """The search's folder, as this host sees it."""
        return self._place.folder

    @property
    def program(self) -> dict[str, Any]:
        """What runs in each trial's process."""
        return self.config.to_dict()

    @property
    def over(self) -> bool:
        """Whether the search has ended or been stopped, as opposed to this worker alone."""
        return self._over or self._is_stopping

    @property
    def done(self) -> bool:
        """Whether no trial is left for anybody."""
        return self._over

    @property
    def stopping(self) -> bool:
        """Whether the search, or this worker, was asked to stop."""
        return self._is_stopping or self._leaving

    def request_stop(self) -> None:
        """Lets this worker leave; the search goes on."""
        self._leaving = True

    def ask(self) -> TrialTask | None:
        """Returns a trial to run, or None; a chief that had none is not asked again at once."""
        now = time.monotonic()
        if now < self._asked_at + _AGAIN_S:
            return None
        answer = self._call("ask", running=sorted(self._trials))
        if answer.get("task") is None:
            self._asked_at = time.monotonic()
            return None
        task = TrialTask.from_dict(answer["task"])
        self._trials.add(task.trial)
        self._beat()  # so that a chief that is begun anew knows at once where the trial is
        return task

    def report(self, trial: str, report: EpochReport) -> bool:
        """Tells the measures of an epoch, and returns whether the trial goes on.

        Args:
            trial: The trial.
            report: The measures.
        """
        return bool(self._call("report", trial=trial, report=dataclasses.asdict(report)).get("go", False))

    def tell(self, trial: str, outcome: TrialOutcome) -> None:
        """Tells how a trial ended.

        Args:
            trial: The trial.
            outcome: How.
        """
        self._trials.discard(trial)
        self._call("tell", trial=trial, outcome=outcome.to_dict())

    def remark(self, text: str, trial: str = "") -> None:
        """Notes down something worth knowing.

        Args:
            text: A line.
            trial: The trial that it is about, or "".
        """
        self._call("remark", text=text, trial=trial)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Shows every two seconds that this worker lives, and hears whether the search does."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(min(_BEAT_S, self._patience_s / 4)):
                with contextlib.suppress(OSError):  # a full disk is told by the trial that meets it
                    self._beat()
                with contextlib.suppress(EngineError):  # the next call says so where it is heard
                    self._hear(_try(self._channel, "beat", self._request(), _CALL_S) or {})

        thread = threading.Thread(target=beat, name="beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(timeout=_CALL_S)

    def leave(self) -> None:
        """Takes leave of the chief; its file goes, so that nobody waits for it."""
        with contextlib.suppress(EngineError):
            _try(self._channel, "bye", self._request(), _FIRST_S)
        with contextlib.suppress(OSError):
            self._place.beat(self.name).unlink(missing_ok=True)
        self._channel.close()

    def _beat(self) -> None:
        with self._lock:
            self._count += 1
            self._place.write_beat(self.name, {"beat": self._count, "host": socket.gethostname(), "pid": os.getpid(),
                                               "trials": sorted(self._trials)})

    def _request(self, **fields: Any) -> dict[str, Any]:
        return {"worker": self.name, "token": self._token, **fields}

    def _call(self, method: str, **fields: Any) -> Mapping[str, Any]:
        # A chief that was killed may be begun anew by the same command; until then this worker's trials wait.
        end = time.monotonic() + 3 * self._patience_s
        request = self._request(**fields)
        while True:
            answer = _try(self._channel, method, request, _CALL_S)
            if answer is not None:
                self._hear(answer)
                return answer
            if self.over:
                return {}
            if self._leaving or time.monotonic() > end:
                self._is_stopping = True
                raise EngineError(f"The chief has not answered for {3 * self._patience_s:g} seconds. What its search "
                                  "has finished is kept: begin it again with the same command, and then this worker.")
            time.sleep(_AGAIN_S)

    def _hear(self, answer: Mapping[str, Any]) -> None:
        self._over = self._over or bool(answer.get("done"))
        self._is_stopping = self._is_stopping or bool(answer.get("stopping"))


def _try(channel: Any, method: str, request: Mapping[str, Any], seconds: float) -> dict[str, Any] | None:
    call = channel.unary_unary(f"/{SERVICE}/{method}")
    try:
        answer: dict[str, Any] = json.loads(call(json.dumps(request).encode(), timeout=seconds, wait_for_ready=False))
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAUTHENTICATED:
            raise EngineError("The chief at this address works on another search now. Begin this worker again with "
                              "the right address.") from error
        return None
    except ValueError:
        return None
    return answer
