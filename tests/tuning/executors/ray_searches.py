"""Searches on Ray, in a process of their own: `python -m tests.tuning.executors.ray_searches FOLDER`.

It prints what came of each as JSON. Ray's processes talk over addresses that are closed to the tests' own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from tests.tuning.executors.errand_search import RUNNER, Errands, config_of, is_alive, run_errands, study_of
from tuning.config import SearchConfig
from tuning.errors import EngineError
from tuning.executors.local import LocalEngine
from tuning.executors.ray_cluster import RayEngine
from tuning.folder import SearchFolder
from tuning.spaces.dimension import Dimension
from tuning.spaces.space import SearchSpace
from tuning.study.events import EpochDone, Event
from tuning.study.study import Study

_CURVES = [f"descend {bottom}" for bottom in (0.5, 0.2, 0.7, 0.1, 0.6, 0.4, 0.05, 0.3)]
_STORE_BYTES = 80 * 2**20


def main() -> int:
    place = Path(sys.argv[1])
    found: dict[str, Any] = {"seconds": {}}
    with timed(found, "own cluster"):
        found["oracle"] = oracle_on_both(place)
    with timed(found, "two nodes"):
        cluster = Cluster(initialize_head=True, head_node_args={
            "num_cpus": 1, "include_dashboard": False, "object_store_memory": _STORE_BYTES})
        node = cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)
        ray.init(cluster.address, log_to_driver=False, logging_level="CRITICAL")
    try:
        with timed(found, "ends"):
            found["ends"] = ends(place / "ends")
        with timed(found, "asha"):
            found["asha"] = [judgements(place / "asha_local", LocalEngine(1, runner=RUNNER)),
                             judgements(place / "asha_ray", RayEngine(max_concurrent=1, runner=RUNNER))]
        with timed(found, "quiet"):
            found["quiet"] = quiet(place / "quiet")
        with timed(found, "stop"):
            found["stop"] = stop(place / "stop")
        found["refusals"] = refusals(place / "refusals")
        with timed(found, "loss"):
            found["loss"] = loss(place / "loss", lambda: os.kill(
                node.all_processes["raylet"][0].process.pid, signal.SIGKILL))
    finally:
        ray.shutdown()
        cluster.shutdown()
    print(json.dumps(found))
    return 0


def ends(folder: Path) -> Any:
    """Every way in which a trial can end, over two nodes."""
    errands = ["train", "die_once SIGKILL", "raise ValueError", "raise MemoryError", "die 3", "train"]
    with study_of(folder, errands, retries=1) as study:
        RayEngine(runner=RUNNER).run(study)
        return trials_of(study)


def judgements(folder: Path, engine: Any) -> Any:
    """Early stopping of a search with one worker: what was decided on every epoch, and how the trials ended."""
    decided: list[Any] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochDone):
            decided.append([event.trial.id, event.report.epoch, dict(event.report.values), event.goes_on])

    config = config_of(_CURVES, stopper="asha", stopper_options={"reduction_factor": 2}, epochs=8)
    with Study.open(SearchFolder.at(folder), config, driver=Errands, listener=listen) as study:
        engine.run(study)
        return {"decided": decided, "trials": trials_of(study)}


def oracle_on_both(place: Path) -> Any:
    """The same search with KerasTuner's Bayesian oracle on the local engine and on a cluster that the engine starts."""
    space = SearchSpace((Dimension(name="errand", kind="fixed", default="descend"),
                         Dimension(name="x", kind="float", low=0.0, high=1.0)), "mlp_binary")
    config = SearchConfig(model="mlp_binary", space=space.to_dict(), trials=6, epochs=2, seed=5, oracle="bayesian",
                          oracle_options={"num_initial_points": 2})
    found = []
    for name, engine in (("local", LocalEngine(1, runner=RUNNER)), ("ray", RayEngine(max_concurrent=1, runner=RUNNER))):
        with Study.open(SearchFolder.at(place / f"oracle_{name}"), config) as study:
            engine.run(study)
            found.append([[trial.id, dict(trial.values), dict(trial.measures)] for trial in study.trials.values()])
    return found


def quiet(folder: Path) -> Any:
    """One trial writes the time down, on one node, while another measures on the other; both are this machine."""
    with study_of(folder, ["count 2.5", "measure 0.6"]) as study:
        RayEngine(runner=RUNNER).run(study)
        begun, over = map(float, (folder / "trial_0001" / "quiet").read_text().split())
        ticks = [float(line) for line in (folder / "trial_0000" / "ticks").read_text().split()]
        return {"trials": trials_of(study), "before": sum(t < begun for t in ticks),
                "during": sum(begun < t < over for t in ticks), "after": sum(t > over for t in ticks)}


def stop(folder: Path) -> Any:
    """A search that is interrupted while its trials would run for ever, and is gone on with on the local engine."""
    asked: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochDone) and event.report.epoch == 2 and not asked:
            asked.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

    config = config_of(["hang_once", "train 0.3"])
    with Study.open(SearchFolder.at(folder), config, driver=Errands, listener=listen) as study:
        RayEngine(runner=RUNNER).run(study)
        seconds, first = time.monotonic() - asked[0], trials_of(study)
        began = int((folder / "trial_0000" / "began").read_text())
    alive = is_alive(began)
    run_errands(folder, ["hang_once", "train 0.3"])
    with Study.open(SearchFolder.at(folder), None, driver=Errands) as study:
        return {"seconds": seconds, "first": first, "alive": alive, "then": trials_of(study)}


def refusals(folder: Path) -> Any:
    """What an engine says that cannot run."""
    said = []
    engines = (RayEngine(gpus_per_trial=1, runner=RUNNER), RayEngine(runner="no.such.module:run"))
    for number, engine in enumerate(engines):
        with study_of(folder / str(number), ["train"]) as study:
            try:
                engine.run(study)
            except EngineError as error:
                said.append(str(error))
            said.append(json.dumps(trials_of(study)))
    return said


def loss(folder: Path, kill_node: Callable[[], None]) -> Any:
    """A search on two nodes, the raylet of one of which is killed after a few epochs."""
    killed: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochDone) and event.report.epoch == 2 and not killed:
            killed.append(time.monotonic())
            kill_node()

    config = config_of(["train 0.5"] * 5, epochs=4, retries=1)
    with Study.open(SearchFolder.at(folder), config, driver=Errands, listener=listen) as study:
        RayEngine(runner=RUNNER).run(study)
        saved = {name: [int(line.split()[0]) for line in (study.folder.trial(name) / "epochs").read_text().splitlines()]
                 for name in study.trials}
        return {"trials": trials_of(study), "saved": saved, "journal": study.folder.journal.read_text(),
                "seconds": time.monotonic() - killed[0]}


def trials_of(study: Study) -> list[Mapping[str, Any]]:
    return [{"id": t.id, "status": t.status, "kind": t.kind, "error": t.error, "attempts": t.attempts,
             "epochs": [report.epoch for report in t.history], "measures": dict(t.measures)}
            for t in study.trials.values()]


@contextmanager
def timed(found: Mapping[str, Any], name: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    found["seconds"][name] = round(time.monotonic() - begun, 2)
    print(name, found["seconds"][name], file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
