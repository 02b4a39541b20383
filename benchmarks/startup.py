"""How long one waits: for an import, for `zoo list`, for a model to be loaded, for the first answer of all.

    python benchmarks/startup.py [--quick] [--model mobilenet_v2] [--repeats 5] [--output FOLDER]

Each row is a whole process, from its start to what the row names, and all rows take turns, so a noisy machine hits them
alike. "First answer" rows load the same model, with the same weights, in each way that people serve it: this project's
server from its start to the answer to a request over REST, a SavedModel in a session and in TensorFlow 2, and Keras's
own file. The server answers only when the warm-up requests of all its signatures, pictures among them, have been run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

# This folder has a serving.py, which would stand in front of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.side_by_side import environment, machine, told, versions
from zoo.plot_style import BLUE, ORANGE, dress, new_figure, save_figure

PYTHON = sys.executable
REFERENCE = "zoo list"
DOORS = {
    "python -c pass": [PYTHON, "-c", "pass"],
    "zoo list": [PYTHON, "-m", "zoo", "list"],
    "zoo --help": [PYTHON, "-m", "zoo", "--help"],
    "import zoo": [PYTHON, "-c", "import zoo"],
    "import serving.client": [PYTHON, "-c", "import serving.client"],
    "import tensorflow": [PYTHON, "-c", "import tensorflow"],
    "import keras": [PYTHON, "-c", "import keras"],
    "import keras_hub (lists its presets)": [PYTHON, "-c", "import keras_hub"],
    "import torch": [PYTHON, "-c", "import torch"],
    "import tensorflow_serving.apis (its client)": [
        PYTHON, "-c", "from tensorflow_serving.apis import prediction_service_pb2_grpc"],
}
PREPARE = """
import sys, zoo
from serving.export import export_model
name, folder = sys.argv[1:]
model = zoo.build(name, seed=1)
export_model(model, folder + "/plain", name="m", version=1, validate=False, batch_sizes=(1,))
export_model(model, folder + "/safe", name="m", version=1, validate=False, batch_sizes=(1,), optimize="safe")
model.save(folder + "/model.keras")
"""
SESSION = """
import sys, numpy as np
sys.modules["keras"] = None
import tensorflow as tf
session = tf.compat.v1.Session(graph=tf.Graph())
with session.graph.as_default():
    signature = tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1]).signature_def["serving_default"]
(given,), answers = signature.inputs.values(), [tensor.name for tensor in signature.outputs.values()]
shape = [max(size.size, 1) for size in given.tensor_shape.dim]
session.run(answers, {given.name: np.zeros(shape, np.float32)})
"""
EAGER = """
import sys, numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
signature = loaded.signatures["serving_default"]
(name, spec), = signature.structured_input_signature[1].items()
signature(**{name: tf.zeros([size or 1 for size in spec.shape])})
"""
KERAS = """
import sys, numpy as np, keras
model = keras.saving.load_model(sys.argv[1], compile=False)
model.predict(np.zeros([size or 1 for size in model.input_shape], np.float32), verbose=0)
"""
SERVERS = {"zoo's server, answer over REST": "plain", "zoo's server, answer over REST, --optimize safe": "safe"}


def seconds(command: list[str], settings: dict[str, str]) -> float | None:
    start = time.perf_counter()
    result = subprocess.run(command, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start if result.returncode == 0 else None


def seconds_to_answer(root: Path, settings: dict[str, str]) -> float | None:
    """From the start of a server's process to its first answer."""
    start = time.perf_counter()
    command = [PYTHON, "-m", "serving.server", str(root), "--grpc-port", "0", "--rest-port", "0", "--json"]
    with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as server:
        try:
            for line in server.stdout or ():
                event = json.loads(line)
                if event["event"] == "ready":
                    address = f"http://127.0.0.1:{event['rest_port']}/v1/models/m"
                    with urllib.request.urlopen(f"{address}/metadata", timeout=60) as answer:
                        inputs = json.load(answer)["metadata"]["signature_def"]["signature_def"]
                    dims = next(iter(inputs["serving_default"]["inputs"].values()))["tensor_shape"]["dim"]
                    body = json.dumps({"instances": zeros([int(one["size"]) for one in dims[1:]], 1)}).encode()
                    with urllib.request.urlopen(f"{address}:predict", data=body, timeout=60) as answer:
                        answer.read()
                    return time.perf_counter() - start
        except (OSError, ValueError, KeyError):
            return None
        finally:
            server.terminate()
    return None


