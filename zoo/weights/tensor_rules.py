"""From the names of a foreign checkpoint to those of our models: rules as data, and what they make of a list of names.

A rule says which source tensor goes into which variable and how its axes lie there. Several tensors may make up one
variable (query, key and value of our fused product). What no rule and no explanation covers is reported, never dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from zoo.errors import WeightsError

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Layout = Literal["same", "turned", "heads_last", "heads_first", "squeezed"]

BODY = ""  # the head of tensors that every task needs
POOLER = "pooler"
CLASSES = "classification"  # one vector of scores per text or per token
MASKED = "masked_language_model"
NEXT_SENTENCE = "next_sentence"
ANSWERS = "question_answering"


@dataclass(frozen=True)
class SourceTensor:
    """A tensor of a checkpoint, read only when its values are needed."""

    name: str
    shape: Shape
    read: Callable[[], Array]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Where one tensor goes.

    Attributes:
        source: Its name in the checkpoint; "{i}" stands for the number of the block.
        target: The path of our variable, with "{i}" too.
        layout: How its axes lie: "same"; "turned" [out, in]; "heads_last" [in, heads, size] or [heads, size];
            "heads_first" [heads, size, out]; "squeezed" [1, in, out].
        part: Which part of the variable's last axis it is, of `parts` equal ones.
        parts: Into how many tensors the checkpoint splits the variable.
        first: The number that the checkpoint gives to the first block.
        head: Which head it belongs to.
        tied: It repeats another tensor, and is used in its place only where that one is not stored.
    """

    source: str
    target: str
    layout: Layout = "same"
    part: int = 0
    parts: int = 1
    first: int = 0
    head: str = BODY
    tied: bool = False


@dataclass(frozen=True)
class Assembled:
    """A variable's value, made of one or more source tensors."""

    target: str
    sources: tuple[SourceTensor, ...]
    layout: Layout
    head: str = BODY

    @property
    def shape(self) -> Shape:
        """Shape of the value, from the shapes of its parts."""
        shapes = [_laid_out(source.shape, self.layout) for source in self.sources]
        return shapes[0] if len(shapes) == 1 else (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    @property
    def turned(self) -> bool:
        """Whether the two axes of the stored tensor are exchanged on the way."""
        return self.layout == "turned"

    def read(self) -> Array:
        """Returns the value in float32."""
        parts = [np.asarray(source.read(), dtype=np.float32) for source in self.sources]
        placed = [(part.T if self.turned else part).reshape(_laid_out(part.shape, self.layout)) for part in parts]
        return placed[0] if len(placed) == 1 else np.concatenate(placed, axis=-1)


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """What the rules make of a checkpoint's tensors.

    Attributes:
        variables: Values by head and path of our variable; the body is the head "".
        repeated: Tied tensors, and the value that they must repeat.
        explained: Why a tensor is not needed, by name and shape.
        sources: All tensors by name; those that appear nowhere above are covered by no rule and no explanation.
    """

    variables: Mapping[str, Mapping[str, Assembled]]
    repeated: tuple[tuple[SourceTensor, Assembled], ...] = ()
    explained: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, SourceTensor] = field(default_factory=dict)

    def of(self, head: str) -> Mapping[str, Assembled]:
        """Returns the values of one head; empty where the checkpoint has none."""
        return self.variables.get(head, {})


