"""Candidates that are trained: a run's model pruned, pruned further with itself as teacher, and for eight bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from zoo.bundle import load
from zoo.compression.pruning import STRUCTURED
from zoo.compression.quantization_aware import QuantizationAware
from zoo.compression.tracing import trace
from zoo.errors import ArgumentError, ZooError
from zoo.pruned_runs import PruningPlan, prune_run, recovery_config
from zoo.retraining import gentle_config, retrain, saved_record

# Of the filters, units and heads: what recovers well, and what needs a teacher for it.
_PRUNED, _DISTILLED = 0.3, 0.5

Tell = Callable[[str], None]


def retrained(run: Path, folder: Path, epochs: int, tell: Tell = lambda _: None) -> list[Path]:
    """Trains candidates from a run and its own data; the same call after a crash goes on where it was.

    Args:
        run: The run's folder.
        folder: Where their runs are made: `pruned`, `distilled` and `eight_bits` in it.
        epochs: Passes over the training data for each.
        tell: Called with a line now and then; also with the reason where a candidate cannot be made.

    Returns:
        The folders of those that were made.

    Raises:
        ZooError: The run says nothing of its data, or `epochs` is out of range.
    """
    record = saved_record(run)
    recovery_config(record, epochs=epochs)
    makers: dict[str, Callable[[Path], object]] = {
        "pruned": lambda place: prune_run(run, place, PruningPlan(method=_methods(run), fraction=_PRUNED),
                                          config=recovery_config(record, epochs=epochs)),
        "distilled": lambda place: prune_run(run, place, PruningPlan(method=_methods(run), fraction=_DISTILLED),
                                             config=recovery_config(record, epochs=epochs), teacher=run),
        "eight_bits": lambda place: retrain(run, place, gentle_config(record, epochs=epochs),
                                            techniques=[QuantizationAware()])}
    found = []
    for name, make in makers.items():
        tell(f"training {name}")
        try:
            make(folder / name)
        except ZooError as error:
            tell(f"no candidate {name}: {error}")
        else:
            found.append(folder / name)
    return found


def _methods(run: Path) -> str:
    """Everything in the model that can be made narrower, as `zoo.compression.pruning.prune` takes it."""
    parts = trace(load(run))
    kinds = [kind for kind in STRUCTURED if parts.groups(kind)]  # type: ignore[arg-type]
    if not kinds:
        raise ArgumentError("nothing in the model can be removed: it has no filters, units or heads that are known.")
    return "+".join(kinds)