def zeros(shape: list[int], rows: int) -> list[Any]:
    value: Any = 0.0
    for size in [*reversed([max(size, 1) for size in shape]), rows]:
        value = [value] * size
    return list(value)


def tables(results: dict[str, Any]) -> str:
    lines = [told(results["machine"]), "", told(results["versions"]), ""]
    for title, rows in results["tables"].items():
        reference = statistics.median(next(iter(rows.values())) if REFERENCE not in rows else rows[REFERENCE])
        first = REFERENCE if REFERENCE in rows else next(iter(rows))
        lines += [f"| {title} | median s | least | most | against {first} |", "|---|---|---|---|---|"]
        for name, values in rows.items():
            median = statistics.median(values)
            figures = " | ".join(f"{value:.3f}" for value in (median, min(values), max(values)))
            lines.append(f"| {name} | {figures} | {median / reference:.2f}x |")
        lines.append("")
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    filled = {title: rows for title, rows in results["tables"].items() if rows}
    figure = new_figure(6.2 * len(filled), 4.0)
    for axes, (title, rows) in zip(figure.subplots(1, len(filled), squeeze=False)[0], filled.items(), strict=True):
        medians = {name: statistics.median(values) for name, values in rows.items()}
        names = sorted(medians, key=lambda name: -medians[name])
        ours = [ORANGE if "zoo" in name or "serving.client" in name else BLUE for name in names]
        axes.barh(names, [medians[name] for name in names], color=ours)
        for place, name in enumerate(names):
            axes.text(medians[name], place, f" {medians[name]:.2f}", va="center", fontsize=7)
        dress(axes, title=title, x="seconds")
        axes.tick_params(axis="y", labelsize=7)
        axes.margins(x=0.15)
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two repeats")
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--output", type=Path, default=Path("benchmark-output"))
    options = parser.parse_args()
    repeats = options.repeats or (2 if options.quick else 5)
    threads = os.cpu_count() or 1
    # What the server sets for itself is left to it.
    settings = environment(threads)
    doors: dict[str, list[float]] = {}
    answers: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as made, contextlib.suppress(KeyboardInterrupt):
        root = Path(made)
        subprocess.run([PYTHON, "-c", PREPARE, options.model, made], env=settings, check=True, capture_output=True)
        plain = str(root / "plain" / "m" / "1")
        programs = {"a session, as TensorFlow Serving loads it": [PYTHON, "-c", SESSION, plain],
                    "tf.saved_model.load and its signature": [PYTHON, "-c", EAGER, plain],
                    "keras load_model and predict": [PYTHON, "-c", KERAS, str(root / "model.keras")]}
        for _ in range(repeats):
            for rows, commands in ((doors, DOORS), (answers, programs)):
                for name, command in commands.items():
                    note(rows, name, seconds(command, settings))
            for name, folder in SERVERS.items():
                note(answers, name, seconds_to_answer(root / folder, settings))
    results = {"machine": machine(threads), "versions": versions(("tensorflow", "keras", "keras-hub", "torch")),
               "tables": {"start of a process": doors, f"first answer of {options.model}": answers}}
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "startup.json").write_text(json.dumps(results, indent=1))
    (options.output / "startup.md").write_text(tables(results), encoding="utf-8")
    draw(results, options.output / "startup.png")
    print(tables(results))


def note(rows: dict[str, list[float]], name: str, taken: float | None) -> None:
    if taken is None:
        print(f"  {name}: not installed, or failed", file=sys.stderr)
    else:
        rows.setdefault(name, []).append(taken)


if __name__ == "__main__":
    main()
