"""BERT and GPT-2 in float64 NumPy, written after the papers and not after our layers: the judge of both."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

Array = np.ndarray[Any, Any]

SMALL: dict[str, Any] = {"vocabulary_size": 40, "hidden_size": 24, "layers": 2, "heads": 4, "intermediate_size": 50,
                         "max_positions": 12}


def randomised(model: keras.Model, seed: int = 0) -> keras.Model:
    """Gives every parameter, biases and scales too, a random value, so that none can be left out unseen."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        spread = 0.3 if variable.path.split("/")[-1] in ("kernel", "embeddings", "bias", "beta") else 0.1
        centre = 1.0 if variable.path.endswith("gamma") else 0.0
        variable.assign(generator.normal(centre, spread, variable.shape))
    return model


def weights_of(model: keras.Model) -> dict[str, Array]:
    """The parameters by path, in float64."""
    return {variable.path: variable.numpy().astype("float64") for variable in model.weights}


def example(*, segments: bool, rows: int = 3, steps: int = 7, seed: int = 1) -> dict[str, Array]:
    """Texts of different lengths as a model's inputs, padded on the right."""
    generator = np.random.default_rng(seed)
    lengths = np.array([steps, steps - 3, 1, 2, 5][:rows])
    mask = (np.arange(steps)[None, :] < lengths[:, None]).astype("int32")
    ids = generator.integers(0, 40, (rows, steps)).astype("int32") * mask
    inputs = {"token_ids": ids, "padding_mask": mask}
    if segments:
        inputs["segment_ids"] = ((np.arange(steps)[None, :] >= lengths[:, None] // 2) * mask).astype("int32")
    return inputs


def gelu(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.vectorize(math.erf)(x / math.sqrt(2.0)))


def gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def normalise(x: Array, w: dict[str, Array], name: str, epsilon: float) -> Array:
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * w[f"{name}/gamma"] + w[f"{name}/beta"]


def dense(x: Array, w: dict[str, Array], name: str) -> Array:
    return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]


def softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def attend(x: Array, w: dict[str, Array], name: str, heads: int, allowed: Array) -> Array:
    """`allowed` bool [steps seeing, steps seen] of one text x [steps, width]."""
    width = x.shape[-1]
    size = width // heads
    joined = dense(x, w, f"{name}/qkv")
    results = []
    for head in range(heads):
        query, key, value = (joined[:, part * width + head * size: part * width + (head + 1) * size]
                             for part in range(3))
        scores = np.where(allowed, query @ key.T / math.sqrt(size), -np.inf)
        results.append(softmax(scores) @ value)
    return dense(np.concatenate(results, -1), w, f"{name}/output")


def bert_states(w: dict[str, Array], inputs: dict[str, Array], *, layers: int, heads: int, activation: Any = gelu,
                epsilon: float = 1e-12, offset: int = 0) -> list[Array]:
    """The last states of each text, without its padding."""
    found = []
    for row, mask in enumerate(inputs["padding_mask"]):
        steps = int(mask.sum())
        ids = inputs["token_ids"][row, :steps]
        x = w["token_embedding/embeddings"][ids] + w["position_embedding/embeddings"][offset:offset + steps]
        if "segment_ids" in inputs:
            x = x + w["segment_embedding/embeddings"][inputs["segment_ids"][row, :steps]]
        x = normalise(x, w, "embedding_norm", epsilon)
        for block in (f"block_{index}" for index in range(layers)):
            seen = attend(x, w, f"{block}/attention", heads, np.ones((steps, steps), bool))
            x = normalise(x + seen, w, f"{block}/attention_norm", epsilon)
            inner = activation(dense(x, w, f"{block}/intermediate"))
            x = normalise(x + dense(inner, w, f"{block}/output"), w, f"{block}/output_norm", epsilon)
        found.append(x)
    return found


def gpt2_states(w: dict[str, Array], inputs: dict[str, Array], *, layers: int, heads: int, activation: Any = gelu_tanh,
                epsilon: float = 1e-5) -> list[Array]:
    """The last normalised states of each text, without its padding."""
    found = []
    for row, mask in enumerate(inputs["padding_mask"]):
        steps = int(mask.sum())
        x = w["token_embedding/embeddings"][inputs["token_ids"][row, :steps]]
        x = x + w["position_embedding/embeddings"][:steps]
        earlier = np.tril(np.ones((steps, steps), bool))
        for block in (f"block_{index}" for index in range(layers)):
            normal = normalise(x, w, f"{block}/attention_norm", epsilon)
            x = x + attend(normal, w, f"{block}/attention", heads, earlier)
            inner = activation(dense(normalise(x, w, f"{block}/output_norm", epsilon), w, f"{block}/intermediate"))
            x = x + dense(inner, w, f"{block}/output")
        found.append(normalise(x, w, "final_norm", epsilon))
    return found
