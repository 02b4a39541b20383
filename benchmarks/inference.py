"""Our exports beside other engines on this processor: the same weights, turn by turn, in milliseconds per batch.

    python benchmarks/inference.py [--quick] [--models resnet50 bert_base] [--engines "zoo bfloat16" OpenVINO ...]
                                   [--batches 1 8 32] [--seconds 1] [--threads 2] [--output FOLDER] [--work FOLDER]
                                   [--prepare-only]

Models: ResNet-50, MobileNet V2, EfficientNet B0, BERT base and small BERT (128 tokens), in float32, bfloat16 and int8,
with weights by seed, statistics as training leaves them and no zero biases. Ours are exported for --threads
processors, and run with the environment and the threads that the export writes beside them (`server.env`,
`server.flags`). Each engine is a process of its own that stands still while another computes; in each round every
engine has its turn, and the order turns too. Every answer is compared with Keras's: "error" is the distance of the
log-probabilities as a share of their spread. "Limit" is the least time for the arithmetic, at the speed of the
largest matrix products that are measured before and between, or for reading the weights. Where memory is short,
float32 and fewer bits are compared one after the other, the plain SavedModel in both.

What engines load is prepared in --work and kept for the next run (an export of ours as long as our code is the same).
An engine that is not installed or fails is told and left out. The results are written after each batch size, and what
is in --output already is kept, so that a run goes on where it ended; another machine or version starts afresh.
Peers: pip install 'servable-zoo[bench]'.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

# This folder has a serving.py, which would stand in front of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.engines.limits import least_seconds, measured_limits
from benchmarks.engines.table import ENGINES, MODELS, NEEDS, REFERENCE
from benchmarks.inference_report import draw, tables
from benchmarks.side_by_side import ROOT, Worker, WorkerError, environment, machine, versions

PACKAGES = ("tensorflow", "keras", "onnxruntime", "openvino", "nncf", "torch", "transformers", "numpy")
ROUNDS = 3
PREPARING_SECONDS = 1500.0
_PROCESS_BYTES = 9 * 10**8  # an engine without weights
QUICK: dict[str, Any] = {"models": ["mobilenet_v2", "small_bert"], "batches": [1], "seconds": 0.6}


@functools.cache
def code_version(artifact: str = "zoo_any") -> str:
    """A word that changes with the code that writes an artifact."""
    digest = hashlib.sha256()
    files = [ROOT / "benchmarks" / "engines" / f"{name}.py" for name in ("subjects", "torch_models", "prepare")]
    if artifact.startswith("zoo_"):
        files += sorted(path for package in ("zoo", "serving") for path in (ROOT / package).rglob("*.py"))
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def prepare_all(model: str, artifacts: Sequence[str], folder: Path, threads: int) -> dict[str, str | None]:
    """Writes artifacts and what they need, two at a time. Returns what went wrong with each, or None.

    An export of ours is timed while it is written, and so has the machine to itself.
    """
    waiting = list(dict.fromkeys([*(need for name in artifacts for need in _needs(name)), *artifacts]))
    troubles: dict[str, str | None] = {}
    with ThreadPoolExecutor(2) as pool:
        running: dict[Future[str | None], str] = {}
        while waiting or running:
            for name in list(waiting):
                alone = any(other.startswith("zoo_") for other in (name, *running.values()))
                if all(need in troubles for need in NEEDS[name]) and not (alone and running):
                    waiting.remove(name)
                    failed = next((troubles[need] for need in NEEDS[name] if troubles[need]), None)
                    if failed:
                        troubles[name] = failed
                    else:
                        running[pool.submit(prepare, model, name, folder, threads)] = name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                troubles[running.pop(future)] = future.result()
    return troubles


def _needs(artifact: str) -> list[str]:
    return [name for need in NEEDS[artifact] for name in (*_needs(need), need)]


def prepare(model: str, artifact: str, folder: Path, threads: int) -> str | None:
    """Writes an artifact, unless it is there. Returns what went wrong, or None."""
    mark = folder / artifact / "code"
    code = code_version(artifact) + (f" for {threads} threads" if artifact.startswith("zoo_") else "")
    if mark.exists() and mark.read_text() == code:
        return None
    refused = folder / f"{artifact}.refused"
    if refused.exists() and refused.read_text().startswith(code):
        return refused.read_text().partition("\n")[2]
    print(f"  preparing {artifact} of {model}", file=sys.stderr, flush=True)
    shutil.rmtree(folder / artifact, ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.engines.prepare", model, artifact, str(folder)]
    try:
        result = subprocess.run(command, env=environment(threads), cwd=ROOT, capture_output=True, text=True,
                                timeout=PREPARING_SECONDS)
    except subprocess.TimeoutExpired:
        return f"{artifact} was not ready after {PREPARING_SECONDS:.0f} s"
    if result.returncode:
        said = [line.strip() for line in result.stderr.splitlines() if line.strip() and ".cc:" not in line]
        trouble = " | ".join(said[-2:])[-500:]
        refused.parent.mkdir(parents=True, exist_ok=True)
        refused.write_text(f"{code}\n{trouble}")
        return trouble
    mark.write_text(code)
    return None


def compare(model: str, names: Sequence[str], batch: int, seconds: float, workers: dict[str, Worker],
            faults: dict[str, str]) -> dict[str, Any]:
    """Times one batch size on all engines, in turns."""
    rows: dict[str, dict[str, Any]] = {}

    def ask(name: str, **request: Any) -> dict[str, Any]:
        try:
            return workers[name].ask(**request)
        except WorkerError as error:
            faults[name] = f"batch {batch}: {error}"
            print(f"  {model} batch {batch}: {name} fails: {error}", file=sys.stderr, flush=True)
            workers.pop(name).__exit__(None, None, None)
            rows.pop(name, None)
            return {}

    for name in names:
        if name in workers and (answer := ask(name, batch=batch)):
            rows[name] = answer | {"milliseconds": []}
    ready = list(rows)
    for turn in range(ROUNDS):
        for name in ready[turn % len(ready):] + ready[:turn % len(ready)]:
            if name in rows and (answer := ask(name, seconds=seconds / ROUNDS, least=1)):
                rows[name]["milliseconds"] += answer["milliseconds"]
                rows[name]["memory_mb"] = answer["memory_mb"]
    for row in rows.values():
        row |= {"median": statistics.median(row["milliseconds"]), "least": min(row["milliseconds"]),
                "calls": len(row["milliseconds"])}
    for name, row in rows.items():
        if REFERENCE in rows:  # of the same turns
            row["times_as_fast"] = rows[REFERENCE]["median"] / row["median"]
        row["milliseconds"] = [float(f"{value:.4g}") for value in row["milliseconds"]]
        print(f"  {model} batch {batch}: {name} {row['median']:.2f} ms, error {row['error']:.1e}", file=sys.stderr,
              flush=True)
    return rows


def run_model(model: str, options: argparse.Namespace, results: dict[str, Any]) -> Iterator[None]:
    """Prepares a model's engines and times them; gives way after each batch size, when the results are complete."""
    folder = options.work / model
    entry = results["models"].setdefault(model, {"batches": {}, "faults": {}})
    missing = [batch for batch in options.batches
               if not set(options.engines) <= {*entry["batches"].get(str(batch), {}), *entry["faults"]}]
    if not missing and not options.prepare_only:
        return
    entry["faults"] = {}
    names = []
    # PyTorch's module is there for its own sake, and counts the operations.
    wanted = ["torch", *(ENGINES[name].artifact for name in options.engines)]
    troubles = prepare_all(model, wanted, folder, options.threads)
    for name in options.engines:
        if trouble := troubles[ENGINES[name].artifact]:
            entry["faults"][name] = trouble
            print(f"  {model}: {name} is left out: {trouble}", file=sys.stderr, flush=True)
        else:
            names.append(name)
    sizes = folder / "torch" / "sizes.json"
    entry["sizes"] = json.loads(sizes.read_text()) if sizes.exists() else None
    for name in names:
        told = folder / ENGINES[name].artifact / "optimization.json"
        if told.exists():
            entry.setdefault("optimization", {})[name] = json.loads(told.read_text())
    if options.prepare_only:  # fills the caches of what is compiled when it is loaded
        waves = [[name for name in names if ENGINES[name].runtime == "pytorch_compiled"]]
        missing = options.batches
    else:
        waves = in_waves(names, entry["sizes"])
    for wave in waves:
        with ExitStack() as stack:
            workers = {name: stack.enter_context(Worker(
                ["-m", "benchmarks.engines.worker", name, str(folder), str(options.threads)], options.threads))
                for name in wave}
            for batch in missing:
                rows = compare(model, wave, batch, options.seconds, workers, entry["faults"])
                if not options.prepare_only:
                    entry["batches"][str(batch)] = entry["batches"].get(str(batch), {}) | rows
                    yield