def map_tensors(tensors: Iterable[SourceTensor], rules: Iterable[Rule], *, prefix: str = "",
                ignored: Mapping[str, str] | None = None) -> Mapped:
    """Sorts the tensors of a checkpoint by our variables.

    Args:
        tensors: The checkpoint's tensors.
        rules: Where they go.
        prefix: Pattern of what may stand before each name.
        ignored: Pattern of whole names, and why such tensors are not needed.

    Returns:
        The values by variable, and what is left over.

    Raises:
        WeightsError: Two tensors for one place, or a variable of which a part is missing or of another shape.
    """
    patterns = [(_pattern(prefix, rule.source), rule) for rule in rules]
    reasons = [(re.compile(pattern), reason) for pattern, reason in (ignored or {}).items()]
    found: dict[tuple[str, str], dict[int, tuple[SourceTensor, Rule]]] = {}
    tied: dict[tuple[str, str], list[tuple[SourceTensor, Rule]]] = {}
    explained: dict[str, str] = {}
    sources = {tensor.name: tensor for tensor in tensors}
    for tensor in sources.values():
        placed = _placed(tensor.name, patterns)
        if placed is None:
            reason = next((reason for pattern, reason in reasons if pattern.fullmatch(tensor.name)), None)
            if reason is not None:
                explained[tensor.name] = reason
            continue
        rule, target = placed
        _check_rank(tensor, rule)
        if rule.tied:
            tied.setdefault((rule.head, target), []).append((tensor, rule))
            continue
        parts = found.setdefault((rule.head, target), {})
        if rule.part in parts:
            raise WeightsError(f"Two tensors of the checkpoint are for the same place: {parts[rule.part][0].name} and "
                               f"{tensor.name}. It seems to hold two models.")
        parts[rule.part] = (tensor, rule)
    variables: dict[str, dict[str, Assembled]] = {}
    repeated = []
    for place, copies in tied.items():
        found.setdefault(place, {0: copies[0]})
    for (head, target), parts in found.items():
        value = _assembled(target, parts)
        variables.setdefault(head, {})[target] = value
        for copy, _ in tied.get((head, target), ()):
            if copy not in value.sources:
                repeated.append((copy, value))
                explained[copy.name] = "repeats the tensor that it is tied to"
    return Mapped(variables=variables, repeated=tuple(repeated), explained=explained, sources=sources)


def _pattern(prefix: str, source: str) -> re.Pattern[str]:
    return re.compile(f"(?:{prefix})?" + re.escape(source).replace(re.escape("{i}"), r"(?P<i>\d+)"))


def _placed(name: str, patterns: list[tuple[re.Pattern[str], Rule]]) -> tuple[Rule, str] | None:
    for pattern, rule in patterns:
        match = pattern.fullmatch(name)
        if match is None:
            continue
        if "i" not in match.groupdict():
            return rule, rule.target
        number = int(match["i"]) - rule.first
        if number >= 0:
            return rule, rule.target.replace("{i}", str(number))
    return None


def _check_rank(tensor: SourceTensor, rule: Rule) -> None:
    ranks = {"same": (1, 2), "turned": (2,), "heads_last": (2, 3), "heads_first": (3,), "squeezed": (3,)}[rule.layout]
    if len(tensor.shape) not in ranks or (rule.layout == "squeezed" and tensor.shape[0] != 1):
        raise WeightsError(f"The tensor {tensor.name} of the checkpoint has the shape {list(tensor.shape)}, expected "
                           f"{' or '.join(str(rank) for rank in ranks)} axes. The checkpoint is damaged, or of "
                           "another architecture.")


def _assembled(target: str, parts: Mapping[int, tuple[SourceTensor, Rule]]) -> Assembled:
    first = next(iter(parts.values()))[1]
    missing = [number for number in range(first.parts) if number not in parts]
    if missing:
        here = ", ".join(tensor.name for tensor, _ in parts.values())
        raise WeightsError(f"The checkpoint has {len(parts)} of the {first.parts} tensors that make up {target} (only "
                           f"{here}). It is incomplete; get it again.")
    ordered = tuple(parts[number][0] for number in range(first.parts))
    shapes = {tensor.shape for tensor in ordered}
    if len(shapes) > 1:
        shown = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in ordered)
        raise WeightsError(f"The tensors that make up {target} differ in shape: {shown}. The checkpoint is damaged, or "
                           "of another architecture.")
    return Assembled(target, ordered, first.layout, first.head)


def _laid_out(shape: Shape, layout: Layout) -> Shape:
    if layout == "turned":
        return shape[::-1]
    if layout == "heads_last":
        return (*shape[:-2], shape[-2] * shape[-1])
    if layout == "heads_first":
        return (shape[0] * shape[1], shape[2])
    return shape[1:] if layout == "squeezed" else shape
