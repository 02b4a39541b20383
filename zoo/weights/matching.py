"""Pairs the variables of a model with the tensors of a file, strictly: all differences are found before any load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import WeightsError
from zoo.weights.head import HeadRule
from zoo.weights.report import LoadReport, Shapes, listing

_LISTED = 20


@dataclass(frozen=True)
class Tensor:
    """A tensor in a file.

    Attributes:
        name: Its name there.
        shape: Its shape.
        dtype: Its numpy-style dtype, or empty where the file's reader checks it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = ""


@dataclass(frozen=True)
class Match:
    """The keys whose variables get a value, and the report for when that is done."""

    keys: tuple[str, ...]
    report: LoadReport


def match(variables: Mapping[str, Any], tensors: Mapping[str, Tensor], rule: HeadRule, origin: str) -> Match:
    """Pairs variables and tensors of one key.

    Args:
        variables: Keras variables of the model by key, in the model's order.
        tensors: Tensors of the file by key. A key's part before its last "/" is its layer.
        rule: How far model and file may differ.
        origin: What to call the file in errors.

    Returns:
        The pairs to assign.

    Raises:
        WeightsError: Something differs that the rule does not explain; the message lists it.
    """
    head = {key: value for key, value in variables.items() if id(value) in rule.head_ids}
    keep_head = _keeps_random_start(head, tensors)
    wanted = {key: value for key, value in variables.items() if not (keep_head and key in head)}
    missing = {key: value for key, value in wanted.items() if key not in tensors}
    present = {key: value for key, value in wanted.items() if key in tensors}
    unfit = {key: value for key, value in present.items() if not _fits(value, tensors[key])}
    beyond = {key: tensor for key, tensor in tensors.items() if key not in variables}
    unused = {key: tensor for key, tensor in beyond.items() if not _may_be_unused(key, tensor, variables, rule)}
    needed = {key: value for key, value in missing.items() if not _is_generator_state(value.path)}
    if unfit or needed or unused or (variables and not present):
        raise WeightsError(_difference(origin, unfit, needed, unused, tensors))
    return Match(tuple(present), LoadReport(
        assigned=_shapes(present), missing=_shapes(missing), reinitialised=_shapes(head) if keep_head else {},
        unused={tensor.name: tensor.shape for tensor in beyond.values()}))


def _keeps_random_start(head: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bool:
    """Tells whether the file's head is absent, or the same layer with another number of classes."""
    shared = [(tuple(value.shape), tensors[key].shape) for key, value in head.items() if key in tensors]
    if not shared:
        return bool(head)
    same_layer = len(shared) == len(head) and all(ours[:-1] == theirs[:-1] and len(ours) == len(theirs)
                                                  for ours, theirs in shared)
    return same_layer and any(ours != theirs for ours, theirs in shared)


def _fits(variable: Any, tensor: Tensor) -> bool:
    same_kind = not tensor.dtype or _kind(tensor.dtype) == _kind(str(variable.dtype))
    return same_kind and tuple(variable.shape) == tensor.shape


def _kind(dtype: str) -> str:
    """Numbers of all widths may be turned into each other, but not floats into whole numbers or truth values."""
    return "float" if "float" in dtype else dtype.rstrip("0123456789")


def _may_be_unused(key: str, tensor: Tensor, variables: Mapping[str, Any], rule: HeadRule) -> bool:
    if _is_generator_state(tensor.name):
        return True
    layer = key.rpartition("/")[0]
    return rule.headless and not any(other.rpartition("/")[0] == layer for other in variables)


def _is_generator_state(name: str) -> bool:
    return "seed_generator" in name


def _shapes(variables: Mapping[str, Any]) -> Shapes:
    shapes: dict[str, tuple[int, ...]] = {}
    for key, value in variables.items():
        # Two layers may share a name below different parents, and Keras gives their variables one path.
        shapes[f"{value.path} ({key})" if value.path in shapes else value.path] = tuple(value.shape)
    return shapes


def _difference(origin: str, unfit: Mapping[str, Any], needed: Mapping[str, Any], unused: Mapping[str, Tensor],
                tensors: Mapping[str, Tensor]) -> str:
    lines = [f"The parameters of {origin} do not fit the model; nothing was loaded."]
    if unfit:
        lines.append(f"{len(unfit)} of another shape or type: " + _pairs(unfit, tensors))
    if needed:
        lines.append(f"{len(needed)} missing in the file: {listing(_shapes(needed), _LISTED)}")
    if unused:
        shapes = {tensor.name: tensor.shape for tensor in unused.values()}
        lines.append(f"{len(unused)} in the file that the model has no place for: {listing(shapes, _LISTED)}")
    lines.append("Check that the file belongs to this model and to these arguments (`input_shape`, `include_top`, "
                 "sizes); only the head may have another number of classes.")
    return "\n  ".join(lines)


def _pairs(unfit: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    named = [f"{value.path} expected {list(value.shape)} {value.dtype}, found {list(tensors[key].shape)} "
             f"{tensors[key].dtype}".rstrip() for key, value in list(unfit.items())[:_LISTED]]
    rest = len(unfit) - len(named)
    return "; ".join(named) + (f" and {rest} more" if rest else "")
