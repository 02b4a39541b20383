"""A BERT with the names, shapes and signature of Model Garden's encoders on TF Hub, written in TensorFlow alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import tensorflow as tf

from tests.zoo.weights.foreign_checkpoints import HEADS, WIDTH, WORDS, Plain

SIZE = WIDTH // HEADS
EPSILON = 1e-3  # not that of the published modules, so that it must be read from the graph


class HubEncoder(tf.Module):  # type: ignore[misc]
    """Variables are [H, N, D] where those of BERT's paper are [H, H], as in the published modules."""

    def __init__(self, source: Plain, vocabulary: Path | None, *, lowercase: bool = True, exact_gelu: bool = False,
                 wrong: bool = False) -> None:
        super().__init__()
        self.layers, self.exact_gelu, self.wrong = source.layers, exact_gelu, wrong
        shapes = {"query": (WIDTH, HEADS, SIZE), "key": (WIDTH, HEADS, SIZE), "value": (WIDTH, HEADS, SIZE)}
        values = {"word_embeddings/embeddings": source["tokens"], "position_embedding/embeddings": source["positions"],
                  "type_embeddings/embeddings": source["segments"], "pooler_transform/kernel": source["pooler.kernel"],
                  "pooler_transform/bias": source["pooler.bias"]}
        norms = {"embeddings/layer_norm": "norm"}
        for i in range(source.layers):
            start = f"transformer/layer_{i}"
            for name, shape in shapes.items():
                values |= {f"{start}/self_attention/{name}/kernel": source[f"{i}.{name}.kernel"].reshape(shape),
                           f"{start}/self_attention/{name}/bias": source[f"{i}.{name}.bias"].reshape(shape[1:])}
            values |= {f"{start}/self_attention/attention_output/kernel":
                       source[f"{i}.attended.kernel"].reshape(HEADS, SIZE, WIDTH),
                       f"{start}/self_attention/attention_output/bias": source[f"{i}.attended.bias"]}
            for theirs, ours in (("intermediate", "inner"), ("output", "outer")):
                values |= {f"{start}/{theirs}/{part}": source[f"{i}.{ours}.{part}"] for part in ("kernel", "bias")}
            norms |= {f"{start}/self_attention_layer_norm": f"{i}.norm1", f"{start}/output_layer_norm": f"{i}.norm2"}
        values |= {f"{theirs}/{part}": source[f"{ours}.{part}"] for theirs, ours in norms.items()
                   for part in ("gamma", "beta")}
        self.parts = {name: tf.Variable(value, name=name) for name, value in values.items()}
        self.do_lower_case = tf.Variable(lowercase, trainable=False, name="do_lower_case", dtype=tf.bool)
        if vocabulary is not None:
            self.vocab_file = tf.saved_model.Asset(str(vocabulary))

    def _norm(self, x: Any, name: str) -> Any:
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        with tf.name_scope("batchnorm"):
            scale = tf.math.rsqrt(tf.add(variance, EPSILON, name="add")) * self.parts[f"{name}/gamma"]
        return (x - mean) * scale + self.parts[f"{name}/beta"]

    def _gelu(self, x: Any) -> Any:
        if self.exact_gelu:
            return 0.5 * x * (1.0 + tf.math.erf(x / math.sqrt(2.0)))
        return 0.5 * x * (1.0 + tf.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))

    @tf.function(input_signature=[{name: tf.TensorSpec([None, None], tf.int32, name) for name in
                                   ("input_word_ids", "input_mask", "input_type_ids")}], autograph=False)
    def __call__(self, inputs: dict[str, Any]) -> dict[str, Any]:
        p = self.parts
        ids = inputs["input_word_ids"]
        x = (tf.gather(p["word_embeddings/embeddings"], ids) + tf.gather(p["type_embeddings/embeddings"],
             inputs["input_type_ids"]) + p["position_embedding/embeddings"][:tf.shape(ids)[1]])
        x = self._norm(x, "embeddings/layer_norm")
        hidden = (1.0 - tf.cast(inputs["input_mask"], tf.float32))[:, None, None, :] * -1e9
        for i in range(self.layers):
            start = f"transformer/layer_{i}"
            query, key, value = (tf.einsum("bth,hnd->bntd", x, p[f"{start}/self_attention/{name}/kernel"])
                                 + p[f"{start}/self_attention/{name}/bias"][:, None] for name in
                                 (("key", "query", "value") if self.wrong else ("query", "key", "value")))
            scores = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) / math.sqrt(SIZE) + hidden)
            seen = tf.einsum("bntd,ndh->bth", tf.matmul(scores, value),
                             p[f"{start}/self_attention/attention_output/kernel"])
            x = self._norm(x + seen + p[f"{start}/self_attention/attention_output/bias"],
                           f"{start}/self_attention_layer_norm")
            inner = self._gelu(tf.einsum("bth,hi->bti", x, p[f"{start}/intermediate/kernel"])
                               + p[f"{start}/intermediate/bias"])
            outer = tf.einsum("bti,ih->bth", inner, p[f"{start}/output/kernel"]) + p[f"{start}/output/bias"]
            x = self._norm(x + outer, f"{start}/output_layer_norm")
        pooled = tf.tanh(x[:, 0] @ p["pooler_transform/kernel"] + p["pooler_transform/bias"])
        return {"sequence_output": x, "pooled_output": pooled, "default": pooled}


def write_hub_encoder(folder: Path, source: Plain, *, vocabulary: bool = True, **options: Any) -> Path:
    """Saves the encoder as a SavedModel with its vocabulary as an asset."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.parent / "vocab.txt"
    path.write_text("\n".join(WORDS) + "\n")
    module = HubEncoder(source, path if vocabulary else None, **options)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.__call__})
    return folder
