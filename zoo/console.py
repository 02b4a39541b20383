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


def load_tensorflow() -> None:
    """Imports TensorFlow and keeps the chatter of its C++ part off the terminal, which no setting of its own does.

    Python's standard error stream stays as it is; what is written past it, straight to the process's descriptor, is
    dropped. With ZOO_DEBUG=1 everything is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not os.environ.get(DEBUG_VARIABLE):
        _drop_foreign_chatter()
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")


def _drop_foreign_chatter() -> None:
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    with open(os.devnull, "w") as sink:  # noqa: PTH123  (a device, not a path of ours)
        os.dup2(sink.fileno(), 2)


@contextlib.contextmanager
def counted_progress(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None] | None]:
    """Shows a bar for work that counts its steps.

    Args:
        what: A word for the work.
        quiet: Whether nothing is shown, for output that machines read.

    Yields:
        A function of (steps done, steps in all), or None where nothing is shown.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class TrainingDisplay:
    """Shows a training as it goes: a bar per epoch on a terminal, and one line per finished epoch everywhere."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> TrainingDisplay:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                                 TimeRemainingColumn(), console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def announce(self, data: Any) -> None:
        """Says what was found in the data.

        Args:
            data: The labelled data.
        """
        parts = [f"{part.count} {name}" for name, part in (("train", data.train), ("validation", data.validation),
                                                           ("test", data.test)) if part is not None]
        classes = f", {len(data.labels)} classes" if data.labels else ""
        self._say(f"data: {', '.join(parts)}{classes}")
        if data.report.excluded or data.report.notes:
            self._say(str(data.report))

    def show(self, event: Any) -> None:
        """Shows one event of a training.

        Args:
            event: An event of `zoo.training.events`.
        """
        kind = type(event).__name__
        if kind == "RunResumed":
            self._say(f"going on after epoch {event.epoch} of {event.epochs}")
        elif kind == "EpochEnded":
            if self._task is not None:
                self._bar.remove_task(self._task)
                self._task = None
            best = "  best so far" if event.best else ""
            self._say(f"epoch {event.epoch}/{event.epochs}  {_measures(event.logs)}  {event.seconds:.1f} s{best}")
        elif self._bar is not None and kind == "EpochBegun":
            self._task = self._bar.add_task(f"epoch {event.epoch}/{event.epochs}", total=event.batches)
        elif self._task is not None and kind == "BatchDone":
            self._bar.update(self._task, completed=event.batch)

    def _say(self, text: str) -> None:
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)


def _measures(logs: Any) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in logs.items() if name not in ("epoch", "learning_rate"))
