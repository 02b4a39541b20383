"""What the trials of these tests do: a `runner` without TensorFlow, so that a zygote is ready in a moment.

The hyperparameter "errand" names it. Numbers are reported as "loss".
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tuning.executors.channel import ChannelContext
from tuning.trial import EpochReport, TrialOutcome


def run(program: Mapping[str, Any], context: ChannelContext) -> TrialOutcome:
    """Does what the trial's hyperparameter says."""
    folder = context.folder.trial(context.task.trial)
    attempts = folder / "attempts"
    with attempts.open("a") as file:
        file.write(f"{os.getpid()} {context.task.attempt}\n")
    errand, _, argument = str(context.task.values["errand"]).partition(" ")
    first_time = len(attempts.read_text().splitlines()) == 1
    answer = globals()[f"do_{errand}"](context, folder, argument, first_time)
    if isinstance(answer, TrialOutcome):
        return answer
    return TrialOutcome(status="completed", executions=({"loss": 1.0, "val_loss": float(answer or 0.0)},))


def do_train(context: ChannelContext, folder: Path, seconds: str, first_time: bool) -> TrialOutcome | float:
    """Trains for `epochs` epochs of some seconds each, saved one by one, and goes on from what is saved."""
    saved = folder / "epochs"
    done = len(saved.read_text().splitlines()) if saved.exists() else 0
    for epoch in range(1, context.task.epochs + 1):
        if epoch > done:
            time.sleep(float(seconds or 0))
            with saved.open("a") as file:
                file.write(f"{epoch} {os.getpid()} {time.time()}\n")
        if not context.report(EpochReport(epoch=epoch, values={"loss": 1 / epoch, "val_loss": 1 / epoch})):
            return TrialOutcome(status="stopped", executions=({"val_loss": 1 / epoch},))
    return 1 / context.task.epochs


def do_train_to(context: ChannelContext, folder: Path, epoch: str, first_time: bool) -> TrialOutcome | float:
    """Trains so, but hangs at the first attempt once an epoch is saved and reported."""
    report = context.report

    def report_and_hang(ended: EpochReport) -> bool:
        goes_on = report(ended)
        if first_time and ended.epoch == int(epoch):
            do_hang(context, folder, "", first_time)
        return goes_on

    context.report = report_and_hang  # type: ignore[method-assign]
    return do_train(context, folder, "", first_time)


def do_die(context: ChannelContext, folder: Path, how: str, first_time: bool) -> None:
    """Ends without an outcome: by a signal, or with an exit code."""
    print("what it printed last", flush=True)
    if how.isdigit():
        os._exit(int(how))
    os.kill(os.getpid(), getattr(signal, how))
    time.sleep(60)


def do_die_once(context: ChannelContext, folder: Path, how: str, first_time: bool) -> float:
    """Does so at the first attempt, in the midst of its epochs."""
    context.report(EpochReport(epoch=1, values={"val_loss": 3.0}))
    if first_time:
        do_die(context, folder, how, first_time)
    return 0.5


def do_raise(context: ChannelContext, folder: Path, name: str, first_time: bool) -> None:
    """Raises."""
    raise {"MemoryError": MemoryError, "ValueError": ValueError}[name]("so many words")


def do_eat(context: ChannelContext, folder: Path, megabytes: str, first_time: bool) -> None:
    """Takes memory, and keeps it."""
    kept = b"x" * (int(megabytes) * 1_000_000)
    time.sleep(30)
    print(len(kept))


def do_hang(context: ChannelContext, folder: Path, argument: str, first_time: bool) -> None:
    """Never ends, nor does what it began."""
    begun = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (folder / "writing").write_text(str(begun.pid))
    (folder / "writing").rename(folder / "began")
    time.sleep(600)


