"""Errors in one line with their exit codes, JSON alone on standard output, progress, and native chatter dropped."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer

from serving.errors import ExportError
from zoo import console
from zoo.errors import ArgumentError, UnknownNameError
from zoo.training.events import BatchDone, EpochBegun, EpochEnded, RunResumed


def application(action: Callable[[], Any]) -> Callable[[], typer.Typer]:
    def make() -> typer.Typer:
        app = typer.Typer(name="test", add_completion=False)

        @app.command()
        def do() -> None:
            action()

        return app

    return make


def fails_with(error: BaseException) -> Callable[[], Any]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(("error", "code", "line"), [
    (ArgumentError("two\n  lines"), 2, "error: two lines"),
    (UnknownNameError("model", "resnt", ["resnet"]), 2, "error: Unknown model 'resnt'. Did you mean 'resnet'?"),
    (ExportError("no"), 2, "error: no"),
    (OSError(errno.ENOSPC, "No space", "big.bin"), 2, "error: no space left to write big.bin. Free some space and run "
                                                      "the command again."),
    (OSError(errno.EFBIG, "too large"), 2, "error: no space left to write a file. Free some space and run the command "
                                           "again."),
    (PermissionError(errno.EACCES, "Permission denied", "f"), 2, "error: Permission denied: f"),
    (KeyboardInterrupt(), 130, "error: interrupted"),
    (ZeroDivisionError("oh"), 1, "error: unexpected ZeroDivisionError: oh. Run again with ZOO_DEBUG=1 to see where."),
])
def test_each_kind_of_error_has_its_line_and_code(error: BaseException, code: int, line: str,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """One line on standard error; 2 for what the user can mend, 130 for an interrupt, 1 for a fault of ours."""
    assert console.run(application(fails_with(error)), []) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"{line}\n"


def test_success_and_chosen_codes_pass_through() -> None:
    """0 without an error, and the code that a command asks for."""
    assert console.run(application(lambda: None), []) == 0
    assert console.run(application(fails_with(typer.Exit(7))), []) == 7
    assert console.run(application(fails_with(SystemExit(3))), []) == 3


def test_a_closed_pipe_is_no_error() -> None:
    """`zoo list | true` says nothing about the pipe, nor does Python at its end."""
    process = subprocess.Popen([sys.executable, "-m", "zoo", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 1


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ZOO_DEBUG=1 the error comes through whole."""
    monkeypatch.setenv("ZOO_DEBUG", "1")
    with pytest.raises(ArgumentError):
        console.run(application(fails_with(ArgumentError("x"))), [])


def test_our_warnings_are_shown_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Warnings of zoo are for the user; those of a library are for its developers."""
    foreign = type("ForeignWarning", (UserWarning,), {"__module__": "numpy.core"})
    console._show_warning("look here", console_warning(), "f.py", 1)
    console._show_warning("never mind", foreign, "f.py", 1)
    assert capsys.readouterr().err == "warning: look here\n"


def console_warning() -> type[Warning]:
    from zoo.registry import PluginWarning

    return PluginWarning


def test_errors_inside_speak_of_options() -> None:
    """Python's argument names become the options that set them; other words stay."""
    options = {"input_shape": "--size", "restart": "--restart"}
    with pytest.raises(ArgumentError, match=r"^`--size` or --restart, not `other` nor deep=True$"), \
            console.naming_options(options):
        raise ExportError("`input_shape` or restart=True, not `other` nor deep=True")
    plain = UnknownNameError("model", "x", [])
    with pytest.raises(UnknownNameError) as caught, console.naming_options(options):
        raise plain
    assert caught.value is plain
    with pytest.raises(ZeroDivisionError), console.naming_options(options):
        raise ZeroDivisionError("`input_shape`")


def test_json_has_standard_output_for_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """What a library prints meanwhile goes to standard error."""
    with console.only_json(True) as write:
        print("Downloading ...")
    write({"a": (1, math.nan, math.inf), 2: {"b": -math.inf}})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": [1, None, None], "2": {"b": None}}
    assert err == "Downloading ...\n"


