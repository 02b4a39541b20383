"""A search on a Ray cluster from beginning to end: the cluster, the orders, Tune's loop and what is left afterwards."""

from __future__ import annotations

import contextlib
import importlib
import logging
import math
import os
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.stopper import NoopStopper
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tuning.errors import EngineError
from tuning.executors.ray_cluster import RayEngine
from tuning.executors.ray_link import StudyLink
from tuning.executors.ray_mailbox import Mailbox
from tuning.executors.ray_scheduler import StudyScheduler
from tuning.executors.ray_searcher import StudySearcher
from tuning.executors.ray_trainable import RayTrial, versions
from tuning.executors.stop_signals import StopSignals
from tuning.study.study import Study

_OBJECT_STORE_BYTES = 100 * 2**20  # trials pass no objects
_MANY = 100_000
_LOOK_SECONDS = 1.0
# Tune's own files about the search: the study's journal is the record, and its loggers would write each epoch thrice.
_ENVIRONMENT = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "TUNE_DISABLE_SIGINT_HANDLER": "1",
                "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1", "TUNE_GLOBAL_CHECKPOINT_S": "3600",
                "TUNE_MAX_PENDING_TRIALS_PG": "16", "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
                "RAY_AIR_NEW_OUTPUT": "0"}


def run(engine: RayEngine, study: Study) -> None:
    """Runs a study's trials on Ray.

    Args:
        engine: What was asked for.
        study: An open study.

    Raises:
        EngineError: No cluster answers, none of its nodes can hold a trial, or a node cannot run trials.
    """
    with _cluster(engine), _environment(_ENVIRONMENT):
        room = _Room(engine)
        if room() == 0 and engine.max_concurrent is None:
            raise EngineError(f"No node of the Ray cluster has {engine.cpus_per_trial:g} CPUs and "
                              f"{engine.gpus_per_trial:g} GPUs for a trial; its nodes have {_nodes_in_words()}. Ask "
                              "for less per trial, or add nodes. For a cluster that grows on demand give "
                              "`max_concurrent`.")
        name = f"zoo-{uuid.uuid4().hex}"
        for left_over in study.folder.path.glob(".zoo-*"):
            left_over.unlink(missing_ok=True)
        probe = study.folder.path / f".{name}"
        probe.touch()
        facts = {"program": study.program, "folder": str(study.folder.path), "probe": str(probe),
                 "versions": versions(), "cwd": str(Path.cwd()), "runner": engine.runner, "fork": engine.fork,
                 "threads": max(1, math.floor(engine.cpus_per_trial))}
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        mailbox = ray.remote(Mailbox).options(name=name, num_cpus=0, max_concurrency=_MANY,
                                              scheduling_strategy=here).remote(facts)
        link = StudyLink(study, stop=lambda attempt: ray.get(mailbox.stop.remote(attempt)),
                         end=lambda: ray.get(mailbox.end.remote()), has_room=lambda: room() > 0,
                         slots=lambda: room() if engine.max_concurrent is None else engine.max_concurrent)
        try:
            with StopSignals() as signals, _records(engine, study) as records:
                _tune(engine, link, _Ending(study, link, signals), name, str(records))
        finally:
            probe.unlink(missing_ok=True)
            with contextlib.suppress(Exception):  # the cluster may be gone; what went wrong is told by `close`
                ray.get(mailbox.end.remote(), timeout=5)
                ray.kill(mailbox)
            link.close()


def _tune(engine: RayEngine, link: StudyLink, ending: _Ending, mailbox: str, records: str) -> None:
    usr1 = signal.getsignal(signal.SIGUSR1)  # Tune takes it where it can
    try:
        tune.run(RayTrial, name="tune", storage_path=records, num_samples=-1, reuse_actors=True, max_failures=0,
                 resources_per_trial={"cpu": engine.cpus_per_trial, "gpu": engine.gpus_per_trial},
                 search_alg=StudySearcher(link, mailbox), scheduler=StudyScheduler(link), stop=ending,
                 trial_dirname_creator=lambda trial: str(trial.trial_id), trial_name_creator=str,
                 raise_on_failed_trial=False, verbose=0)
    except Exception as error:
        if link.error is None:
            raise EngineError(f"Ray Tune gave up: {error}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, usr1)


class _Ending(tune.Stopper):  # type: ignore[misc]  # Ray's classes are Any
    """Asked by Tune in every round of its loop, several times a second."""

    def __init__(self, study: Study, link: StudyLink, signals: StopSignals) -> None:
        self._study = study
        self._link = link
        self._signals = signals

    def __reduce__(self) -> tuple[Any, ...]:
        return NoopStopper, ()  # for Tune's own record of the search, which nobody goes on from

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self._signals.asked and not self._study.stopping:
            self._study.request_stop()
        return self._link.must_abandon()


class _Room:
    """How many trials the cluster's nodes can hold at present; looked up at most once a second."""

    def __init__(self, engine: RayEngine) -> None:
        self._wanted = {"CPU": engine.cpus_per_trial, "GPU": engine.gpus_per_trial}
        self._known = 0
        self._until = -math.inf

    def __call__(self) -> int:
        now = time.monotonic()
        if now >= self._until:
            self._known, self._until = sum(map(self._on, _node_resources())), now + _LOOK_SECONDS
        return self._known

    def _on(self, node: Mapping[str, float]) -> int:
        # A hair more: three thirds are a whole.
        return min(math.floor(node.get(name, 0.0) / amount + 1e-9) for name, amount in self._wanted.items() if amount)


def _node_resources() -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _nodes_in_words() -> str:
    return ", ".join(f"{resources.get('CPU', 0.0):g} CPUs and {resources.get('GPU', 0.0):g} GPUs"
                     for resources in _node_resources()) or "gone"


@contextlib.contextmanager
def _records(engine: RayEngine, study: Study) -> Iterator[Path]:
    """Gives the folder of Tune's own records, which go with it unless somebody wants them: the journal has it all."""
    folder = engine.storage or study.folder.path / "ray"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if engine.storage is None:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _cluster(engine: RayEngine) -> Iterator[None]:
    """Connects to a cluster, or starts one and ends it afterwards."""
    if ray.is_initialized():
        yield
        return
    named = engine.address or os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"address": named}
    if not named or named == "local":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        wanted = math.ceil((engine.max_concurrent or 0) * engine.cpus_per_trial)
        options = {"address": "local", "num_cpus": max(cores, wanted), "include_dashboard": False,
                   "object_store_memory": _OBJECT_STORE_BYTES}
    try:
        with _environment({"RAY_USAGE_STATS_ENABLED": "0"}):
            ray.init(**options, log_to_driver=False, logging_level="CRITICAL")
    except Exception as error:
        what = f"No Ray cluster answers at {named}" if named else "Ray could not be started on this machine"
        raise EngineError(f"{what}: {error}") from error
    try:
        with _silence():
            yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps Ray's notes about nodes off the standard output, which belongs to the live table or to JSON.

    A trial that is lost with its node is told of by the study. Ray has no public switch for this.
    """
    worker: Any = importlib.import_module("ray._private.worker")
    before = getattr(worker, "_worker_logs_enabled", True)
    worker._worker_logs_enabled = False
    logger = logging.getLogger("ray.tune")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        worker._worker_logs_enabled = before
        logger.setLevel(level)


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Sets variables that the user has not set, for as long as this runs."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
