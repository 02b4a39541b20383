"""How GPT-2's tensors are called where GPT-2s are kept, and which of our variables they are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from zoo.weights.tensor_rules import CLASSES, Layout, Rule

# Source and target of the products and the norms of one block. Query, key and value are one product here as well.
_PRODUCTS = (("attn{s}c_attn", "attention/qkv"), ("attn{s}c_proj", "attention/output"), ("mlp{s}c_fc", "intermediate"),
             ("mlp{s}c_proj", "output"))
_NORMS = (("ln_1", "attention_norm"), ("ln_2", "output_norm"))


def _blocks(start: str, separator: str, kernel: str, bias: str, gamma: str, beta: str, layout: Layout) -> list[Rule]:
    rules = []
    for source, target in _PRODUCTS:
        stem = start + source.format(s=separator) + separator
        rules += [Rule(source=stem + kernel, target=f"block_{{i}}/{target}/kernel", layout=layout),
                  Rule(source=stem + bias, target=f"block_{{i}}/{target}/bias")]
    for source, target in _NORMS:
        stem = start + source + separator
        rules += [Rule(source=stem + gamma, target=f"block_{{i}}/{target}/gamma"),
                  Rule(source=stem + beta, target=f"block_{{i}}/{target}/beta")]
    return rules


# Kernels lie [in, out] as ours: Hugging Face's GPT-2 is made of "Conv1D" products, unlike its BERT.
HUGGING_FACE = (
    Rule(source="wte.weight", target="token_embedding/embeddings"),
    Rule(source="wpe.weight", target="position_embedding/embeddings"),
    *_blocks("h.{i}.", ".", "weight", "bias", "weight", "bias", "same"),
    Rule(source="ln_f.weight", target="final_norm/gamma"),
    Rule(source="ln_f.bias", target="final_norm/beta"),
    Rule(source="lm_head.weight", target="token_embedding/embeddings", tied=True),
    Rule(source="score.weight", target="predictions/kernel", layout="turned", head=CLASSES),
    Rule(source="classifier.weight", target="predictions/kernel", layout="turned", head=CLASSES),
    Rule(source="classifier.bias", target="predictions/bias", head=CLASSES),
)

OPENAI = (
    Rule(source="model/wte", target="token_embedding/embeddings"),
    Rule(source="model/wpe", target="position_embedding/embeddings"),
    *_blocks("model/h{i}/", "/", "w", "b", "g", "b", "squeezed"),
    Rule(source="model/ln_f/g", target="final_norm/gamma"),
    Rule(source="model/ln_f/b", target="final_norm/beta"),
)

HUGGING_FACE_IGNORED: Mapping[str, str] = MappingProxyType({
    r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)": "the causal mask of the PyTorch code, no parameter"})
