"""A search on two nodes of Ray, one of which is killed (SIGKILL) on the way: what became of every trial.

    python benchmarks/ray_node_loss.py [--trials 8] [--epochs 6] [-o account.json]

Both nodes are raylets on this machine with one CPU each. Real trainings of `mlp_binary` on made-up points; the node
dies in the midst of an epoch after a few of them. The account names every trial with its attempts and epochs, how long
it took until the loss was known, and what stands in the journal about it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from ray.cluster_utils import Cluster

from tuning.config import SearchConfig
from tuning.executors.ray_cluster import RayEngine
from tuning.folder import SearchFolder
from tuning.spaces.dimension import Dimension
from tuning.spaces.space import SearchSpace
from tuning.study.events import EpochDone, Event, Remark
from tuning.study.study import Study
from zoo.data_source import DataSource

_STORE_BYTES = 80 * 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        account = search(Path(place), arguments)
    for trial in account["trials"]:
        print("{id}  {status:9}  attempts {attempts}  epochs {epochs}  val_loss {val_loss:.4f}".format(**trial))
    print(f"lost after {account['noticed_seconds']:.1f} s: {account['remarks']}")
    print(f"{account['whole_seconds']:.1f} s in all; every trial accounted for: {account['all_accounted_for']}")
    if arguments.output:
        arguments.output.write_text(json.dumps(account, indent=1) + "\n")
    return 0 if account["all_accounted_for"] else 1


def search(place: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    cluster = Cluster(initialize_head=True, head_node_args={
        "num_cpus": 1, "include_dashboard": False, "object_store_memory": _STORE_BYTES})
    node = cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)
    killed, noticed, remarks, epochs = 0.0, 0.0, [], 0

    def listen(event: Event) -> None:
        nonlocal killed, noticed, epochs
        if isinstance(event, EpochDone):
            epochs += 1
            if epochs == arguments.epochs and not killed:
                os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
                killed = time.monotonic()
        if isinstance(event, Remark):
            remarks.append(event.text)
            noticed = noticed or time.monotonic()

    space = SearchSpace((Dimension(name="learning_rate", kind="float", low=1e-4, high=1e-1, log=True,
                                   target="training"),), "mlp_binary")
    config = SearchConfig(model="mlp_binary", data=DataSource(path=str(points(place, arguments.rows)),
                                                              target=("label",)),
                          space=space.to_dict(), training={"batch_size": 32}, trials=arguments.trials,
                          epochs=arguments.epochs)
    begun = time.monotonic()
    try:
        with Study.open(SearchFolder.at(place / "search"), config, listener=listen) as study:
            RayEngine(cluster.address).run(study)
            trials = list(study.trials.values())
    finally:
        cluster.shutdown()
    whole = list(range(1, arguments.epochs + 1))
    return {
        "trials": [{"id": t.id, "status": t.status, "attempts": t.attempts, "epochs": [r.epoch for r in t.history],
                    "val_loss": t.measures.get("val_loss", float("nan"))} for t in trials],
        "noticed_seconds": noticed - killed, "remarks": remarks, "whole_seconds": time.monotonic() - begun,
        "all_accounted_for": len(trials) == arguments.trials and all(
            t.status == "completed" and [r.epoch for r in t.history] == whole for t in trials)}


def points(place: Path, rows: int) -> Path:
    draw = random.Random(0)
    path = place / "points.csv"
    with path.open("w") as file:
        file.write("a,b,label\n")
        for _ in range(rows):
            a, b = draw.uniform(-1, 1), draw.uniform(-1, 1)
            file.write(f"{a:.4f},{b:.4f},{'yes' if a * b > 0 else 'no'}\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
