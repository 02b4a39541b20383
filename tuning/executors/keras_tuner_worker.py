"""One host's part in a search: it asks the chief for trials and runs them as the local engine does.

    zoo tune worker HOST:PORT FOLDER        or: python -m tuning.executors.keras_tuner_worker HOST:PORT FOLDER
"""

from __future__ import annotations

import argparse
import math
import os
import re
import select
import socket
import sys
import threading
from collections.abc import Callable
from typing import cast

from tuning.errors import SearchError
from tuning.executors.cores import shares
from tuning.executors.keras_tuner_environment import Address, MeetingPlace
from tuning.executors.keras_tuner_study import RemoteStudy
from tuning.executors.starting import RUNNER, make_launcher
from tuning.executors.stop_signals import StopSignals
from tuning.executors.trial_loop import TrialLoop
from tuning.folder import SearchFolder
from tuning.study.study import Study


def run_worker(address: str, folder: str | os.PathLike[str], *, name: str = "", jobs: int | None = None,
               memory_bytes: int | None = None, patience_s: float = 20.0, fork: bool | None = None,
               runner: str = RUNNER, say: Callable[[str], None] = print) -> bool:
    """Runs trials for a chief until its search is over, or this worker is told to stop (Ctrl-C).

    Args:
        address: HOST:PORT of the chief.
        folder: The search's folder, as this host sees it.
        name: What the worker is called in the search's remarks; made from host and process if left out.
        jobs: How many trials run at once; None chooses.
        memory_bytes: The most memory of a trial, in bytes; None for no bound.
        patience_s: Seconds for which a chief that does not answer is waited for, thrice over.
        fork: Whether trials are forked from one process that has imported everything; None where that is safe.
        runner: What runs a program in a trial's process, as "module:function".
        say: Is told a line when the worker has joined.

    Returns:
        Whether the search is over, as opposed to this worker having been told to stop.

    Raises:
        EngineError: Something of the environment is wrong, all of which the message names; or the chief is gone.
        StoreError: There is no room on the disk.
    """
    place = MeetingPlace(SearchFolder.at(folder))
    study = RemoteStudy.join(Address.parse(address), place, name or _own_name(), patience_s)
    try:
        with StopSignals() as signals, study.beating():
            share = shares(jobs)
            say(f"{study.name} has joined the search in {place.folder.path}: {len(share)} trials at once")
            TrialLoop(cast(Study, study), share, lambda: make_launcher(runner, fork=fork), signals, memory_bytes,
                      patience_s=math.inf).run()
    finally:
        study.leave()
    return study.over


def _own_name() -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", f"{socket.gethostname()}-{os.getpid()}")


def main(arguments: list[str] | None = None) -> int:
    """Runs a worker from the command line.

    Args:
        arguments: Those after the program's name; None takes the process's.

    Returns:
        0 if the search is over, 1 if it could not be worked on, 2 if this worker was told to stop.
    """
    parser = argparse.ArgumentParser(prog="zoo tune worker", description="Runs trials for the chief of a search.")
    parser.add_argument("address", help="HOST:PORT of the chief")
    parser.add_argument("folder", help="the search's folder, as this host sees it")
    parser.add_argument("--name", default="", help="what the worker is called")
    parser.add_argument("--jobs", type=int, help="trials at once")
    parser.add_argument("--memory-bytes", type=int, help="the most memory of a trial")
    parser.add_argument("--patience", type=float, default=20.0, help="seconds that a sign may take")
    parser.add_argument("--runner", default=RUNNER, help=argparse.SUPPRESS)
    parser.add_argument("--own", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.own:
        _end_with_chief()
    try:
        over = run_worker(given.address, given.folder, name=f"own-{os.getpid()}" if given.own else given.name,
                          jobs=given.jobs, memory_bytes=given.memory_bytes, patience_s=given.patience,
                          runner=given.runner)
    except SearchError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0 if over else 2


def _end_with_chief() -> None:
    """Ends this process with the chief that began it, whose end of the standard input closes then."""
    def watch() -> None:
        select.select([sys.stdin], (), ())
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
