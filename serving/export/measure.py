"""The clean process that times an exported version: `python -m serving.export.measure DIRECTORY`.

It loads the version and prints {"ready": true}. For each line on the standard input it prints measures: for {} those of
`Stopwatch.measure`, for {"rows": 8, "seconds": 0.3} those of `Stopwatch.times`. Other processes use
`serving.export.measuring_process`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

from serving.errors import ServingError

_STOPWATCH = "serving.export.stopwatch"
_KEPT_OUT = ("keras", "tf_keras", "zoo")


def main(arguments: list[str]) -> int:
    """Times the version named on the command line and returns the exit code."""
    if hasattr(os, "sched_setaffinity"):
        # A trial has a share of the cores; the system leaves out those that are not for us.
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    # As in a TensorFlow Serving, there is no Keras here; the stopwatch, which loads TensorFlow, comes after.
    sys.modules.update(dict.fromkeys(_KEPT_OUT))  # type: ignore[arg-type]
    stopwatch = importlib.import_module(_STOPWATCH)
    try:
        with stopwatch.Stopwatch(Path(arguments[0]), alone=True) as watch:
            print(json.dumps({"ready": True}), flush=True)
            for line in sys.stdin:
                wanted = json.loads(line)
                print(json.dumps(watch.times(**wanted) if wanted else watch.measure()), flush=True)
    except ServingError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
