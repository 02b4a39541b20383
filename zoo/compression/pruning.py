"""`prune`: a model without its least important parts, as a plain Keras model with its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import keras
import numpy as np

from zoo.compression.batch_norms import measure_statistics
from zoo.compression.blocks import chosen_blocks, influences, removable_blocks
from zoo.compression.cost import Cost, comparison, cost_of
from zoo.compression.criteria import importances
from zoo.compression.parts import Group
from zoo.compression.selection import least_important
from zoo.compression.sparsity import masks_for, pattern_of, prunable_kernels
from zoo.compression.surgery import copy_of, without_atoms, without_calls
from zoo.compression.tracing import trace
from zoo.errors import ArgumentError
from zoo.spec import ModelRecord, attach_record, record_of
from zoo.training.config import TrainingConfig
from zoo.training.objective import objective_for
from zoo.training.protocols import TrainingData

STRUCTURED = ("filters", "units", "heads")
METHODS = (*STRUCTURED, "layers", "magnitude")
MULTIPLES: Mapping[str, int] = {"filters": 8, "units": 8, "heads": 1}  # what processors compute at once
EXAMPLES = 512  # that are asked what matters


@dataclass(frozen=True, kw_only=True)
class Change:
    """What became of one group of parts, or of one layer.

    Attributes:
        name: The layers that make the parts, or the layer that is gone.
        kind: "filters", "units", "heads", "layers" or "numbers".
        before: How many there were.
        after: How many are left.
    """

    name: str
    kind: str
    before: int
    after: int


@dataclass(frozen=True, kw_only=True)
class PruningReport:
    """What was removed, and what it saves.

    Attributes:
        method: The method, several joined by "+".
        fraction: The fraction that was asked for; None with a pattern.
        criterion: What decided.
        changes: What became of each group.
        before: The model's cost before.
        after: And afterwards.
        settings: Further settings, JSON-ready.
    """

    method: str
    fraction: float | None
    criterion: str
    changes: tuple[Change, ...]
    before: Cost
    after: Cost
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON-ready data."""
        return {"method": self.method, "fraction": self.fraction, "criterion": self.criterion,
                "settings": dict(self.settings), "changes": [asdict(change) for change in self.changes],
                "before": self.before.to_dict(), "after": self.after.to_dict()}

    def summary(self) -> str:
        """Returns it in a few words."""
        return comparison(self.before, self.after)


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """A pruned model and what was done to it."""

    model: keras.Model
    report: PruningReport


def prune(model: keras.Model, *, method: str, fraction: float | None = None, criterion: str | None = None,
          data: TrainingData | None = None, examples: int = EXAMPLES, batch_size: int = 32, scope: str = "group",
          multiple: int | None = None, pattern: str | None = None, steps: int = 128) -> Pruned:
    """Removes the least important parts of a model; train it afterwards, so that it recovers.

    "filters", "units" (of dense layers and feed-forward nets) and "heads" make layers smaller, joined by "+" several of
    them at once; "layers" leaves out whole Transformer or residual blocks. The result is a plain Keras model of smaller
    layers, which any export makes faster. "magnitude" sets single numbers to zero instead, which compressed files gain
    from and TensorFlow's kernels do not.

    Args:
        model: A functional model with a record, as `zoo.build` and `zoo.load` return it; left as it is.
        method: One of `METHODS`, or several of `STRUCTURED` joined by "+".
        fraction: Which part goes, in (0, 1): of the filters, units, heads or layers, or of the kernels' numbers.
        criterion: For filters, units and heads one of `CRITERIA`; None takes "taylor" with data and "l2" without.
            Layers are rated by their influence on data, and without data left out evenly.
        data: Labels and splits; the training part is asked what matters, and batch normalisations behind the cut are
            measured on it anew.
        examples: How many of its examples are asked.
        batch_size: Examples at a time.
        scope: "group": that part of every group of layers (of every kernel) goes; "model": of all together.
        multiple: Filters and units are left in multiples of this; None for 8, and 1 for heads.
        pattern: For "magnitude" in place of `fraction`: "N:M", such as "2:4".
        steps: Tokens of the text for which the arithmetic is counted.

    Returns:
        The new model, uncompiled, its record saying how it was pruned, and the report.

    Raises:
        ArgumentError: The method does not fit the model, or an argument is out of its range.
    """
    record = record_of(model)
    kinds = method.split("+")
    unknown = next((kind for kind in kinds if kind not in METHODS or (len(kinds) > 1 and kind not in STRUCTURED)), None)
    if unknown is not None or len(set(kinds)) != len(kinds):
        raise ArgumentError(f"`method` must be one of {', '.join(METHODS)}, or several of {', '.join(STRUCTURED)} "
                            f"joined by '+'. Received: {method!r}")
    if method != "magnitude" and pattern is not None:
        raise ArgumentError("`pattern` belongs to the method 'magnitude'. Leave it out.")
    if fraction is None if pattern is None else fraction is not None:
        raise ArgumentError("Say which part goes: `fraction`, or for 'magnitude' a `pattern` such as '2:4'.")
    if fraction is not None and (isinstance(fraction, bool) or not 0.0 < fraction < 1.0):
        raise ArgumentError(f"`fraction` must be a number in (0, 1). Received: {fraction!r}")
    asked = _Asked(model, record, data, examples, batch_size)
    settings: dict[str, Any] = {"scope": scope}
    if method == "magnitude":
        smaller, changes = _zeroed(model, fraction, scope, pattern)
        chosen, settings = "magnitude", {**settings, "pattern": pattern}
    elif method == "layers":
        smaller, changes = _shortened(model, float(fraction or 0.0), asked if data is not None else None)
        chosen, settings = "influence" if data is not None else "evenly", {}
    else:
        chosen = criterion or ("taylor" if data is not None else "l2")
        settings["multiple"] = multiple
        smaller, changes = _narrowed(model, kinds, float(fraction or 0.0), chosen, asked, scope, multiple)
    if data is not None and method != "magnitude":
        measure_statistics(smaller, asked.batches())
    report = PruningReport(method=method, fraction=fraction, criterion=chosen, changes=tuple(changes),
                           before=cost_of(model, steps=steps), after=cost_of(smaller, steps=steps), settings=settings)
    provenance = {**record.weights, "pruning": [*record.weights.get("pruning", ()), report.to_dict()]}
    attach_record(smaller, record.replace(registered=record.registered and method == "magnitude", weights=provenance,
                                          metrics={}))
    return Pruned(model=smaller, report=report)