def in_waves(names: Sequence[str], sizes: Mapping[str, float] | None) -> list[list[str]]:
    """All engines at once, or float32 and fewer bits one after the other where memory is short; the reference twice."""
    fitting = _available_bytes() // (_PROCESS_BYTES + 4 * (sizes["weight_bytes"] if sizes else 0))
    if len(names) <= fitting:
        return [list(names)]
    first = [name for name in names if ENGINES[name].precision == "float32"]
    second = [name for name in names if ENGINES[name].precision != "float32" or name == REFERENCE]
    return [wave for wave in (first, second) if wave and wave != [REFERENCE]] or [list(names)]


def _available_bytes() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024
    except (OSError, StopIteration):  # elsewhere than on Linux
        return 2**33


def look_at_limits(results: dict[str, Any], options: argparse.Namespace) -> None:
    """Measures the limits again: the best of all looks counts, for other processes only slow them down."""
    if not options.prepare_only:
        before = results.get("limits", {})
        now = measured_limits(options.threads)
        results["limits"] = {name: max(value, before.get(name, 0.0)) for name, value in now.items()}


def with_limits(results: dict[str, Any]) -> None:
    """Adds each engine's share of the arithmetic or bandwidth limit."""
    for entry in results["models"].values():
        for batch, rows in entry["batches"].items() if entry.get("sizes") else ():
            for name, row in rows.items():
                least = least_seconds(entry["sizes"]["operations"] * int(batch), entry["sizes"]["weight_bytes"],
                                      ENGINES[name].precision, results["limits"])
                row |= {"limit_ms": 1e3 * least, "share_of_limit": 1e3 * least / row["median"]}


