"""Small random BERTs and GPT-2s, written out in the formats of others after their descriptions, not after our loaders.

`Plain` holds the parameters under names of no format: kernels [in, out], query, key and value apart.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors.numpy
import tensorflow as tf

from tests.zoo.text import numpy_transformer as reference

Array = np.ndarray[Any, Any]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIAL, *(f"word{number}" for number in range(25)), *(f"##end{number}" for number in range(10))]
TOKENS = [*(chr(33 + number) for number in range(38)), "\u0120word", "<|endoftext|>"]
SIZE, WIDTH, HEADS, LAYERS, INNER, POSITIONS, SEGMENTS = 40, 24, 3, 2, 50, 12, 2
BLOCK = (("query", (WIDTH, WIDTH)), ("key", (WIDTH, WIDTH)), ("value", (WIDTH, WIDTH)), ("attended", (WIDTH, WIDTH)),
         ("inner", (WIDTH, INNER)), ("outer", (INNER, WIDTH)))


@dataclass
class Plain:
    """Parameters of a model by names of no format."""

    values: dict[str, Array]
    layers: int = LAYERS
    extra: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Array:
        return self.values[name]

    def ours(self) -> dict[str, Array]:
        """By the names of the NumPy reference, in float64, with query, key and value joined."""
        found = {"token_embedding/embeddings": self["tokens"], "position_embedding/embeddings": self["positions"]}
        if "segments" in self.values:
            found["segment_embedding/embeddings"] = self["segments"]
        norms = {"norm": "embedding_norm", "final": "final_norm"}
        for i in range(self.layers):
            for part in ("kernel", "bias"):
                found[f"block_{i}/attention/qkv/{part}"] = np.concatenate(
                    [self[f"{i}.{name}.{part}"] for name in ("query", "key", "value")], -1)
                for name, target in (("attended", "attention/output"), ("inner", "intermediate"), ("outer", "output")):
                    found[f"block_{i}/{target}/{part}"] = self[f"{i}.{name}.{part}"]
            norms |= {f"{i}.norm1": f"block_{i}/attention_norm", f"{i}.norm2": f"block_{i}/output_norm"}
        for name, target in norms.items():
            if f"{name}.gamma" in self.values:
                found |= {f"{target}/{part}": self[f"{name}.{part}"] for part in ("gamma", "beta")}
        return {name: value.astype("float64") for name, value in found.items()}


def plain(family: str, *, seed: int = 0, layers: int = LAYERS) -> Plain:
    """Random parameters."""
    generator = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"tokens": (SIZE, WIDTH), "positions": (POSITIONS, WIDTH)}
    for i in range(layers):
        for name, shape in BLOCK:
            shapes |= {f"{i}.{name}.kernel": shape, f"{i}.{name}.bias": shape[1:]}
        shapes |= {f"{i}.{norm}.{part}": (WIDTH,) for norm in ("norm1", "norm2") for part in ("gamma", "beta")}
    if family == "bert":
        shapes |= {"segments": (SEGMENTS, WIDTH), "norm.gamma": (WIDTH,), "norm.beta": (WIDTH,),
                   "pooler.kernel": (WIDTH, WIDTH), "pooler.bias": (WIDTH,)}
    else:
        shapes |= {"final.gamma": (WIDTH,), "final.beta": (WIDTH,)}
    values = {name: generator.normal(float(name.endswith("gamma")), 0.3, shape).astype("float32")
              for name, shape in shapes.items()}
    return Plain(values, layers)


def inputs(family: str) -> dict[str, Array]:
    return reference.example(segments=family == "bert")


def states(family: str, source: Plain, *, activation: Any = None, epsilon: float | None = None) -> list[Array]:
    """Hidden states of each text without its padding, in float64."""
    if family == "bert":
        return reference.bert_states(source.ours(), inputs("bert"), layers=source.layers, heads=HEADS,
                                     activation=activation or reference.gelu, epsilon=epsilon or 1e-12)
    return reference.gpt2_states(source.ours(), inputs("gpt2"), layers=source.layers, heads=HEADS,
                                 activation=activation or reference.gelu_tanh, epsilon=epsilon or 1e-5)


def largest_difference(found: Any, expected: list[Array]) -> float:
    """Over the real tokens of each text."""
    rows = np.asarray(found)
    return max(float(np.abs(row[:len(one)] - one).max()) for row, one in zip(rows, expected, strict=True))


# === Hugging Face ===


def hugging_face_bert(source: Plain, *, prefix: str = "",
                      norm: tuple[str, str] = ("weight", "bias")) -> dict[str, Array]:
    names = {"tokens": "embeddings.word_embeddings.weight", "positions": "embeddings.position_embeddings.weight",
             "segments": "embeddings.token_type_embeddings.weight"}
    products = {"pooler": "pooler.dense"}
    norms = {"norm": "embeddings.LayerNorm"}
    for i in range(source.layers):
        start = f"encoder.layer.{i}"
        products |= {f"{i}.{name}": f"{start}.attention.self.{name}" for name in ("query", "key", "value")}
        products |= {f"{i}.attended": f"{start}.attention.output.dense", f"{i}.inner": f"{start}.intermediate.dense",
                     f"{i}.outer": f"{start}.output.dense"}
        norms |= {f"{i}.norm1": f"{start}.attention.output.LayerNorm", f"{i}.norm2": f"{start}.output.LayerNorm"}
    found = {theirs: source[ours] for ours, theirs in names.items()}
    for ours, theirs in products.items():
        if f"{ours}.kernel" in source.values:
            found |= {f"{theirs}.weight": np.ascontiguousarray(source[f"{ours}.kernel"].T),
                      f"{theirs}.bias": source[f"{ours}.bias"]}
    for ours, theirs in norms.items():
        found |= {f"{theirs}.{part}": source[f"{ours}.{name}"] for part, name in zip(norm, ("gamma", "beta"),
                                                                                     strict=True)}
    return {f"{prefix}{name}": value for name, value in found.items()}


def hugging_face_gpt2(source: Plain, *, prefix: str = "") -> dict[str, Array]:
    found = {"wte.weight": source["tokens"], "wpe.weight": source["positions"], "ln_f.weight": source["final.gamma"],
             "ln_f.bias": source["final.beta"]}
    for i in range(source.layers):
        for part, theirs in (("kernel", "weight"), ("bias", "bias")):
            found[f"h.{i}.attn.c_attn.{theirs}"] = np.concatenate(
                [source[f"{i}.{name}.{part}"] for name in ("query", "key", "value")], -1)
            found |= {f"h.{i}.attn.c_proj.{theirs}": source[f"{i}.attended.{part}"],
                      f"h.{i}.mlp.c_fc.{theirs}": source[f"{i}.inner.{part}"],
                      f"h.{i}.mlp.c_proj.{theirs}": source[f"{i}.outer.{part}"]}
        for norm in ("1", "2"):
            found |= {f"h.{i}.ln_{norm}.weight": source[f"{i}.norm{norm}.gamma"],
                      f"h.{i}.ln_{norm}.bias": source[f"{i}.norm{norm}.beta"]}
    return {f"{prefix}{name}": value for name, value in found.items()}


BERT_CONFIG: dict[str, Any] = {
    "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": WIDTH,
    "intermediate_size": INNER, "layer_norm_eps": 1e-12, "max_position_embeddings": POSITIONS,
    "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "type_vocab_size": SEGMENTS, "vocab_size": SIZE,
    "position_embedding_type": "absolute", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
GPT2_CONFIG: dict[str, Any] = {
    "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new", "n_embd": WIDTH,
    "n_head": HEADS, "n_inner": INNER, "n_layer": LAYERS, "n_positions": POSITIONS, "n_ctx": POSITIONS,
    "vocab_size": SIZE, "layer_norm_epsilon": 1e-5, "resid_pdrop": 0.1, "attn_pdrop": 0.1, "embd_pdrop": 0.1}


def write_hugging_face(folder: Path, family: str, tensors: dict[str, Array], *, parts: int = 1, dtype: str = "float32",
                       vocabulary: bool = True, **config: Any) -> Path:
    """Writes what `save_pretrained` would; a value of None takes an entry out of the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = (BERT_CONFIG if family == "bert" else GPT2_CONFIG) | config
    write_json(folder / "config.json", {name: value for name, value in whole.items() if value is not None})
    kinds = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
    stored = {name: np.ascontiguousarray(value.astype(kinds[dtype]) if value.dtype == np.float32 else value)
              for name, value in tensors.items()}
    if parts == 1:
        safetensors.numpy.save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        files = [f"model-{number + 1:05}-of-{parts:05}.safetensors" for number in range(parts)]
        placed = {name: files[number % parts] for number, name in enumerate(stored)}
        for part in files:
            safetensors.numpy.save_file({name: stored[name] for name in stored if placed[name] == part}, folder / part)
        write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": 1}, "weight_map": placed})
    if vocabulary and family == "bert":
        (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
        write_json(folder / "tokenizer_config.json", {"do_lower_case": True, "model_max_length": 512})
    elif vocabulary:
        write_json(folder / "vocab.json", {token: number for number, token in enumerate(TOKENS)})
        (folder / "merges.txt").write_text("#version: 0.2\n! \"\n# $\n")
    return folder


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


# === TensorFlow ===


def save_by_name(prefix: Path, tensors: dict[str, Array]) -> None:
    """The file format of TensorFlow 1's Saver, by the same operation."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=list(tensors), shape_and_slices=[""] * len(tensors),
                      tensors=[tf.constant(value) for value in tensors.values()])


def write_tf1_bert(folder: Path, source: Plain, *, slots: bool = True) -> Path:
    found = {"bert/embeddings/word_embeddings": source["tokens"],
             "bert/embeddings/position_embeddings": source["positions"],
             "bert/embeddings/token_type_embeddings": source["segments"]}
    products, norms = {"pooler": "bert/pooler/dense"}, {"norm": "bert/embeddings/LayerNorm"}
    for i in range(source.layers):
        start = f"bert/encoder/layer_{i}"
        products |= {f"{i}.{name}": f"{start}/attention/self/{name}" for name in ("query", "key", "value")}
        products |= {f"{i}.attended": f"{start}/attention/output/dense", f"{i}.inner": f"{start}/intermediate/dense",
                     f"{i}.outer": f"{start}/output/dense"}
        norms |= {f"{i}.norm1": f"{start}/attention/output/LayerNorm", f"{i}.norm2": f"{start}/output/LayerNorm"}
    for names, kinds in ((products, ("kernel", "bias")), (norms, ("gamma", "beta"))):
        found |= {f"{theirs}/{kind}": source[f"{ours}.{kind}"] for ours, theirs in names.items() for kind in kinds}
    for name in ("cls/seq_relationship/output_weights", "cls/seq_relationship/output_bias"):
        found[name] = np.zeros((2, WIDTH) if name.endswith("weights") else (2,), "float32")
    if slots:
        found |= {f"{name}/{slot}": np.zeros_like(value) for name, value in list(found.items())
                  for slot in ("adam_m", "adam_v")} | {"global_step": np.array(100, "int64")}
    save_by_name(folder / "bert_model.ckpt", found)
    config = {name: value for name, value in BERT_CONFIG.items() if name not in ("architectures", "model_type",
                                                                                 "layer_norm_eps")}
    write_json(folder / "bert_config.json", config)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return folder


def write_openai_gpt2(folder: Path, source: Plain) -> Path:
    """Inner width 4H: that release knows no other."""
    found = {"model/wte": source["tokens"], "model/wpe": source["positions"], "model/ln_f/g": source["final.gamma"],
             "model/ln_f/b": source["final.beta"]}
    for i in range(source.layers):
        for part, theirs in (("kernel", "w"), ("bias", "b")):
            joined = np.concatenate([source[f"{i}.{name}.{part}"] for name in ("query", "key", "value")], -1)
            values = {"attn/c_attn": joined, "attn/c_proj": source[f"{i}.attended.{part}"],
                      "mlp/c_fc": source[f"{i}.inner.{part}"], "mlp/c_proj": source[f"{i}.outer.{part}"]}
            found |= {f"model/h{i}/{name}/{theirs}": value[None] if part == "kernel" else value
                      for name, value in values.items()}
        for norm in ("1", "2"):
            found |= {f"model/h{i}/ln_{norm}/g": source[f"{i}.norm{norm}.gamma"],
                      f"model/h{i}/ln_{norm}/b": source[f"{i}.norm{norm}.beta"]}
    save_by_name(folder / "model.ckpt", found)
    write_json(folder / "hparams.json", {"n_vocab": SIZE, "n_ctx": POSITIONS, "n_embd": WIDTH, "n_head": HEADS,
                                         "n_layer": source.layers})
    write_json(folder / "encoder.json", {token: number for number, token in enumerate(TOKENS)})
    (folder / "vocab.bpe").write_text("#version: 0.2\n! \"\n# $\n")
    return folder


def widened(source: Plain, inner: int) -> Plain:
    """The same model with another width inside its feed-forward nets."""
    generator = np.random.default_rng(7)
    changed = dict(source.values)
    for i in range(source.layers):
        changed |= {f"{i}.inner.kernel": generator.normal(0, 0.2, (WIDTH, inner)).astype("float32"),
                    f"{i}.inner.bias": generator.normal(0, 0.2, inner).astype("float32"),
                    f"{i}.outer.kernel": generator.normal(0, 0.2, (inner, WIDTH)).astype("float32")}
    return Plain(changed, source.layers)
