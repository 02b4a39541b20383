"""How commands talk: one line per error, tables and progress on a terminal, JSON for machines."""

from __future__ import annotations

import atexit
import contextlib
import errno
import io
import json
import math
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from zoo.errors import ArgumentError, ZooError

if TYPE_CHECKING:
    from rich.console import Console

EXIT_UNEXPECTED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, the shell's convention

DEBUG_VARIABLE = "ZOO_DEBUG"
_STDERR = 2  # the process's descriptor
_UNLIMITED_WIDTH = 400  # characters of a line that nobody looks at on a terminal

# What the operating system says when the user's disk or path is at fault, not the program.
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(make: Callable[[], typer.Typer], arguments: Sequence[str] | None = None) -> int:
    """Runs a command-line application and turns its errors into one line and an exit code.

    Args:
        make: Makes the application.
        arguments: Words after the command's name; None takes those of the process.

    Returns:
        0, 2 for bad input, 130 for an interrupt, 1 for anything unexpected. With ZOO_DEBUG=1 the traceback of an
        error is shown instead.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            app = make()
            given: dict[str, Any] = {} if arguments is None else {"args": list(arguments), "prog_name": app.info.name}
            # Not "standalone": that would print usage errors in a box of several lines and end the process.
            code = typer.main.get_command(app).main(**given, standalone_mode=False)
            sys.stdout.flush()
        except SystemExit as exit_:  # shell completion ends so
            code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
        except Exception as error:
            if os.environ.get(DEBUG_VARIABLE):
                raise
            return _explain(error)
    if code == EXIT_INTERRUPTED:  # Typer makes it of KeyboardInterrupt
        complain("interrupted")
    return code if isinstance(code, int) else 0


def leave(code: int) -> NoReturn:
    """Ends the process with an exit code.

    Args:
        code: What `run` returned.
    """
    if code == EXIT_INTERRUPTED:
        # TensorFlow's threads may still be computing what was interrupted; taking the interpreter down around them can
        # end in a segmentation fault in place of the code.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # a pipe that nobody reads, a closed stream
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _explain(error: Exception) -> int:
    if hasattr(error, "format_message"):  # a usage error of Typer, whose classes have no public home
        return _explain_usage(error)
    if is_expected(error):
        complain(str(error))
        return int(getattr(error, "exit_code", EXIT_BAD_INPUT))
    if isinstance(error, BrokenPipeError):  # `zoo list | head`: nobody reads on, and nothing is wrong
        with contextlib.suppress(OSError, io.UnsupportedOperation):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        return EXIT_UNEXPECTED  # as Typer does where it meets it first
    if isinstance(error, OSError):
        if error.errno in _DISK_FULL:
            complain(f"no space left to write {error.filename or 'a file'}. Free some space and run the command again.")
        else:
            complain(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return EXIT_BAD_INPUT
    complain(f"unexpected {type(error).__name__}: {error}. Run again with {DEBUG_VARIABLE}=1 to see where.")
    return EXIT_UNEXPECTED


def is_expected(error: Exception) -> bool:
    """Returns whether an error was raised on purpose, in words for users: zoo's own, and serving's by their code."""
    return isinstance(error, ZooError) or isinstance(getattr(error, "exit_code", None), int)


def _explain_usage(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # the command alone: its help, which was printed already
        return EXIT_BAD_INPUT
    context = getattr(error, "ctx", None)
    where = f" See: {context.command_path} --help" if context is not None else ""
    message = error.format_message().rstrip()
    complain(f"{message}{'' if message.endswith(('.', '?')) else '.'}{where}")
    return EXIT_BAD_INPUT


def complain(message: str) -> None:
    """Writes one error line to the standard error stream."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr, flush=True)


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None,
                  line: str | None = None) -> None:
    """Shows our own warnings in one line; those of libraries are for developers, not for users of a command."""
    if category.__module__.split(".")[0] in ("zoo", "serving", "tuning"):
        print(f"warning: {message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def naming_options(options: Mapping[str, str]) -> Iterator[None]:
    """Lets errors inside speak of command-line options, where the parts below know Python arguments alone.

    Args:
        options: The option by the argument's name, such as {"input_shape": "--size"}. `restart=True` becomes
            `--restart`.
    """
    try:
        yield
    except Exception as error:
        if not is_expected(error):
            raise
        told = re.sub(r"`(\w+)`", lambda match: f"`{options.get(match[1], match[1])}`", str(error))
        told = re.sub(r"\b(\w+)=True\b", lambda match: options.get(match[1], match[0]), told)
        if told == str(error):
            raise
        raise ArgumentError(told) from error


@contextlib.contextmanager
def only_json(wanted: bool) -> Iterator[Callable[[Any], None]]:
    """Keeps the standard output stream free for one JSON document, whatever a library prints.

    Args:
        wanted: Whether JSON is wanted; otherwise nothing is changed.

    Yields:
        A function that writes the document.
    """
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext():
        yield lambda data: print_json(data, stdout)


def print_json(data: Any, stream: Any = None) -> None:
    """Writes data as one JSON document; numbers that JSON does not know (infinite, undefined) become null.

    Args:
        data: Mappings, sequences, text and numbers.
        stream: Where to; None takes the standard output stream.
    """
    out = stream or sys.stdout
    out.write(json.dumps(_finite(data), indent=2, sort_keys=True, default=str, allow_nan=False) + "\n")


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def output_console() -> Console:
    """Returns where tables go: as wide as the terminal, or as wide as they need in a pipe or file.

    The variable COLUMNS speaks of a terminal; shells that export it must not break the lines that other programs read.
    """
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    if not sys.stdout.isatty():
        console.width = _UNLIMITED_WIDTH
    return console


def load_tensorflow() -> None:
    """Imports TensorFlow and keeps the chatter of its C++ part off the terminal, which no setting of its own does.

    Python's standard error stream stays as it is; what is written past it, straight to the process's descriptor, is
    dropped. With ZOO_DEBUG=1 everything is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    drop_foreign_chatter()
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")


def drop_foreign_chatter() -> Callable[[], None]:
    """Drops what native code writes to the process's standard error, past Python's stream.

    Returns:
        A function that ends it. It does nothing where Python's stream is no longer the process's own (a test that
        captures it, a second call) or ZOO_DEBUG=1 asks for everything.
    """
    try:
        own = sys.stderr.fileno() == _STDERR
    except (OSError, ValueError, AttributeError):
        own = False
    if not own or os.environ.get(DEBUG_VARIABLE):
        return lambda: None
    sys.stderr.flush()
    terminal = os.dup(_STDERR)
    sys.stderr = os.fdopen(os.dup(_STDERR), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    with open(os.devnull, "w") as sink:  # noqa: PTH123  (a device, not a path of ours)
        os.dup2(sink.fileno(), _STDERR)

    def show_again() -> None:
        os.dup2(terminal, _STDERR)

    return show_again


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
    """Shows a training as it goes: a bar per epoch on a terminal, and one line per finished epoch everywhere.

    It also sees to it that Ctrl-C ends the training: Python raises KeyboardInterrupt wherever it is, and where that is
    a destructor of TensorFlow's the exception is lost. So it is raised again at the next event.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._interrupted = False
        self._handler_before: Any = None

    def _interrupt(self, number: int, frame: Any) -> None:
        self._interrupted = True
        signal.default_int_handler(number, frame)

    def __enter__(self) -> TrainingDisplay:
        if threading.current_thread() is threading.main_thread():
            self._handler_before = signal.signal(signal.SIGINT, self._interrupt)
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                                 TimeRemainingColumn(), console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._handler_before is not None:
            signal.signal(signal.SIGINT, self._handler_before)
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

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed before, and nothing came of it.
        """
        if self._interrupted:
            raise KeyboardInterrupt
        kind = type(event).__name__
        if kind == "RunResumed":
            self._say(f"going on after epoch {event.epoch} of {event.epochs}")
        elif kind == "BlocksUnfrozen":
            self._say(f"from epoch {event.epoch} on {event.unfrozen} of {event.blocks} blocks learn")
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
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)


def _measures(logs: Any) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in logs.items() if name not in ("epoch", "learning_rate"))