def test_without_json_nothing_is_redirected(capsys: pytest.CaptureFixture[str]) -> None:
    """People see what is printed where it was printed."""
    with console.only_json(False):
        print("hello")
    assert capsys.readouterr().out == "hello\n"


@contextlib.contextmanager
def display(quiet: bool) -> Iterator[console.TrainingDisplay]:
    with console.TrainingDisplay(quiet=quiet) as shown:
        yield shown


def events(shown: console.TrainingDisplay) -> None:
    shown.show(RunResumed(epoch=1, epochs=3))
    shown.show(EpochBegun(epoch=2, epochs=3, batches=2, learning_rate=0.1, frozen=False))
    shown.show(BatchDone(epoch=2, batch=1, batches=2, logs={"loss": 1.0}))
    shown.show(EpochEnded(epoch=2, epochs=3, logs={"epoch": 2, "learning_rate": 0.1, "loss": 0.25}, seconds=1.25,
                          best=True))


def test_a_training_is_told_by_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no terminal, one line per finished epoch goes to standard error."""
    with display(quiet=False) as shown:
        events(shown)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["going on after epoch 1 of 3", "epoch 2/3  loss 0.25  1.2 s  best so far"]


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json nothing is told on the way."""
    with display(quiet=True) as shown:
        events(shown)
    with console.counted_progress("work", quiet=True) as progress:
        assert progress is None
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_with_names_as_they_are(monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    """Square brackets in a file's name are no markup."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with display(quiet=False) as shown:
        events(shown)
        shown._say("left out: [bold]x.png")
    with console.counted_progress("work") as progress:
        assert progress is not None
        progress(1, 2)
    assert "left out: [bold]x.png" in capsys.readouterr().err


def test_an_interrupt_that_was_swallowed_comes_back() -> None:
    """Where a library loses KeyboardInterrupt, the next event raises it; afterwards the handler is as before."""
    before = signal.getsignal(signal.SIGINT)
    with display(quiet=True) as shown:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            events(shown)
    assert signal.getsignal(signal.SIGINT) is before


CHATTER = """
import os, sys
from zoo import console
show_again = console.drop_foreign_chatter()
os.write(2, b"native 1\\n")
print("python 1", file=sys.stderr)
console.drop_foreign_chatter()()  # a second one neither hides more nor shows again
os.write(2, b"native 2\\n")
show_again()
os.write(2, b"native 3\\n")
print("python 2", file=sys.stderr)
"""


@pytest.mark.parametrize(("debug", "expected"), [
    ("", ["python 1", "native 3", "python 2"]),
    ("1", ["native 1", "python 1", "native 2", "native 3", "python 2"]),
])
def test_native_chatter_is_dropped_and_ours_is_not(debug: str, expected: list[str],
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """What C++ writes past Python's stream is dropped until shown again; ZOO_DEBUG=1 shows all."""
    monkeypatch.setenv("ZOO_DEBUG", debug)
    done = subprocess.run([sys.executable, "-c", CHATTER], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.splitlines() == expected


LEAVING = """
import atexit, sys
from zoo import console
atexit.register(print, "at exit", end="")
print("said before", end=" ")
class Late:
    def __del__(self): print("taken down", flush=True)
late = Late()
console.leave(int(sys.argv[1]))
"""


@pytest.mark.parametrize(("code", "taken_down"), [(130, False), (2, True), (0, True)])
def test_an_interrupted_process_is_not_taken_down_around_its_threads(code: int, taken_down: bool) -> None:
    """What was printed and what is due at the exit still comes; only the teardown of the interpreter is left out."""
    done = subprocess.run([sys.executable, "-c", LEAVING, str(code)], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "said before" in done.stdout and "at exit" in done.stdout
    assert ("taken down" in done.stdout) == taken_down
