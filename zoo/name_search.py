"""How names are ordered, and how well a model fits a search in words."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from zoo.spec import ModelSpec


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorting key that reads digits as numbers: `b2` before `b10`."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)


def relevance(words: list[str], spec: ModelSpec) -> float:
    """Returns how well a model fits words in small letters: 0 for not at all; words of its name count most."""
    names = set(re.findall(r"[a-z]+|\d+", spec.name.lower())) | {spec.family.lower(), spec.input_kind, spec.task,
                                                                 *spec.tags}
    tasks = " ".join((spec.task, *spec.tasks)).replace("_", " ")
    prose = set(re.findall(r"[a-z0-9]+", f"{spec.description} {tasks}".lower()))
    return sum(max(3.0 * _closeness(word, names), _closeness(word, prose)) for word in words)


def _closeness(word: str, terms: set[str]) -> float:
    if word in terms:
        return 1.0
    ratio = max((SequenceMatcher(None, word, term).ratio() for term in terms if len(term) > 2), default=0.0)
    return ratio / 2 if ratio >= 0.8 else 0.0
