"""A search whose trials are the errands of a list, and the command that runs it: `python -m ... FOLDER JOBS ...`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning.config import SearchConfig
from tuning.executors.local import LocalEngine
from tuning.folder import SearchFolder
from tuning.oracles.protocol import Exhausted, Proposal, Waiting
from tuning.study.study import Study
from tuning.trial import Trial

RUNNER = "tests.tuning.executors.errands:run"
REPOSITORY = Path(__file__).resolve().parents[3]


class Errands:
    """Proposes the errands in their order."""

    def __init__(self, config: SearchConfig, folder: SearchFolder, declared: object) -> None:
        self._errands = config.build["errands"]
        self._epochs = config.epochs
        self._proposed = 0

    def next(self) -> Proposal | Waiting | Exhausted:
        if self._proposed == len(self._errands):
            return Exhausted()
        self._proposed += 1
        return Proposal(trial=f"{self._proposed - 1:04d}", values={"errand": self._errands[self._proposed - 1]},
                        until_epoch=self._epochs)

    def ended(self, trial: Trial, trials: Mapping[str, Trial]) -> None:
        """Errands do not depend on how others went."""

    def restore(self, trials: Sequence[Trial]) -> None:
        self._proposed = len(trials)

    def save(self, *, force: bool = False) -> None:
        """Nothing needs to be kept."""


def config_of(errands: Sequence[str], **options: Any) -> SearchConfig:
    return SearchConfig(**{"hypermodel": "errands.py:run", "build": {"errands": list(errands)}, "trials": None,
                           "minutes": 60, "epochs": 3, "retries": 0} | options)


@contextlib.contextmanager
def study_of(folder: Path, errands: Sequence[str], **options: Any) -> Iterator[Study]:
    with Study.open(SearchFolder.at(folder), config_of(errands, **options), driver=Errands) as study:
        yield study


def run_errands(folder: Path, errands: Sequence[str], *, jobs: int = 1, memory_bytes: int | None = None,
                fork: bool | None = None, **options: Any) -> list[Trial]:
    """Runs a search of these errands here and returns its trials in order."""
    with study_of(folder, errands, **options) as study:
        LocalEngine(jobs, memory_bytes, fork=fork, runner=RUNNER).run(study)
        return [study.trials[name] for name in sorted(study.trials)]


@contextlib.contextmanager
def hearing_hang_ups() -> Iterator[None]:
    """What is started inside hears SIGHUP, even where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


class Command:
    """The same in a process of its own."""

    def __init__(self, folder: Path, errands: Sequence[str], *, jobs: int = 2, **options: Any) -> None:
        self.folder = SearchFolder.at(folder)
        with hearing_hang_ups():
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.tuning.executors.errand_search", str(folder), str(jobs),
                 json.dumps(list(errands)), json.dumps(options)], cwd=REPOSITORY, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, start_new_session=True)

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def finish(self) -> list[dict[str, Any]]:
        """Waits for the end and returns the trials."""
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err
        answer: list[dict[str, Any]] = json.loads(out)
        return answer

    def refused(self) -> str:
        """Waits for the end, which must be an error, and returns its text."""
        _, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 1, err
        return err

    def pid_of(self, trial: str) -> int:
        """Waits until a trial has begun and returns its last process."""
        attempts = self.folder.trial(trial) / "attempts"
        wait_for(lambda: attempts.exists() and attempts.read_text().endswith("\n"))
        return int(attempts.read_text().splitlines()[-1].split()[0])

    def zygote(self) -> int:
        """The process that trials are forked from."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        wait_for(lambda: children.read_text().strip())
        return int(children.read_text().split()[0])


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie that merely waits for its parent's attention."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def children() -> set[int]:
    """The processes that this thread has begun and that are not gone, the dead that nobody waited for included."""
    return set(map(int, Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()))


def main() -> int:
    folder, jobs, errands, options = sys.argv[1:]
    try:
        trials = run_errands(Path(folder), json.loads(errands), jobs=int(jobs), **json.loads(options))
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps([{"id": trial.id, "status": trial.status, "attempts": trial.attempts, "kind": trial.kind,
                       "epochs": [report.epoch for report in trial.history]} for trial in trials]))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.exit(main())
