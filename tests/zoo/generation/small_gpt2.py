"""A small GPT-2 with parameters that NumPy makes the same everywhere, and the same network in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import zoo
from zoo.preprocessing.byte_alphabet import byte_vocabulary

Array = NDArray[Any]
LAYERS, WIDTH, HEADS, POSITIONS, VOCABULARY = 2, 32, 4, 48, 257
END_OF_TEXT = 256
EPSILON = 1e-5


def small_gpt2(max_length: int = POSITIONS) -> Any:
    """Bytes are its tokens, and its texts vary from token to token."""
    model = zoo.build("gpt2", layers=LAYERS, hidden_size=WIDTH, heads=HEADS, max_positions=POSITIONS,
                      vocabulary_size=VOCABULARY, dropout=0.0, attention_dropout=0.0,
                      preprocessing=byte_vocabulary(max_length))
    values = parameters()
    assert {variable.path for variable in model.variables} == set(values)
    for variable in model.variables:
        variable.assign(values[variable.path].astype(np.float32))
    return model


def parameters() -> dict[str, Array]:
    """The parameters by variable path, float64 with float32 values."""
    shapes: dict[str, tuple[int, ...]] = {"token_embedding/embeddings": (VOCABULARY, WIDTH),
                                          "position_embedding/embeddings": (POSITIONS, WIDTH)}
    for name in [f"block_{index}/{part}" for index in range(LAYERS) for part in ("attention_norm", "output_norm")] \
            + ["final_norm"]:
        shapes |= {f"{name}/gamma": (WIDTH,), f"{name}/beta": (WIDTH,)}
    for index in range(LAYERS):
        for part, size in {"attention/qkv": (WIDTH, 3 * WIDTH), "attention/output": (WIDTH, WIDTH),
                           "intermediate": (WIDTH, 4 * WIDTH), "output": (4 * WIDTH, WIDTH)}.items():
            shapes |= {f"block_{index}/{part}/kernel": size, f"block_{index}/{part}/bias": size[1:]}
    generator = np.random.Generator(np.random.PCG64(11))
    return {name: (generator.normal(1.0 if name.endswith("gamma") else 0.0, 0.4, shape)).astype(np.float32)
            .astype(np.float64) for name, shape in sorted(shapes.items())}


class Reference:
    """The network in NumPy, float64, a whole text at a time."""

    def __init__(self) -> None:
        self.values = parameters()

    def logits(self, tokens: list[int]) -> Array:
        """Scores [tokens, vocabulary]."""
        values = self.values
        table = values["token_embedding/embeddings"]
        x = table[tokens] + values["position_embedding/embeddings"][:len(tokens)]
        for index in range(LAYERS):
            name = f"block_{index}"
            x = x + self._attention(self._norm(x, f"{name}/attention_norm"), f"{name}/attention")
            hidden = self._dense(self._norm(x, f"{name}/output_norm"), f"{name}/intermediate")
            hidden = 0.5 * hidden * (1 + np.tanh(math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)))
            x = x + self._dense(hidden, f"{name}/output")
        result: Array = self._norm(x, "final_norm") @ table.T
        return result

    def greedy(self, prompt: list[int], count: int) -> list[int]:
        """The best token again and again, each time over the whole text."""
        tokens = list(prompt)
        while len(tokens) < len(prompt) + count:
            best = int(np.argmax(self.logits(tokens)[-1]))
            if best == END_OF_TEXT:
                break
            tokens.append(best)
        return tokens[len(prompt):]

    def _dense(self, x: Array, name: str) -> Array:
        result: Array = x @ self.values[f"{name}/kernel"] + self.values[f"{name}/bias"]
        return result

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        result: Array = scaled * self.values[f"{name}/gamma"] + self.values[f"{name}/beta"]
        return result

    def _attention(self, x: Array, name: str) -> Array:
        length, size = len(x), WIDTH // HEADS
        query, key, value = self._dense(x, f"{name}/qkv").reshape(length, 3, HEADS, size).transpose(1, 2, 0, 3)
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(size)
        scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        seen = weights / weights.sum(-1, keepdims=True) @ value
        return self._dense(seen.transpose(1, 0, 2).reshape(length, WIDTH), f"{name}/output")


def log_softmax(scores: Array) -> Array:
    """Natural log-probabilities along the last axis."""
    shifted = scores - scores.max(-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result
