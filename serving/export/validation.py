"""Validating an exported version from any process: starts a clean one and reads its report. Light: no TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serving.errors import ValidationError

DEFAULT_TARGET = "2.20"
TIMEOUT_SECONDS = 1800.0
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Finding:
    """Something that must be mended before the version is served: which check found what."""

    check: str
    message: str

    def __str__(self) -> str:
        return f"{self.check}: {self.message}"


@dataclass(frozen=True)
class Check:
    """A check that ran, and in words what it looked at."""

    name: str
    detail: str


@dataclass(frozen=True)
class ValidationReport:
    """What a validation found.

    Attributes:
        directory: The version's folder.
        target_serving: The TensorFlow Serving release that it was checked against.
        checks: What was looked at, in order.
        findings: What is wrong; empty = the version can be served.
        seconds: How long it took.
    """

    directory: str
    target_serving: str
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the version can be served."""
        return not self.findings

    def to_json(self) -> str:
        """The report as JSON text."""
        return json.dumps({"ok": self.ok, **asdict(self)}, indent=1, ensure_ascii=False)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ValidationReport:
        """Reads what `to_json` wrote, parsed."""
        return cls(data["directory"], data["target_serving"], tuple(Check(**item) for item in data["checks"]),
                   tuple(Finding(**item) for item in data["findings"]), data["seconds"])

    def require_ok(self) -> None:
        """Does nothing for a version that can be served.

        Raises:
            ValidationError: It cannot; the message has a line per finding.
        """
        if not self.ok:
            lines = "\n".join(f"  - {finding}" for finding in self.findings)
            raise ValidationError(f"{self.directory} must not be served:\n{lines}")


def validate(directory: str | Path, *, target_serving: str = DEFAULT_TARGET,
             timeout_seconds: float = TIMEOUT_SECONDS) -> ValidationReport:
    """Checks an exported version in a process of its own, which loads it as TensorFlow Serving does.

    That process imports neither keras nor zoo, and uses the CPU, so nothing of this one can make up for what the
    files lack.

    Args:
        directory: The version's folder.
        target_serving: The release whose operations may be used.
        timeout_seconds: When to give up.

    Returns:
        The report. Faults of the version are findings in it, a crash or time-out of the process too.

    Raises:
        ValidationError: There is no such folder.
    """
    directory = Path(directory).absolute()
    if not directory.is_dir():
        raise ValidationError(f"{directory} is no folder. Expected a version folder such as <root>/<model>/1.")
    command = [sys.executable, "-m", "serving.export.validate", str(directory), "--target-serving", target_serving]
    try:
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, errors="replace",
                              check=False, timeout=timeout_seconds, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return _failed(directory, target_serving, f"gave no answer within {timeout_seconds:.0f} s; loading or "
                       "replaying the warm-up records takes too long, or hangs", timeout_seconds)
    try:
        return ValidationReport.from_dict(json.loads(done.stdout))
    except (ValueError, KeyError, TypeError):
        return _failed(directory, target_serving, f"ended with code {done.returncode} and no report. Its last words: "
                       f"{' '.join(done.stderr.split())[-600:] or 'none'}", 0.0)


def _failed(directory: Path, target: str, message: str, seconds: float) -> ValidationReport:
    finding = Finding("process", f"The validating process {message}")
    return ValidationReport(str(directory), target, (), (finding,), seconds)


def clean_environment() -> dict[str, str]:
    """Returns the environment of a process that judges a version: this one's packages, the CPU and few words."""
    environment = dict(os.environ)
    paths = [str(_PACKAGE_ROOT), environment.get("PYTHONPATH", "")]
    return environment | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "CUDA_VISIBLE_DEVICES": "-1",
                          "TF_CPP_MIN_LOG_LEVEL": "3"}
