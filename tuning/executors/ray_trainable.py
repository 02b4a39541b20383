"""A trial as Ray Tune sees it: a worker that returns an epoch at a time, and is kept for the next trial."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ray
from ray import tune

from tuning.errors import EngineError
from tuning.executors.cores import Share
from tuning.executors.ray_host import TrialHost
from tuning.executors.ray_link import EVENT
from tuning.executors.ray_quiet import NodeQuiet
from tuning.folder import SearchFolder
from tuning.trial import TrialTask

_COMPARED = ("tensorflow", "keras", "keras-tuner", "servable-zoo")
_PROBE_SECONDS = 10.0  # a shared folder may show a new file late


class RayTrial(tune.Trainable):  # type: ignore[misc]  # Ray's classes are Any
    """Runs attempts one after the other for Ray Tune, each in a process of its own."""

    def setup(self, config: Mapping[str, str]) -> None:
        """Checks that trials can be run on this node, and lets the imports begin.

        Args:
            config: Of the first attempt.

        Raises:
            EngineError: The search's folder is not there, or libraries are of other versions than the search's.
        """
        self._mailbox = ray.get_actor(config["mailbox"])
        self._facts = ray.get(self._mailbox.facts.remote())
        check_node(self._facts)
        # Trials find relative paths as on the local engine, where that folder is on this node too.
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
        if Path(self._facts["cwd"]).is_dir():
            os.chdir(self._facts["cwd"])
        self._search_ends = self._mailbox.ended.remote()
        cards = ",".join(str(card) for card in ray.get_runtime_context().get_accelerator_ids().get("GPU", ()))
        if not cards:  # what Ray has not reserved is not for this trial, and without cards it can be forked
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        share = Share(threads=self._facts["threads"], gpu=cards)
        self._host = TrialHost(self._facts["runner"], share, NodeQuiet(), fork=self._facts["fork"])
        self._task = _task(config)
        self._has_begun = self._is_judged = False
        self._raylet = os.getppid()

    def reset_config(self, new_config: Mapping[str, str]) -> bool:
        """Takes the next attempt.

        Args:
            new_config: Of the attempt.

        Returns:
            True: it has.
        """
        self._task = _task(new_config)
        self._has_begun = self._is_judged = False
        return True

    def step(self) -> dict[str, Any]:
        """Returns the next epoch, or the outcome, as Tune's result."""
        if not self._has_begun:
            self._host.begin(self._task, self._facts["program"], SearchFolder(Path(self._facts["folder"])),
                             must_end=self._must_end)
            self._has_begun = True
        if self._is_judged:
            self._host.answer(ray.get(self._mailbox.goes_on.remote(self.trial_id)))
        event = self._host.next_event(self._must_end)
        self._is_judged = "report" in event
        # The measures stand beside the event for Ray's own displays.
        measures = event["report"]["values"] if self._is_judged else {}
        return {**measures, EVENT: json.dumps(event), "done": not self._is_judged}

    def cleanup(self) -> None:
        """Ends all that this worker has begun."""
        self._host.close()

    def _must_end(self) -> bool:
        if os.getppid() != self._raylet:
            # The node is dead to the cluster, which will run the trial elsewhere; two may not write into its folder.
            self._host.close()
            os._exit(1)
        done, _ = ray.wait([self._search_ends], timeout=0)
        return bool(done)


def versions() -> dict[str, str]:
    """Returns the versions of the libraries that trials depend on; "" of one that is not installed."""
    found: dict[str, str] = {}
    for name in _COMPARED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def check_node(facts: Mapping[str, Any]) -> None:
    """Checks that trials can be run on this node as on every other.

    Args:
        facts: Of the search: "folder", "probe" and "versions".

    Raises:
        EngineError: They cannot.
    """
    node = os.uname().nodename
    wrong = []
    folder, probe = Path(facts["folder"]), Path(facts["probe"])
    deadline = time.monotonic() + _PROBE_SECONDS
    while not probe.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    if not probe.exists():
        wrong.append(f"the search's folder {folder} is not shared with it (it must be the same folder on every node)")
    elif not os.access(folder, os.W_OK):
        wrong.append(f"it may not write into the search's folder {folder}")
    here = versions()
    wrong.extend(f"it has {name} {here[name] or 'not at all'} where the search has {expected or 'none'}"
                 for name, expected in facts["versions"].items() if here[name] != expected)
    if wrong:
        raise EngineError(f"The node {node} of the Ray cluster cannot run trials: {'; '.join(wrong)}.")


def _task(config: Mapping[str, str]) -> TrialTask:
    return TrialTask.from_dict(json.loads(config["task"]))
