"""Our export beside Keras's own `model.export()`: bytes on disk, seconds to load, memory, equal bytes twice.

    python benchmarks/export_size.py [--model resnet50] [--repeats 3]

Both write the same model with one tensor signature. Each measurement is a process of its own, interleaved.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

WRITE = """
import sys, keras, zoo
from serving.export import export_model
way, name, folder = sys.argv[1:]
model = zoo.build(name, seed=1)
if way == "zoo":
    export_model(model, folder, name="m", version=1, warmup=False, validate=False)
else:
    model.export(folder + "/m/1", verbose=False)
"""

LOAD = """
import json, sys, time, resource
import tensorflow as tf
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before, start = rss(), time.perf_counter()
session = tf.compat.v1.Session(graph=tf.Graph())
with session.graph.as_default():
    tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1])
print(json.dumps({"seconds": time.perf_counter() - start, "bytes": rss() - before}))
"""


def run(code: str, *arguments: str) -> str:
    return subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True).stdout


def content(folder: Path, names: str) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob(names)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folders: dict[str, list[Path]] = {"zoo": [], "keras": []}
        for turn in range(2):
            for way, written in folders.items():
                folder = Path(root) / f"{way}-{turn}"
                run(WRITE, way, options.model, str(folder))
                written.append(folder / "m" / "1")
        loads: dict[str, list[dict[str, float]]] = {"zoo": [], "keras": []}
        for _ in range(options.repeats):
            for way, versions in folders.items():
                loads[way].append(json.loads(run(LOAD, str(versions[0])).splitlines()[-1]))
        rows = {}
        for way, versions in folders.items():
            size = sum(p.stat().st_size for p in versions[0].rglob("*") if p.is_file())
            rows[way] = (size / 1e6, statistics.median(entry["seconds"] for entry in loads[way]),
                         statistics.median(entry["bytes"] for entry in loads[way]) / 1e6)
            same = all(content(versions[0], names) == content(versions[1], names)
                       for names in ("saved_model.pb", "variables/*"))
            print(f"{way:6} {rows[way][0]:8.1f} MB on disk  {rows[way][1]:6.2f} s to load  {rows[way][2]:7.1f} MB "
                  f"memory after loading  same bytes from two processes: {'yes' if same else 'no'}")
        disk, load, memory = (rows["keras"][i] / rows["zoo"][i] for i in range(3))
        print(f"model.export() against ours, {options.model}: disk {disk:.2f}x, load {load:.2f}x, memory {memory:.2f}x")


if __name__ == "__main__":
    main()
