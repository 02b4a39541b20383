"""The engine `ray`: trials on a Ray cluster, one that exists or one that it starts on this machine."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
from pathlib import Path

from tuning.executors.starting import RUNNER
from tuning.study.study import Study
from zoo.errors import ArgumentError, MissingDependencyError


class RayEngine:
    """Runs trials by Ray Tune: the study's oracle is its searcher, the study's early stopping its scheduler.

    The search's folder must be the same path on all nodes, on storage that they share. Creating the engine neither
    starts Ray nor needs it.

    Args:
        address: Of the cluster, from one of its nodes: "host:port" or "auto"; None takes the one that this process is
            connected to, or else the one that `RAY_ADDRESS` names, or else starts one on this machine and ends it
            afterwards.
        cpus_per_trial: CPUs that Ray reserves for a trial, and threads that it computes with; a fraction is possible.
        gpus_per_trial: The same of graphics cards; 0.5 puts two trials on a card.
        max_concurrent: Largest number of trials at once; None takes as many as the nodes hold. Give it for a cluster
            that grows on demand: as many are asked for, even while there is no room.
        storage: Folder of Ray Tune's own records, shared by all nodes; None takes "ray" in the search's folder and
            removes it at the end, because all of it stands in the journal.
        fork: Whether trials are forked from one process per worker that has imported everything, as `LocalEngine`
            takes it; None where that is safe on the node.
        runner: What a trial's process runs its program with, as "module:function".

    Raises:
        ArgumentError: A number is out of its range, or the address is one of Ray's client.
    """

    def __init__(self, address: str | None = None, cpus_per_trial: float = 1, gpus_per_trial: float = 0,
                 max_concurrent: int | None = None, storage: str | os.PathLike[str] | None = None, *,
                 fork: bool | None = None, runner: str = RUNNER) -> None:
        _require_amount("cpus_per_trial", cpus_per_trial)
        _require_amount("gpus_per_trial", gpus_per_trial)
        if not cpus_per_trial and not gpus_per_trial:
            raise ArgumentError("A trial needs a part of a machine: give `cpus_per_trial` or `gpus_per_trial` above 0.")
        if max_concurrent is not None and (isinstance(max_concurrent, bool) or not isinstance(max_concurrent, int)
                                           or max_concurrent < 1):
            raise ArgumentError("`max_concurrent` is how many trials run at once, a whole number above 0. Received: "
                                f"{max_concurrent!r}")
        if address is not None and address.startswith("ray://"):
            raise ArgumentError("A search runs on a node of the cluster and not through Ray's client: give \"auto\" "
                                f"there, or HOST:PORT, and begin it with `ray job submit`. Received: {address!r}")
        self.address = address
        self.cpus_per_trial = cpus_per_trial
        self.gpus_per_trial = gpus_per_trial
        self.max_concurrent = max_concurrent
        self.storage = None if storage is None else Path(storage)
        self.fork = fork
        self.runner = runner

    def run(self, study: Study) -> None:
        """Runs trials until the study is done or has been asked to stop, and leaves no process behind.

        Args:
            study: An open study.

        Raises:
            MissingDependencyError: Ray is not installed.
            EngineError: No cluster answers, none of its nodes can hold a trial, or a node cannot run trials.
        """
        if importlib.util.find_spec("ray") is None:
            raise MissingDependencyError("ray", "ray", "Running a search on Ray")
        importlib.import_module("tuning.executors.ray_run").run(self, study)


def _require_amount(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf or (
            value > 1 and value != int(value)):
        raise ArgumentError(f"`{name}` is a whole number, or a fraction of one below 1. Received: {value!r}")
