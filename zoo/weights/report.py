"""What happened to each variable when parameters were loaded, and whether the model computes what its source does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from zoo.errors import ArgumentError
from zoo.spec import record_of

Shapes = Mapping[str, tuple[int, ...]]

_LISTED = 8
_FATES = ("assigned", "transposed", "unused", "missing", "reinitialised")


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The outcome of running a model beside the source of its parameters.

    Attributes:
        against: What it was compared with.
        largest_difference: Largest absolute difference of two hidden states.
        tolerance: What is allowed.
        values: How many numbers were compared.
    """

    against: str
    largest_difference: float
    tolerance: float
    values: int

    def to_text(self) -> str:
        """Returns one line."""
        return (f"largest difference {self.largest_difference:.2g} over {self.values} hidden states against "
                f"{self.against} (allowed: {self.tolerance:g})")


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What happened to each variable: every field maps names to shapes.

    Attributes:
        assigned: Variables of the model that got their values from the file.
        transposed: Those of them whose axes were turned on the way.
        unused: Tensors of the file that the model has no place for, by their names in the file.
        missing: Variables that the file does not have and need not have (states of random generators).
        reinitialised: Variables of the classification head that keep their random start.
        reasons: Why unused tensors are not needed, and what else is worth knowing; by tensor or part of the model.
        verification: The comparison with the source; None where there was none.
    """

    assigned: Shapes = field(default_factory=dict)
    transposed: Shapes = field(default_factory=dict)
    unused: Shapes = field(default_factory=dict)
    missing: Shapes = field(default_factory=dict)
    reinitialised: Shapes = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    verification: Verification | None = None

    def merged(self, other: LoadReport) -> LoadReport:
        """Returns the report of two loads into different parts of one model."""
        return LoadReport(**{name: {**getattr(self, name), **getattr(other, name)} for name in (*_FATES, "reasons")},
                          verification=other.verification or self.verification)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as JSON-ready data."""
        return {name: {key: list(shape) for key, shape in getattr(self, name).items()} for name in _FATES} | {
            "reasons": dict(self.reasons), "verification": asdict(self.verification) if self.verification else None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LoadReport:
        """Reads what `to_dict` wrote."""
        fates = {name: {key: tuple(shape) for key, shape in data.get(name, {}).items()} for name in _FATES}
        found = data.get("verification")
        return cls(**fates, reasons=dict(data.get("reasons", {})),
                   verification=Verification(**found) if found else None)

    def to_text(self) -> str:
        """Returns a short table: how many variables met each fate, and the names of all but the assigned ones."""
        lines = []
        for name in _FATES:
            shapes: Shapes = getattr(self, name)
            if not shapes and name != "assigned":
                continue
            names = "" if name == "assigned" else f"  {listing(shapes)}"
            lines.append(f"{name:<13} {len(shapes):>5}{names}")
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.reasons.items():
            by_reason.setdefault(reason, []).append(name)
        lines += [f"{'':<19}  {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {reason}"
                  for reason, names in by_reason.items()]
        if self.verification is not None:
            lines.append(f"{'verified':<19}  {self.verification.to_text()}")
        return "\n".join(lines)


def report_of(model: Any) -> LoadReport:
    """Returns what happened when the parameters of a model came in from a checkpoint.

    Args:
        model: A model from `zoo.build(name, weights=...)`, or one that was saved and loaded since.

    Returns:
        The report; `print(report_of(model).to_text())` shows it.

    Raises:
        ArgumentError: The model has no record, or its parameters did not come from a checkpoint.
    """
    record = record_of(model)
    data = record.weights.get("report")
    if not isinstance(data, Mapping):
        raise ArgumentError(f"The parameters of {record.name!r} were not imported from a checkpoint (their source: "
                            f"{record.weights.get('source', 'unknown')}), so there is no report.")
    return LoadReport.from_dict(data)


def listing(shapes: Shapes, most: int = _LISTED) -> str:
    """Returns "name [shape], name [shape] and 12 more" of the first few.

    Args:
        shapes: Names and shapes.
        most: How many are named.

    Returns:
        One line of text.
    """
    named = [f"{name} {list(shape)}" for name, shape in list(shapes.items())[:most]]
    rest = len(shapes) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")
