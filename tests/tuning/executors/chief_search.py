"""A search of errands with a chief, and workers in processes of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.tuning.executors.errand_search import REPOSITORY, RUNNER, Errands, config_of
from tuning.executors.keras_tuner_chief import KerasTunerEngine
from tuning.folder import SearchFolder
from tuning.study.events import Event, Remark
from tuning.study.state import SearchView, read_search
from tuning.study.study import Study

JOINING = re.compile(r"zoo tune worker (\S+) ")


class Workers:
    """Processes of `keras_tuner_worker` that belong to a test.

    Args:
        folder: The search's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def start(self, address: str, *options: str, folder: Path | None = None) -> subprocess.Popen[str]:
        self.processes.append(subprocess.Popen(
            [sys.executable, "-m", "tuning.executors.keras_tuner_worker", address, str(folder or self.folder),
             "--jobs", "1", "--runner", RUNNER, *options],
            cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True))
        return self.processes[-1]


def run_chief(folder: Path, errands: Sequence[str], listener: Callable[[Study, Event], None], *,
              engine: dict[str, Any] | None = None, **options: Any) -> SearchView:
    """Runs a chief here; the listener hears every event, and begins and ends workers as it likes."""
    config = config_of(errands, **options)
    opened: list[Study] = []
    with Study.open(SearchFolder.at(folder), config, driver=Errands,
                    listener=lambda event: listener(opened[0], event) if opened else None) as study:
        opened.append(study)
        KerasTunerEngine(**{"address": "127.0.0.1:0", "runner": RUNNER, "local": False, "patience_s": 4.0,
                            **(engine or {})}).run(study)
    return read_search(SearchFolder.at(folder))


def address_in(event: Event) -> str:
    """The address that a chief says it listens at, or ""."""
    found = JOINING.search(event.text) if isinstance(event, Remark) else None
    return found[1] if found else ""


def main() -> None:
    """Runs a chief: FOLDER ADDRESS ERRANDS."""
    folder, address, errands = sys.argv[1:]
    with Study.open(SearchFolder.at(folder), config_of(json.loads(errands), retries=1), driver=Errands) as study:
        KerasTunerEngine(address, local=False, runner=RUNNER, patience_s=4.0).run(study)


if __name__ == "__main__":
    main()
