"""What Ray says of a trial that it lost."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)

from tuning.errors import EngineError
from tuning.executors.ray_link import Loss
from tuning.executors.ray_scheduler import StudyScheduler, loss_of


class Listening:
    """A link that notes down what it is told."""

    def __init__(self) -> None:
        self.lost_of: list[tuple[str, Loss]] = []

    def lost(self, attempt: str, loss: Loss) -> None:
        self.lost_of.append((attempt, loss))


@pytest.mark.parametrize(("error", "kind", "engine"), [
    (ActorDiedError(), "lost", False), (RayActorError(), "lost", False), (WorkerCrashedError(), "lost", False),
    (ActorUnavailableError("The actor is away", None), "lost", False),
    (OutOfMemoryError("it took 9 GB"), "memory", False),
    (RayTaskError("setup", "a trace\nEngineError: no folder", EngineError("no folder")), "error", True),
    (RayActorError(actor_init_failed=True), "error", True)], ids=lambda value: type(value).__name__)
def test_the_kind_decides_what_follows(error: Exception, kind: str, engine: bool) -> None:
    """A dead node or worker is tried again, want of memory is memory, and a refusal of the worker ends the search."""
    loss = loss_of(error)
    assert (loss.kind, loss.engine) == (kind, engine)
    assert loss.error


def test_a_refusal_keeps_its_words() -> None:
    """What a node said when it refused is what the user reads."""
    loss = loss_of(RayTaskError("setup", "a trace\ntuning.errors.EngineError: The node n7 has no folder", ValueError()))
    assert loss.error.endswith("The node n7 has no folder")


@pytest.mark.parametrize("how", ["pickled", "text", "nothing"])
def test_the_error_is_read_where_tune_wrote_it(tmp_path: Path, how: str) -> None:
    """Ray's error beside the trial gives the reason, or its text does; a trial without either is lost all the same."""
    trial: Any = SimpleNamespace(trial_id="t1", pickled_error_file=None, error_file=None)
    if how == "pickled":
        trial.pickled_error_file = str(tmp_path / "error.pkl")
        Path(trial.pickled_error_file).write_bytes(cloudpickle.dumps(OutOfMemoryError("it took 9 GB")))
    elif how == "text":
        trial.error_file = str(tmp_path / "error.txt")
        Path(trial.error_file).write_text("Failure # 1\nSomething else")
    link: Any = Listening()
    StudyScheduler(link).on_trial_error(None, trial)
    (attempt, loss), = link.lost_of
    expected = {"pickled": ("memory", "it took 9 GB"), "text": ("lost", "Something else"),
                "nothing": ("lost", "no reason was given")}[how]
    assert attempt == "t1"
    assert loss.kind == expected[0]
    assert expected[1] in loss.error
