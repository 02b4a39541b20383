"""The one pass over a table that finds its usable rows, their targets and their content digests."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zoo.data.cleaning import Exclusion, Reason
from zoo.data.fingerprints import DIGEST_BYTES, content_digest
from zoo.data.folders import sorted_labels
from zoo.data.labelled import Lazy
from zoo.data.planning import Found
from zoo.data.rows import Row, RowIndex
from zoo.data.table_layout import TableLayout, parsed_number
from zoo.errors import ArgumentError, DataError


@dataclass
class TableScan:
    """What one pass over the rows collects."""

    rows: RowIndex
    checked: int = 0
    labels: dict[str, int] = field(default_factory=dict)  # in the order of their first row
    targets: array[float] = field(default_factory=lambda: array("d"))
    digests: bytearray = field(default_factory=bytearray)
    missing: dict[str, int] = field(default_factory=dict)
    excluded: list[Exclusion] = field(default_factory=list)
    bad_targets: int = 0


def scan_table(rows: RowIndex, layout: TableLayout) -> TableScan:
    """Reads all rows of the files of `rows` once, and adds the usable ones to it.

    Args:
        rows: An empty index of the files.
        layout: Which columns are what.

    Raises:
        DataError: The target of a regression is no number in more than half of the rows.
    """
    scan = TableScan(rows)
    for number, file in enumerate(rows.files):
        for row in file.rows():
            scan.checked += 1
            problem = _add(scan, layout, number, row)
            if problem is not None:
                scan.excluded.append(Exclusion(f"{file.path}:{row.line}", *problem))
    if layout.task == "regression" and 2 * scan.bad_targets > scan.checked:
        bad = next(exclusion for exclusion in scan.excluded if exclusion.reason == "not a number")
        raise DataError(f"The target of {rows.files[0].path} is not numeric in {scan.bad_targets} of {scan.checked} "
                        f"rows; the first: {bad.source}: {bad.detail}. Choose another column, or use "
                        "task='classification'.")
    return scan


def _add(scan: TableScan, layout: TableLayout, number: int, row: Row) -> tuple[Reason, str] | None:
    """Takes a row in, or returns reason and detail why not."""
    if row.problem:
        return "unreadable", row.problem
    columns = scan.rows.files[number].columns
    targets = _targets(scan, layout, row, columns)
    if not isinstance(targets, list):
        return targets
    missing = []
    for name, kind, position in zip(layout.names, layout.kinds, layout.features, strict=True):
        if kind == "numeric":
            value = parsed_number(row.fields[position])
            if value is None:
                return "not a number", f"{name} is {row.fields[position][:50]!r}"
            if math.isnan(value):
                missing.append(name)
    for name in missing:
        scan.missing[name] = scan.missing.get(name, 0) + 1
    if layout.task != "regression":
        targets = [scan.labels.setdefault(row.fields[layout.targets[0]].strip(), len(scan.labels))]
    scan.rows.add(number, row)
    scan.targets.extend(targets)
    positions = layout.features + (layout.targets if layout.task == "regression" else ())
    scan.digests += content_digest("\x1f".join(row.fields[i].strip() for i in positions).encode("utf-8"))
    return None


def _targets(scan: TableScan, layout: TableLayout, row: Row,
             columns: Sequence[str]) -> list[float] | tuple[Reason, str]:
    if layout.task != "regression":
        return [] if row.fields[layout.targets[0]].strip() else ("no label", "")
    values: list[float] = []
    for position in layout.targets:
        value = parsed_number(row.fields[position])
        if value is None or math.isnan(value):
            scan.bad_targets += 1
            return "not a number", f"{columns[position]} is {row.fields[position][:50]!r}"
        values.append(value)
    return values


def found_rows(scan: TableScan, layout: TableLayout, path: Path,
               labels: Sequence[str] | None) -> tuple[Found, np.ndarray]:
    """Returns the usable rows, and for each of them its position in the row index, int64 [n].

    Args:
        scan: What the pass collected.
        layout: Which columns are what.
        path: The table, for messages.
        labels: Class names to use, or None for all.

    Raises:
        ArgumentError: Labels for a regression.
        DataError: A label without rows, or more or fewer than two for binary classification.
    """
    targets = np.frombuffer(scan.targets, np.float64) if len(scan.targets) else np.zeros(0)
    names: tuple[str, ...] = ()
    chosen: np.ndarray
    if layout.task == "regression":
        if labels:
            raise ArgumentError(f"A regression has no labels. Received: {list(labels)}")
        chosen = targets.reshape(-1, len(layout.targets)).astype(np.float32)
        keep = np.arange(len(chosen))
    else:
        names = _checked_labels(scan, layout, path, labels)
        position = {name: index for index, name in enumerate(names)}
        order = np.array([position.get(name, -1) for name in scan.labels], np.int32)
        chosen = order[targets.astype(np.int64)] if len(targets) else np.zeros(0, np.int32)
        keep = np.flatnonzero(chosen >= 0)
        scan.excluded += [Exclusion(scan.rows.name(int(index)), "not a class", "not among the chosen labels")
                          for index in np.flatnonzero(chosen < 0)]
    found = Found(
        where=str(path),
        names=Lazy(len(keep), lambda index: scan.rows.name(int(keep[index]))),
        digests=np.frombuffer(bytes(scan.digests), f"S{DIGEST_BYTES}")[keep],
        targets=chosen[keep],
        labels=names,
        given=scan.rows.parts()[keep],
        checked=scan.checked,
        excluded=tuple(scan.excluded),
        notes=tuple(f"{count} rows have no value in the column {name!r}; they count as its mean."
                    for name, count in scan.missing.items()),
    )
    return found, keep


def _checked_labels(scan: TableScan, layout: TableLayout, path: Path, labels: Sequence[str] | None) -> tuple[str, ...]:
    names = sorted_labels(set(scan.labels)) if labels is None else tuple(labels)
    unknown = [label for label in names if label not in scan.labels]
    if unknown:
        raise DataError(f"{path} has no row of the class {unknown[0]!r}. It has: "
                        f"{', '.join(sorted(scan.labels)[:20])}.")
    if layout.task == "binary_classification" and len(names) != 2 and scan.labels:
        raise DataError(f"The target of {path} has {len(names)} classes ({', '.join(names[:10])}), expected 2 for "
                        "binary_classification. Use task='classification', or choose two with `labels`.")
    return names
