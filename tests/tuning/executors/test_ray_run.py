"""Searches on real Ray clusters: two nodes on this machine, one of which dies, and one that the engine starts."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import ASHAScheduler

from tests.tuning.executors.errand_search import REPOSITORY

Found = dict[str, Any]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Found:
    """What came of the searches, run once for all workers of the tests."""
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "ray_searches"
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = place / "found.json"
        if not answer.exists():
            ended = subprocess.run([sys.executable, "-m", "tests.tuning.executors.ray_searches", str(place)],
                                   cwd=REPOSITORY, capture_output=True, text=True, timeout=400)
            assert ended.returncode == 0, ended.stderr[-3000:]
            answer.write_text(ended.stdout.strip().splitlines()[-1])
    read: Found = json.loads(answer.read_text())
    return read


def test_the_oracle_chooses_as_on_the_local_engine(found: Found) -> None:
    """Same seed, one worker: KerasTuner's Bayesian oracle gives the same trials on `local` and on `ray`."""
    local, ray = found["oracle"]
    assert len(local) == 6
    assert len({json.dumps(values) for _, values, _ in local}) == 6
    assert ray == local


def test_every_end_of_a_trial_is_told(found: Found) -> None:
    """Trials on two nodes complete, die, refuse and run out of memory, and each is told and retried as due."""
    ends = {t["id"]: (t["status"], t["kind"], t["attempts"]) for t in found["ends"]}
    assert ends == {"0000": ("completed", "", 1), "0001": ("completed", "", 2), "0002": ("failed", "error", 1),
                    "0003": ("failed", "memory", 2), "0004": ("failed", "crash", 2), "0005": ("completed", "", 1)}
    assert "ended with code 3" in found["ends"][4]["error"]


def test_asha_decides_as_on_the_local_engine(found: Found) -> None:
    """Early stopping on `ray` judges every epoch before the next begins, and stops the same trials as on `local`."""
    local, ray = found["asha"]
    assert ray == local
    assert Counter(t["status"] for t in ray["trials"]) == {"completed": 4, "stopped": 4}


def test_asha_decides_as_rays_own_scheduler(found: Found) -> None:
    """Ray's ASHAScheduler, given the epochs of the search in their order, stops the same trials at the same epochs."""
    asha = ASHAScheduler(time_attr="epoch", metric="val_loss", mode="min", max_t=8, grace_period=1, reduction_factor=2)
    begun: dict[str, Any] = {}
    for trial, epoch, values, goes_on in found["asha"][1]["decided"]:
        if trial not in begun:
            begun[trial] = SimpleNamespace(trial_id=trial)
            asha.on_trial_add(None, begun[trial])
        decision = asha.on_trial_result(None, begun[trial], {"epoch": epoch, **values})
        assert (decision == "CONTINUE") == goes_on or epoch == 8, (trial, epoch)


def test_nothing_computes_while_a_trial_measures(found: Found) -> None:
    """A trial of another worker of the machine stands still while one measures, and goes on afterwards."""
    quiet = found["quiet"]
    assert [t["status"] for t in quiet["trials"]] == ["completed", "completed"]
    assert quiet["before"] > 0
    assert quiet["during"] == 0
    assert quiet["after"] > 0


def test_ctrl_c_ends_the_trials_and_another_engine_goes_on(found: Found) -> None:
    """Interrupted, the search leaves no process; the local engine goes on from the epochs that were saved."""
    stop = found["stop"]
    assert [(t["status"], t["epochs"]) for t in stop["first"]] == [("running", []), ("running", [1, 2])]
    assert not stop["alive"]
    assert [(t["status"], t["attempts"], t["epochs"]) for t in stop["then"]] == [
        ("completed", 2, []), ("completed", 2, [1, 2, 3])]


def test_a_cluster_that_cannot_run_trials_is_refused(found: Found) -> None:
    """No node with what a trial needs, and a node that cannot run the program, end the search with the reason."""
    no_card, nothing_begun, no_module, counted = found["refusals"]
    assert no_card.startswith("No node of the Ray cluster has 1 CPUs and 1 GPUs for a trial; its nodes have 1 CPUs and "
                              "0 GPUs, 1 CPUs and 0 GPUs.")
    assert json.loads(nothing_begun) == []
    assert no_module.startswith("No trial can be run on a node of the Ray cluster: ")
    assert "no" in no_module
    assert [t["status"] for t in json.loads(counted)] == ["running"]


def test_the_loss_of_a_node_loses_no_trial(found: Found) -> None:
    """Kill -9 of one of two raylets: every trial completes, no epoch is trained twice, and it is written down."""
    loss = found["loss"]
    assert [t["status"] for t in loss["trials"]] == ["completed"] * 5
    assert all(t["epochs"] == [1, 2, 3, 4] for t in loss["trials"])
    assert sum(t["attempts"] for t in loss["trials"]) == 6, "one trial ran on the node that died"
    assert loss["saved"] == {f"{number:04d}": [1, 2, 3, 4] for number in range(5)}
    assert '"failure":"lost"' in loss["journal"]
