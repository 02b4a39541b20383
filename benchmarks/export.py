"""Our exports beside Keras's own `model.export()`: seconds to write, bytes, seconds to load, memory, the first answer.

    python benchmarks/export.py [--quick] [--model resnet50] [--levels none safe bfloat16] [--repeats 3]
                                [--output FOLDER]

All write the same model with the same weights (batch normalisation with random statistics). Ours hold all signatures,
warm-up records and a manifest, and are made without the validation, which is another process; Keras's holds one
signature. Each load is a process of its own, set up as our server sets up itself, and the ways take turns. "same bytes"
says whether a second process wrote the same files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# This folder has a serving.py, which would stand in front of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.side_by_side import environment, machine, told, versions
from zoo.plot_style import BLUE, ORANGE, dress, new_figure, save_figure

KERAS = "model.export()"
WRITE = """
import json, sys, time, keras, numpy as np, zoo
from serving.export import export_model
way, name, folder = sys.argv[1:]
model = zoo.build(name, seed=1)
random = np.random.default_rng(1)
for layer in model._flatten_layers():
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.moving_mean.assign(random.normal(0, 0.1, layer.moving_mean.shape))
        layer.moving_variance.assign(random.uniform(0.5, 1.5, layer.moving_variance.shape))
start = time.perf_counter()
if way == "model.export()":
    model.export(folder + "/m/1", verbose=False)
else:
    level, place = way.split()
    export_model(model, folder, name="m", version=1, validate=False, batch_sizes=(1,), optimize=level,
                 optimized_weights=place)
print(json.dumps({"seconds": time.perf_counter() - start}))
"""
LOAD = """
import json, sys, time, resource
sys.modules["keras"] = None
import numpy as np, tensorflow as tf
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
with tf.compat.v1.Session(graph=tf.Graph()) as session:  # what TensorFlow itself takes is not the model's
    session.run(tf.constant(1.0) + 1)
before, start = resident(), time.perf_counter()
session = tf.compat.v1.Session(graph=tf.Graph())
with session.graph.as_default():
    signature = tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1]).signature_def["serving_default"]
loaded, loaded_bytes = time.perf_counter() - start, resident() - before
feeds = {}
for given in signature.inputs.values():
    shape = [max(size.size, 1) for size in given.tensor_shape.dim]
    feeds[given.name] = np.zeros(shape, tf.as_dtype(given.dtype).as_numpy_dtype)
answers = [tensor.name for tensor in signature.outputs.values()]
start = time.perf_counter()
session.run(answers, feeds)
first = time.perf_counter() - start
print(json.dumps({"load": loaded, "loaded": loaded_bytes / 1e6, "first": first,
                  "answered": (resident() - before) / 1e6}))
"""
COLUMNS = {"write": "s to write", "disk": "MB on disk", "load": "s to load", "loaded": "MB in memory",
           "first": "s to the first answer", "answered": "MB after it"}


def run(code: str, *arguments: str) -> dict[str, float]:
    settings = environment(os.cpu_count() or 1) | {"TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": "1",
                                                   "TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1"}
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=settings, check=True, capture_output=True,
                          text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def content(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in [folder / "saved_model.pb", *sorted((folder / "variables").glob("*"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def tables(results: dict[str, Any]) -> str:
    lines = [told(results["machine"]), "", told(results["versions"]), "",
             f"| {results['model']} | {' | '.join(COLUMNS.values())} | same bytes |", f"|{'---|' * (len(COLUMNS) + 2)}"]
    for way, row in results["ways"].items():
        figures = " | ".join(f"{row[name]:.3g}" for name in COLUMNS)
        lines.append(f"| {way} | {figures} | {'yes' if row['same'] else 'no'} |")
    return "\n".join([*lines, ""])


def draw(results: dict[str, Any], path: Path) -> None:
    figure = new_figure(11.0, 3.6)
    ways = list(results["ways"])[::-1]
    for axes, name in zip(figure.subplots(1, 4), ("disk", "load", "first", "answered"), strict=True):
        values = [results["ways"][way][name] for way in ways]
        axes.barh(ways, values, color=[BLUE if way == KERAS else ORANGE for way in ways])
        for place, value in enumerate(values):
            axes.text(value, place, f" {value:.3g}", va="center", fontsize=7)
        dress(axes, title=COLUMNS[name])
        axes.tick_params(axis="y", labelsize=7 if axes.get_subplotspec().colspan.start == 0 else 0)
        axes.margins(x=0.2)
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="mobilenet_v2, one repeat")
    parser.add_argument("--model")
    parser.add_argument("--levels", nargs="+", default=["none", "safe", "bfloat16"])
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--output", type=Path, default=Path("benchmark-output"))
    options = parser.parse_args()
    model = options.model or ("mobilenet_v2" if options.quick else "resnet50")
    repeats = options.repeats or (1 if options.quick else 3)
    places = [(level, place) for level in options.levels
              for place in (("variables",) if level == "none" else ("variables", "constants"))]
    ways = [KERAS, *(f"{level} {place}" for level, place in places)]
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as root:
        folders = {way: Path(root) / str(number) for number, way in enumerate(ways)}
        for way, folder in folders.items():
            again = folder.with_name(f"{folder.name}-again")
            written = [run(WRITE, way, model, str(place))["seconds"] for place in (folder, again)]
            version = folder / "m" / "1"
            size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
            rows[way] = {"write": statistics.median(written), "disk": size / 1e6,
                         "same": content(version) == content(again / "m" / "1"), "runs": []}
        for _ in range(repeats):
            for way, folder in folders.items():
                rows[way]["runs"].append(run(LOAD, str(folder / "m" / "1")))
    for row in rows.values():
        row |= {name: statistics.median(each[name] for each in row["runs"]) for name in row["runs"][0]}
    results = {"machine": machine(os.cpu_count() or 1), "versions": versions(("tensorflow", "keras")), "model": model,
               "ways": rows}
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "export.json").write_text(json.dumps(results, indent=1))
    (options.output / "export.md").write_text(tables(results), encoding="utf-8")
    draw(results, options.output / "export.png")
    print(tables(results))


if __name__ == "__main__":
    main()
