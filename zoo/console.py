"""How commands talk: one line per error, tables and progress on a terminal, JSON for machines."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from zoo.errors import ZooError

EXIT_UNEXPECTED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, the shell's convention

DEBUG_VARIABLE = "ZOO_DEBUG"

# What the operating system says when the user's disk or path is at fault, not the program.
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(app: Callable[[], Any]) -> int:
    """Runs a command-line application and turns its errors into one line and an exit code.

    Args:
        app: The application; it may raise SystemExit.

    Returns:
        0, 2 for bad input, 130 for an interrupt, 1 for anything unexpected. With ZOO_DEBUG=1 the traceback of an
        error is shown instead.
    """
    warnings.showwarning = _show_warning
    try:
        app()
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except KeyboardInterrupt:
        complain("interrupted")
        return EXIT_INTERRUPTED
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        return _explain(error)
    return 0


def _explain(error: Exception) -> int:
    if isinstance(error, ZooError) or hasattr(error, "exit_code"):  # serving's errors carry an exit code
        complain(str(error))
        return int(getattr(error, "exit_code", EXIT_BAD_INPUT))
    if isinstance(error, OSError):
        if error.errno in _DISK_FULL:
            complain(f"no space left to write {error.filename or 'a file'}. Free some space and run the command again.")
        else:
            complain(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return EXIT_BAD_INPUT
    complain(f"unexpected {type(error).__name__}: {error}. Run again with {DEBUG_VARIABLE}=1 to see where.")
    return EXIT_UNEXPECTED


def complain(message: str) -> None:
    """Writes one error line to the standard error stream."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr, flush=True)


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None,
                  line: str | None = None) -> None:
    """Shows our own warnings in one line; those of libraries are for developers, not for users of a command."""
    if category.__module__.split(".")[0] in ("zoo", "serving", "tuning"):
        print(f"warning: {message}", file=sys.stderr, flush=True)


def print_json(data: Any) -> None:
    """Writes data as one JSON document to the standard output stream."""
    json.dump(data, sys.stdout, indent=2, sort_keys=True, default=str)
    sys.stdout.write("\n")


@contextlib.contextmanager
def _silenced_stderr() -> Iterator[None]:
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "w") as sink:  # noqa: PTH123  (a device, not a path of ours)
        os.dup2(sink.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def load_tensorflow() -> None:
    """Imports TensorFlow without the lines that its C++ part writes at start-up, which no setting turns off."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silenced_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()
        tf.constant(0)
