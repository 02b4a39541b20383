"""A card tells how exact eight bits are, layer by layer where it matters."""

from __future__ import annotations

from typing import Any

from serving.export.eight_bits_card import eight_bits

DETAILS = {"method": "mse", "rows": 24, "same_label": 0.9583, "layers": 3, "in_eight_bits": 2, "median_decibels": 38.2,
           "worst": [{"layer": "stem", "decibels": 31.4}, {"layer": "second", "decibels": 45.0}],
           "left": [{"layer": "noisy", "decibels": 9.0, "reason": "9 dB over the noise, wanted are 15"}]}


def told(**step: Any) -> str:
    return "\n".join(eight_bits({"passes": [{"name": "fold", "kept": True, "details": {}},
                                            {"name": "int8_convolutions", "kept": True, "details": DETAILS} | step]}))


def test_it_names_layers_ranges_and_what_was_left_out() -> None:
    """With the figures, the noisiest layer first, and the reason for each that stays."""
    card = told()
    for words in ("2 of 3 layers", "24 rows", "95.8%", "38 dB in the middle", "`stem` 31 dB",
                  "left as it is: `noisy`: 9 dB over the noise", "answers are those of the written graph"):
        assert words in card
    assert card.index("`stem`") < card.index("`second`")


def test_nothing_is_said_of_what_was_not_kept() -> None:
    """Nor where nothing computes in eight bits."""
    assert told(kept=False) == ""
    assert list(eight_bits({})) == []
