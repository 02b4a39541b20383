"""What a model card says about eight bits: how many layers, how exact each is, and which were left as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_METHODS = {"min-max": "all that occurred", "percentile": "99.99 % of what occurred",
            "mse": "the least squared error", "entropy": "the least information lost",
            "measured": "for each tensor the one that leaves its products the most signal"}


def eight_bits(optimization: Mapping[str, Any]) -> Iterator[str]:
    """Yields lines of Markdown; none where nothing computes in eight bits.

    Args:
        optimization: The manifest's.
    """
    steps = [step for step in optimization.get("passes", ())
             if step["kept"] and "in_eight_bits" in step.get("details", {})]
    if not steps:
        return
    yield ""
    yield ("The golden answers are those of the written graph, so that a server can be held to them; the table says "
           "how far it is from the Keras model.")
    for step in steps:
        yield from _step(step["name"], step["details"])


def _step(name: str, details: Mapping[str, Any]) -> Iterator[str]:
    same = details.get("same_label")
    yield ""
    yield (f"`{name}`: {details['in_eight_bits']} of {details['layers']} layers compute in eight bits. Ranges were "
           f"learned from {details['rows']} rows ({_METHODS.get(details.get('method', ''), 'as recorded')})"
           + (f"; on those the best label is the same in {same:.1%}." if same is not None else "."))
    worst = ", ".join(f"`{layer['layer']}` {layer['decibels']:.0f} dB" for layer in details.get("worst", ())[:5])
    if worst:
        yield (f"Signal over noise of a layer by itself: {details['median_decibels']:.0f} dB in the middle (40 dB is "
               f"an error of 1 %); the noisiest: {worst}.")
    for layer in details.get("left", ()):
        yield f"- left as it is: `{layer['layer']}`: {layer['reason']}"
