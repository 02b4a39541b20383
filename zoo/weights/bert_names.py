"""How BERT's tensors are called where BERTs are kept, and which of our variables they are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from zoo.weights.tensor_rules import ANSWERS, CLASSES, MASKED, NEXT_SENTENCE, POOLER, Layout, Rule


def _norm(source: str, target: str, names: tuple[str, str], head: str = "") -> list[Rule]:
    return [Rule(source=f"{source}{name}", target=f"{target}/{ours}", head=head)
            for name, ours in zip(names, ("gamma", "beta"), strict=True)]


def _dense(source: str, target: str, *, kernel: str = "kernel", layout: Layout = "same", head: str = "",
           first: int = 0) -> list[Rule]:
    return [Rule(source=f"{source}{kernel}", target=f"{target}/kernel", layout=layout, head=head, first=first),
            Rule(source=f"{source}bias", target=f"{target}/bias", head=head, first=first)]


def _split(source: str, names: tuple[str, str, str], *, kernel: str = "kernel", layout: Layout = "same",
           bias_layout: Layout = "same", first: int = 0) -> list[Rule]:
    """Query, key and value, which are one product in our models."""
    rules = []
    for part, name in enumerate(names):
        for ours, theirs, lies in (("kernel", kernel, layout), ("bias", "bias", bias_layout)):
            rules.append(Rule(source=source.format(name=name, i="{i}") + theirs, layout=lies, part=part, parts=3,
                              target=f"block_{{i}}/attention/qkv/{ours}", first=first))
    return rules


_QUERY_KEY_VALUE = ("query", "key", "value")


# === Hugging Face: PyTorch's kernels are [out, in] ===

def _hugging_face() -> list[Rule]:
    layer = "encoder.layer.{i}."
    turned: Layout = "turned"
    rules = [Rule(source="embeddings.word_embeddings.weight", target="token_embedding/embeddings"),
             Rule(source="embeddings.position_embeddings.weight", target="position_embedding/embeddings"),
             Rule(source="embeddings.token_type_embeddings.weight", target="segment_embedding/embeddings")]
    for names in (("weight", "bias"), ("gamma", "beta")):  # the second: as converted from TensorFlow in old days
        rules += _norm("embeddings.LayerNorm.", "embedding_norm", names)
        rules += _norm(f"{layer}attention.output.LayerNorm.", "block_{i}/attention_norm", names)
        rules += _norm(f"{layer}output.LayerNorm.", "block_{i}/output_norm", names)
        rules += _norm("cls.predictions.transform.LayerNorm.", "mlm_norm", names, MASKED)
    rules += _split(layer + "attention.self.{name}.", _QUERY_KEY_VALUE, kernel="weight", layout=turned)
    for source, target in (("attention.output.dense.", "attention/output"), ("intermediate.dense.", "intermediate"),
                           ("output.dense.", "output")):
        rules += _dense(layer + source, f"block_{{i}}/{target}", kernel="weight", layout=turned)
    for source, target, head in (("pooler.dense.", "pooler", POOLER), ("classifier.", "predictions", CLASSES),
                                 ("cls.predictions.transform.dense.", "mlm_transform", MASKED),
                                 ("cls.seq_relationship.", "next_sentence", NEXT_SENTENCE),
                                 ("qa_outputs.", "answers", ANSWERS)):
        rules += _dense(source, target, kernel="weight", layout=turned, head=head)
    return [*rules, Rule(source="cls.predictions.bias", target="predictions/bias", head=MASKED),
            Rule(source="cls.predictions.decoder.bias", target="predictions/bias", head=MASKED, tied=True),
            Rule(source="cls.predictions.decoder.weight", target="token_embedding/embeddings", tied=True)]


# === The original TensorFlow 1 release ===

def _tensorflow1() -> list[Rule]:
    layer, norm = "bert/encoder/layer_{i}/", ("gamma", "beta")
    rules = [Rule(source="bert/embeddings/word_embeddings", target="token_embedding/embeddings"),
             Rule(source="bert/embeddings/position_embeddings", target="position_embedding/embeddings"),
             Rule(source="bert/embeddings/token_type_embeddings", target="segment_embedding/embeddings"),
             *_norm("bert/embeddings/LayerNorm/", "embedding_norm", norm),
             *_split(layer + "attention/self/{name}/", _QUERY_KEY_VALUE),
             *_dense(layer + "attention/output/dense/", "block_{i}/attention/output"),
             *_norm(layer + "attention/output/LayerNorm/", "block_{i}/attention_norm", norm),
             *_dense(layer + "intermediate/dense/", "block_{i}/intermediate"),
             *_dense(layer + "output/dense/", "block_{i}/output"),
             *_norm(layer + "output/LayerNorm/", "block_{i}/output_norm", norm),
             *_dense("bert/pooler/dense/", "pooler", head=POOLER),
             *_dense("cls/predictions/transform/dense/", "mlm_transform", head=MASKED),
             *_norm("cls/predictions/transform/LayerNorm/", "mlm_norm", norm, MASKED),
             Rule(source="cls/predictions/output_bias", target="predictions/bias", head=MASKED)]
    for prefix, target, head in (("cls/seq_relationship/", "next_sentence", NEXT_SENTENCE),
                                 ("", "predictions", CLASSES), ("cls/squad/", "answers", ANSWERS)):
        rules += [Rule(source=f"{prefix}output_weights", target=f"{target}/kernel", layout="turned", head=head),
                  Rule(source=f"{prefix}output_bias", target=f"{target}/bias", head=head)]
    return rules


# === Model Garden 2: the variables of TF Hub's encoders, matched by the end of their names ===

def _tf_hub() -> list[Rule]:
    layer, norm = "transformer/layer_{i}/", ("gamma", "beta")
    return [Rule(source="word_embeddings/embeddings", target="token_embedding/embeddings"),
            Rule(source="position_embedding/embeddings", target="position_embedding/embeddings"),
            Rule(source="type_embeddings/embeddings", target="segment_embedding/embeddings"),
            *_norm("embeddings/layer_norm/", "embedding_norm", norm),
            *_split(layer + "self_attention/{name}/", _QUERY_KEY_VALUE, layout="heads_last", bias_layout="heads_last"),
            *_dense(layer + "self_attention/attention_output/", "block_{i}/attention/output", layout="heads_first"),
            *_norm(layer + "self_attention_layer_norm/", "block_{i}/attention_norm", norm),
            *_dense(layer + "intermediate/", "block_{i}/intermediate"),
            *_dense(layer + "output/", "block_{i}/output"),
            *_norm(layer + "output_layer_norm/", "block_{i}/output_norm", norm),
            *_dense("pooler_transform/", "pooler", head=POOLER),
            *_dense("transform/dense/", "mlm_transform", head=MASKED),
            *_norm("transform/LayerNorm/", "mlm_norm", norm, MASKED),
            Rule(source="output_bias/bias", target="predictions/bias", head=MASKED),
            Rule(source="predictions/output_bias", target="predictions/bias", head=MASKED)]


# === Model Garden 2 as an object-based checkpoint: layers by number, blocks from the fifth ===

def _model_garden() -> list[Rule]:
    norm, block, first = ("gamma", "beta"), "encoder/layer_with_weights-{i}/", 4
    rules = [Rule(source="encoder/layer_with_weights-0/embeddings", target="token_embedding/embeddings"),
             Rule(source="encoder/layer_with_weights-1/embeddings", target="position_embedding/embeddings"),
             Rule(source="encoder/layer_with_weights-2/embeddings", target="segment_embedding/embeddings"),
             *_norm("encoder/layer_with_weights-3/", "embedding_norm", norm),
             *_split(block + "_attention_layer/_{name}_dense/", _QUERY_KEY_VALUE, layout="heads_last",
                     bias_layout="heads_last", first=first)]
    for source in ("_attention_layer/_output_dense/", "_attention_output_dense/"):
        rules += _dense(block + source, "block_{i}/attention/output", layout="heads_first", first=first)
    rules += _dense(block + "_intermediate_dense/", "block_{i}/intermediate", first=first)
    rules += _dense(block + "_output_dense/", "block_{i}/output", first=first)
    for source, target in (("_attention_layer_norm/", "attention_norm"), ("_output_layer_norm/", "output_norm")):
        rules += [Rule(source=f"{block}{source}{name}", target=f"block_{{i}}/{target}/{name}", first=first)
                  for name in norm]
    return [*rules, *_dense("next_sentence..pooler_dense/", "pooler", head=POOLER)]


HUGGING_FACE = tuple(_hugging_face())
TENSORFLOW1 = tuple(_tensorflow1())
TF_HUB = tuple(_tf_hub())
MODEL_GARDEN = tuple(_model_garden())

# What stands in such checkpoints beside parameters, by the pattern of the whole name.
HUGGING_FACE_IGNORED: Mapping[str, str] = MappingProxyType({
    r"(bert\.)?embeddings\.(position_ids|token_type_ids)": "a constant of the PyTorch code, no parameter"})
TENSORFLOW_IGNORED: Mapping[str, str] = MappingProxyType({
    r".+/(adam_m|adam_v|Adam|Adam_1)": "state of the optimizer",
    r"global_step(/.*)?|beta[12]_power|bad_steps|loss_scale|good_steps": "state of the training",
    r"(optimizer|save_counter|_CHECKPOINTABLE_OBJECT_GRAPH)(/.*)?|.*/\.OPTIMIZER_SLOT/.*": "state of the training"})
