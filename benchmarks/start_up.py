"""How long the light doors take beside what users of the field wait for. Prints medians and ratios.

    python benchmarks/start_up.py [--repeats 7]

Each row is a whole process, started interleaved with the others, so a noisy machine hits all of them alike.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

ROWS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "zoo list": [sys.executable, "-m", "zoo", "list"],
    "zoo --help": [sys.executable, "-m", "zoo", "--help"],
    "import zoo": [sys.executable, "-c", "import zoo"],
    "import serving.client": [sys.executable, "-c", "import serving.client"],
    "import tensorflow": [sys.executable, "-c", "import tensorflow"],
    "import keras": [sys.executable, "-c", "import keras"],
    "import keras_hub (lists its presets)": [sys.executable, "-c", "import keras_hub"],
    "import tensorflow_serving.apis (its client)": [
        sys.executable, "-c", "from tensorflow_serving.apis import prediction_service_pb2_grpc"],
}


def seconds(command: list[str]) -> float | None:
    start = time.perf_counter()
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start if result.returncode == 0 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    times: dict[str, list[float]] = {name: [] for name in ROWS}
    for _ in range(repeats):
        for name, command in ROWS.items():
            taken = seconds(command)
            if taken is not None:
                times[name].append(taken)
    reference = statistics.median(times["zoo list"])
    print(f"{'what':45} {'median s':>9} {'min s':>7} {'max s':>7}   against `zoo list`")
    for name, values in times.items():
        if values:
            median = statistics.median(values)
            print(f"{name:45} {median:9.3f} {min(values):7.3f} {max(values):7.3f}   {median / reference:6.1f}x")
        else:
            print(f"{name:45} not installed or failed")


if __name__ == "__main__":
    main()