@dataclass(frozen=True)
class _Asked:
    """The data that are asked what matters."""

    model: keras.Model
    record: ModelRecord
    data: TrainingData | None
    examples: int
    batch_size: int

    @property
    def objective(self) -> Any:
        """The loss that the data are asked with."""
        return objective_for(self.model, self.record, self.data, TrainingConfig(batch_size=self.batch_size))  # type: ignore[arg-type]

    def batches(self) -> Iterator[Any]:
        """Yields (inputs, targets), the targets as the split has them."""
        if self.data is not None and self.data.train is not None:
            count = max(1, -(-self.examples // self.batch_size))
            yield from islice(self.data.train.batches(self.batch_size, shuffle_seed=0), count)


def _narrowed(model: keras.Model, kinds: Sequence[str], fraction: float, criterion: str, asked: _Asked, scope: str,
              multiple: int | None) -> tuple[keras.Model, list[Change]]:
    parts = trace(model)
    by_kind: dict[str, list[Group]] = {kind: parts.groups(kind) for kind in kinds}  # type: ignore[arg-type]
    empty = next((kind for kind, groups in by_kind.items() if not groups), None)
    if empty is not None:
        others = [kind for kind in STRUCTURED if parts.groups(kind)]  # type: ignore[arg-type]
        raise ArgumentError(f"The model {model.name!r} has no {empty} that can be removed"
                            + (f"; it has {' and '.join(others)}." if others else ": every channel is counted by a "
                               "layer that is not known, or given as the answer."))
    groups = [group for found in by_kind.values() for group in found]
    batches, loss = None, None
    if criterion == "taylor" and asked.data is not None:
        objective = asked.objective
        batches = (objective.validation_example(*batch[:2]) for batch in asked.batches())
        loss = objective.loss()
    rated = dict(zip((group.name + group.kind for group in groups),
                     importances(model, parts, groups, criterion, batches, loss), strict=True))
    removed: set[int] = set()
    for kind, found in by_kind.items():
        removed |= least_important(found, [rated[group.name + group.kind] for group in found], fraction, scope=scope,
                                   multiple=MULTIPLES[kind] if multiple is None else multiple)
    changes = [Change(name=group.name, kind=group.kind, before=group.size,
                      after=group.size - sum(int(atom) in removed for atom in group.atoms)) for group in groups]
    if not removed:
        raise ArgumentError(f"A fraction of {fraction} removes nothing: the groups are too small, or too close to the "
                            "next multiple. Give a larger `fraction` or multiple=1.")
    return without_atoms(model, parts, removed), changes


def _shortened(model: keras.Model, fraction: float, asked: _Asked | None) -> tuple[keras.Model, list[Change]]:
    blocks = removable_blocks(model)
    rated = influences(model, blocks, asked.batches()) if asked is not None and len(blocks) > 1 else None
    chosen = chosen_blocks(blocks, fraction, rated)
    shorter = without_calls(model, {id(block.operation): block.place for block in chosen})
    return shorter, [Change(name=block.name, kind="layers", before=1, after=0) for block in chosen]


def _zeroed(model: keras.Model, fraction: float | None, scope: str,
            pattern: str | None) -> tuple[keras.Model, list[Change]]:
    stay, of = pattern_of(pattern) if pattern is not None else (0, 1)
    copy = copy_of(model)
    kernels = prunable_kernels(copy)
    values = [keras.ops.convert_to_numpy(kernel) for kernel in kernels]
    masks = masks_for(values, 1.0 - stay / of if fraction is None else fraction,
                      scope="model" if scope == "model" else "kernel", pattern=(stay, of) if pattern else None)
    changes = []
    for kernel, value, mask in zip(kernels, values, masks, strict=True):
        kernel.assign(np.where(mask, value, 0))
        changes.append(Change(name=kernel.path, kind="numbers", before=value.size, after=int(mask.sum())))
    return copy, changes