def write(results: dict[str, Any], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    with_limits(results)
    unfinished = output / "inference.json.unfinished"
    unfinished.write_text(json.dumps(results, indent=1))
    unfinished.rename(output / "inference.json")
    (output / "inference.md").write_text(tables(results), encoding="utf-8")
    draw(results, output / "inference.png")


def begun(output: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The results of a run that was cut short on the same machine with the same versions, or none yet."""
    path = output / "inference.json"
    if path.exists():
        earlier: dict[str, Any] = json.loads(path.read_text())
        if earlier["facts"] == facts:
            return earlier
    return {"facts": facts, "models": {}}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"small: {QUICK}")
    parser.add_argument("--models", nargs="+", choices=MODELS)
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--batches", type=int, nargs="+", choices=range(1, 33), metavar="ROWS")
    parser.add_argument("--seconds", type=float, help="that each engine computes for each batch size")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, default=Path("benchmark-output"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "zoo-benchmarks")
    parser.add_argument("--prepare-only", action="store_true", help="writes and compiles what engines load, no timing")
    options = parser.parse_args()
    wanted = QUICK if options.quick else {"models": list(MODELS), "batches": [1, 8, 32], "seconds": 1.0}
    for name, value in wanted.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def main() -> None:
    options = arguments()
    found = machine(options.threads)
    facts = {"machine": {name: found[name] for name in ("processor", "processors", "threads", "system", "python")},
             "versions": versions(PACKAGES), "code": code_version(), "seconds": options.seconds}
    results = begun(options.output, facts)
    results |= {"when": found["when"], "load": found["load"], "reference": REFERENCE}
    look_at_limits(results, options)
    for model in options.models:
        for _ in run_model(model, options, results):
            write(results, options.output)
        look_at_limits(results, options)
    if not options.prepare_only:
        write(results, options.output)
        print(tables(results))


if __name__ == "__main__":
    main()
