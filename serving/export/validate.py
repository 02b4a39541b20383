"""The clean process that judges an exported version: `python -m serving.export.validate DIRECTORY`.

It prints a JSON report to the standard output and one line per finding to the standard error. Exit code 0 = can be
served, 1 = findings, 2 = wrong arguments. Call `serving.export.validation.validate` from other processes.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from serving.export.op_lists import releases
from serving.export.validation import DEFAULT_TARGET

_VALIDATOR = "serving.export.validator"
_KEPT_OUT = ("keras", "tf_keras", "zoo")


def main(arguments: list[str] | None = None) -> int:
    """Validates the folder named on the command line and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m serving.export.validate",
                                     description="Checks an exported version in a process without keras and zoo.")
    parser.add_argument("directory", type=Path, help="a version folder, such as models/mnist/1")
    parser.add_argument("--target-serving", default=DEFAULT_TARGET, metavar="RELEASE",
                        help=f"TensorFlow Serving release: {', '.join(releases())} (default {DEFAULT_TARGET})")
    options = parser.parse_args(arguments)
    if not options.directory.is_dir():
        parser.error(f"{options.directory} is no folder. Expected a version folder such as models/mnist/1.")
    # TensorFlow imports Keras where it finds it, and Keras registers what a SavedModel from Keras may need. A
    # TensorFlow Serving has neither, so here they cannot be imported; hence the validator, which loads TensorFlow,
    # comes after.
    sys.modules.update(dict.fromkeys(_KEPT_OUT))  # type: ignore[arg-type]
    validator = importlib.import_module(_VALIDATOR).Validator(options.directory, options.target_serving, alone=True)
    report = validator.run()
    sys.stdout.write(report.to_json() + "\n")
    for finding in report.findings:
        sys.stderr.write(f"{finding}\n")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
