"""Text from a GPT-2 whose blocks have lost different heads and units."""

from __future__ import annotations

import numpy as np

from tests.zoo.generation.small_gpt2 import small_gpt2
from zoo.compression.surgery import without_atoms
from zoo.compression.tracing import trace
from zoo.generation import generate
from zoo.spec import attach_record, record_of

GOLDEN = [163, 119, 119, 119]  # of the whole network; see test_generate.py


def test_a_pruned_decoder_writes_what_its_network_says() -> None:
    """Blocks of two and of three heads, token by token through the filled cache, against the network as a whole."""
    model = small_gpt2()
    parts = trace(model)
    (first, second), (units, _) = parts.groups("heads"), parts.groups("units")
    pruned = without_atoms(model, parts, {int(first.atoms[0]), int(first.atoms[2]), int(second.atoms[1]),
                                          *units.atoms[:5].tolist()})
    attach_record(pruned, record_of(model).replace(registered=False))
    tokens = list(b"hello")
    for _ in range(4):
        given = np.array([tokens])
        scores = np.asarray(pruned({"token_ids": given, "padding_mask": np.ones_like(given)}))
        tokens.append(int(scores[0, -1].argmax()))
    (written,) = generate(pruned, ["hello"], max_new_tokens=4)
    assert list(written.tokens) == tokens[5:]
    assert list(written.tokens) != GOLDEN, "the cut changed nothing, so this compares nothing"
