"""The clean process that has a version loaded and times calls of it: started, asked and ended from here."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from serving.errors import ExportError
from serving.export.server_files import server_environment
from serving.export.validation import clean_environment

# A trial's share of the machine must not slow down what will have a machine of its own.
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
                    "TF_NUM_INTEROP_THREADS")
_VARIABLES = MappingProxyType({"intra_op": "TF_NUM_INTRAOP_THREADS", "inter_op": "TF_NUM_INTEROP_THREADS"})
_START_SECONDS = 300.0


class MeasuringProcess:
    """A process of its own that has loaded a version and waits; a context manager, which ends it.

    Args:
        folder: The version's folder, with a request of one example among its warm-up records. The process has the
            environment of its `server.env`.
        threads: "intra_op" and "inter_op", the threads within one operation and across them; None leaves them to
            TensorFlow.
    """

    def __init__(self, folder: Path, threads: Mapping[str, int] | None = None) -> None:
        environment = {name: value for name, value in clean_environment().items() if name not in _THREAD_SETTINGS}
        environment |= server_environment(folder)
        environment |= {_VARIABLES[name]: str(count) for name, count in (threads or {}).items()}
        command = [sys.executable, "-m", "serving.export.measure", str(folder)]
        # Closed by __exit__, as the process is.
        self._words = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=self._words, text=True)

    def __enter__(self) -> MeasuringProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.__exit__(kind, error, trace)
        self._words.close()

    def wait_until_ready(self) -> None:
        """Returns when the version is loaded.

        Raises:
            ExportError: It cannot be loaded, or does not answer.
        """
        self._answer()

    def ask(self, **wanted: float) -> dict[str, Any]:
        """Has calls timed.

        Args:
            **wanted: `rows` and `seconds` of `Stopwatch.times`; nothing for `Stopwatch.measure`.

        Returns:
            What these return.

        Raises:
            ExportError: The version fails, or the process has ended.
        """
        if self._process.stdin is not None and self._process.poll() is None:
            self._process.stdin.write(json.dumps(wanted) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            self._process.wait(_START_SECONDS)
            self._words.seek(0)
            said = " ".join(self._words.read().split())[-600:]
            raise ExportError(f"The measuring process ended with code {self._process.returncode} and no answer. Its "
                              f"last words: {said or 'none'}") from None
        if "error" in answer:
            raise ExportError(f"The exported model could not be measured: {answer['error']}")
        return answer
