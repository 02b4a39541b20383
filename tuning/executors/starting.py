"""Which way trials' processes are begun on this machine."""

from __future__ import annotations

from tuning.executors.forking import ZygoteLauncher, forking_is_safe
from tuning.executors.fresh_start import FreshLauncher
from tuning.executors.launching import Launcher

RUNNER = "tuning.programs.running:run_task"
# Imported once, in the process that trials are forked from. Nothing of them computes anything when it is imported.
WARMED = ("tensorflow", "keras", "zoo.runs", "keras_tuner")


def make_launcher(runner: str = RUNNER, modules: tuple[str, ...] | None = None, *, fork: bool | None) -> Launcher:
    """Makes what begins trials' processes.

    Args:
        runner: What runs a program, as "module:function".
        modules: What a zygote imports besides; None takes what the programs of this package need.
        fork: Whether processes are forked from a zygote; None where that is safe: on Linux, and with no graphics card
            to be seen, whose driver cannot be taken through a fork.

    Returns:
        The launcher.
    """
    if forking_is_safe() if fork is None else fork:
        return ZygoteLauncher(runner, (WARMED if runner == RUNNER else ()) if modules is None else modules)
    return FreshLauncher(runner)