def do_tell(context: ChannelContext, folder: Path, other: str, first_time: bool) -> None:
    """Writes down what this process may use, and waits until another has done so."""
    (folder / "telling").write_text(json.dumps({
        "cores": sorted(os.sched_getaffinity(0)), "threads": os.environ["OMP_NUM_THREADS"], "folder": str(Path.cwd()),
        "oom": Path("/proc/self/oom_score_adj").read_text().strip(),
        "path": sys.path, "parent": os.getppid(), "siblings": siblings(), "program": program_name(context)}))
    (folder / "telling").rename(folder / "told")
    if other:
        wait_until((context.folder.trial(other) / "told").exists)


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits, but not for ever."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise TimeoutError("what this errand waited for did not come")


def program_name(context: ChannelContext) -> str:
    """The name of the search's folder, which only the engine can have told."""
    return context.folder.path.name


def siblings() -> int:
    """How many children this process's parent has, dead ones that nobody buried included."""
    parent = os.getppid()
    return len(Path(f"/proc/{parent}/task/{parent}/children").read_text().split())


def do_leave_behind(context: ChannelContext, folder: Path, argument: str, first_time: bool) -> None:
    """Begins a process and does not end it."""
    begun = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (folder / "began").write_text(str(begun.pid))


def do_count(context: ChannelContext, folder: Path, seconds: str, first_time: bool) -> None:
    """Writes the time every few milliseconds."""
    end = time.time() + float(seconds)
    with (folder / "ticks").open("a") as file:
        while time.time() < end:
            file.write(f"{time.time()}\n")
            file.flush()
            time.sleep(0.005)


def do_count_until(context: ChannelContext, folder: Path, others: str, first_time: bool) -> None:
    """Writes the time every few milliseconds, until the others that are named have measured and a while longer."""
    waited = [context.folder.trial(name) / "quiet" for name in others.split(",")]
    left = 20
    with (folder / "ticks").open("a") as file:
        while left:
            file.write(f"{time.time()}\n")
            file.flush()
            time.sleep(0.005)
            left -= all(path.exists() for path in waited)


def do_measure_beside(context: ChannelContext, folder: Path, words: str, first_time: bool) -> None:
    """Does so while another counts."""
    seconds, counting = words.split()
    wait_until((context.folder.trial(counting) / "ticks").exists)
    do_measure(context, folder, seconds, first_time)


def do_measure(context: ChannelContext, folder: Path, seconds: str, first_time: bool) -> None:
    """Measures in quiet, and writes down from when till when."""
    time.sleep(0.3)
    with context.quiet():
        begun = time.time()
        time.sleep(float(seconds))
        (folder / "writing").write_text(f"{begun} {time.time()}")
        (folder / "writing").rename(folder / "quiet")


def do_measure_and_die(context: ChannelContext, folder: Path, seconds: str, first_time: bool) -> None:
    """Dies while it measures."""
    with context.quiet():
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)


def do_full_disk(context: ChannelContext, folder: Path, argument: str, first_time: bool) -> TrialOutcome | None:
    """Says at the first attempt that the disk is full."""
    if first_time:
        return TrialOutcome(status="interrupted", error="No space left on device")
    return None


def do_hang_once(context: ChannelContext, folder: Path, argument: str, first_time: bool) -> None:
    """Hangs at the first attempt."""
    if first_time:
        do_hang(context, folder, argument, first_time)


def do_show_card(context: ChannelContext, folder: Path, argument: str, first_time: bool) -> None:
    """Writes down which card TensorFlow would see."""
    names = ("CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH")
    (folder / "card").write_text(json.dumps([os.environ.get(name) for name in names]))


def do_descend(context: ChannelContext, folder: Path, bottom: str, first_time: bool) -> TrialOutcome:
    """Reports losses that fall towards a number, or towards what the hyperparameter "x" makes of it."""
    lowest = float(bottom) if bottom else (float(context.task.values["x"]) - 0.3) ** 2
    status, loss = "completed", lowest
    for epoch in range(1, context.task.until_epoch + 1):
        loss = lowest + 1 / epoch
        if not context.report(EpochReport(epoch=epoch, values={"val_loss": loss})):
            status = "stopped"
            break
    return TrialOutcome(status=status, executions=({"val_loss": loss},))  # type: ignore[arg-type]
