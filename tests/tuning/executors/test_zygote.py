"""The zygote with TensorFlow in it: nothing has run before the fork, and what is forked trains as others do."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.tuning.executors.errand_search import REPOSITORY, wait_for
from tuning.config import SearchConfig
from tuning.executors.local import LocalEngine
from tuning.folder import SearchFolder
from tuning.oracles.protocol import Exhausted, Proposal, Waiting
from tuning.spaces.dimension import Dimension
from tuning.spaces.space import SearchSpace
from tuning.study.study import Study
from tuning.trial import Trial
from zoo.data_source import DataSource

RATES = (0.01, 0.003)


class Rates:
    """Proposes two learning rates."""

    def __init__(self, config: SearchConfig, folder: SearchFolder, declared: object) -> None:
        self._proposed = 0

    def next(self) -> Proposal | Waiting | Exhausted:
        if self._proposed == len(RATES):
            return Exhausted()
        self._proposed += 1
        return Proposal(trial=f"{self._proposed - 1:04d}", values={"learning_rate": RATES[self._proposed - 1]},
                        until_epoch=2)

    def ended(self, trial: Trial, trials: Mapping[str, Trial]) -> None:
        """A rate does not depend on how the other went."""

    def restore(self, trials: Sequence[Trial]) -> None:
        self._proposed = len(trials)

    def save(self, *, force: bool = False) -> None:
        """Nothing needs to be kept."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Points above and below a line."""
    path = tmp_path_factory.mktemp("data") / "points.csv"
    numbers = random.Random(0)
    with path.open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["x", "y", "label"])
        for _ in range(128):
            x, y = numbers.random(), numbers.random()
            writer.writerow([x, y, "above" if y > x else "below"])
    return path


def search(folder: Path, table: Path, *, trials: int, jobs: int, fork: bool) -> dict[str, Any]:
    space = SearchSpace((Dimension(name="learning_rate", choices=RATES, target="training"),))
    config = SearchConfig(model="mlp_binary", data=DataSource(path=str(table), target=("label",)),
                          space=space.to_dict(), trials=trials, epochs=2, retries=0)
    with Study.open(SearchFolder.at(folder), config, driver=Rates) as study:
        LocalEngine(jobs, fork=fork).run(study)
        assert {trial.status for trial in study.trials.values()} == {"completed"}, study.trials
        return {trial.id: [dict(report.values) for report in trial.history] for trial in study.trials.values()}


def test_forked_trials_learn_what_fresh_ones_learn(tmp_path: Path, table: Path) -> None:
    """Of two trials at once in forked processes each is saved, and has every number that it has in a fresh process."""
    forked = search(tmp_path / "forked", table, trials=2, jobs=2, fork=True)
    assert sorted(forked) == ["0000", "0001"]
    assert forked["0000"] != forked["0001"]
    assert all((tmp_path / "forked" / f"trial_{trial}" / "execution0" / "bundle.json").exists() for trial in forked)
    fresh = search(tmp_path / "fresh", table, trials=1, jobs=2, fork=False)
    assert len(fresh["0000"]) == 2
    assert forked["0000"] == fresh["0000"]


LOOK = """
import json, os, random, threading
from tuning.executors.starting import RUNNER, WARMED
from tuning.executors.trial_process import settle_libraries, take_share
from tuning.executors.zygote import warm_up
warm_up(RUNNER, WARMED)
from tensorflow.python.eager import context
before = [context.context()._initialized, threading.active_count()]
core = min(os.sched_getaffinity(0))
take_share({"cores": [core], "threads": 1, "gpu": ""})
settle_libraries(1, seed=3)
import numpy, tensorflow
options = tensorflow.config.threading
print(json.dumps([*before, os.sched_getaffinity(0) == {core}, options.get_intra_op_parallelism_threads(),
                  options.get_inter_op_parallelism_threads(), os.environ["OMP_NUM_THREADS"],
                  random.random() == random.Random(3).random(),
                  numpy.random.random() == numpy.random.RandomState(3).random()]))
"""


def test_warming_up_runs_nothing() -> None:
    """After all imports TensorFlow has not begun and there is one thread; a share then binds cores and threads."""
    run = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True, timeout=120,
                         cwd=REPOSITORY)
    assert json.loads(run.stdout.splitlines()[-1]) == [False, 1, True, 1, 2, "1", True, True]


def test_a_zygote_ends_with_its_engine() -> None:
    """It ends when the process that began it does, even where another process holds the socket open."""
    begin = ("import subprocess, time; from tuning.executors.forking import ZygoteLauncher; "
             "from tests.tuning.executors.errand_search import RUNNER, wait_for; "
             "launcher = ZygoteLauncher(RUNNER); wait_for(lambda: launcher.ready); "
             "launcher._control.set_inheritable(True); "
             "held = subprocess.Popen(['sleep', '20'], close_fds=False, stdout=subprocess.DEVNULL); "
             "print(launcher.pid, held.pid, flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", begin], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as engine:
        assert engine.stdout is not None
        zygote, held = map(int, engine.stdout.readline().split())
        try:
            engine.kill()
            engine.wait()
            wait_for(lambda: not Path(f"/proc/{zygote}").exists(), 5)
            assert Path(f"/proc/{held}").exists()
        finally:
            os.kill(held, 9)
