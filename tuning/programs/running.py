"""One attempt at a trial from beginning to end, whatever goes wrong in it."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Mapping
from typing import Any

from tuning.programs.failures import outcome_of
from tuning.programs.loading import load_program
from tuning.programs.protocol import TrialContext
from tuning.trial import TrialOutcome


def run_task(description: Mapping[str, Any], context: TrialContext) -> TrialOutcome:
    """Runs the attempt that a context names, in this process.

    Args:
        description: `SearchConfig.to_dict()`, as a study offers it.
        context: The engine's side.

    Returns:
        How it ended. What goes wrong is told in it and printed with its trace; nothing but the end of the process
        (KeyboardInterrupt, SystemExit) is raised.
    """
    begun = time.monotonic()
    try:
        outcome = load_program(description).run(context)
    except Exception as error:
        traceback.print_exc()
        outcome = outcome_of(error)
    return dataclasses.replace(outcome, seconds=time.monotonic() - begun)
