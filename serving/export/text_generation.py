"""The signatures of a language model that take texts.

    generate     {prompt: string [N], and the options}  -> text, tokens, scores, counts, truncated, finish
    serve_text   {text: string [N]}                     -> the same, with every option's default
    score        {text: string [N]}                     -> log_likelihood, token_count, truncated

The options are max_new_tokens, temperature, top_k, top_p, repetition_penalty, stop and seed; each is [1] for all rows
or [N], `stop` [1, S] or [N, S]. All have defaults, which TensorFlow Serving fills in for gRPC; its REST wants them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from serving.export.servable_module import Rewritten
from serving.export.signature import PREDICT, Signature, make_signature
from zoo.generation.decoder import Decoder
from zoo.generation.layout import in_bfloat16, in_int8, laid_out
from zoo.generation.network import whole_logits
from zoo.generation.options import DTYPES, defaults, specs
from zoo.generation.text import TextGenerator, in_order
from zoo.preprocessing.transform import Transform

GENERATE, SCORE, SERVE_TEXT = "generate", "score", "serve_text"
PROMPT_INPUT, TEXT_INPUT = "prompt", "text"
_IN_NUMBERS: Mapping[str, Callable[[Decoder], Decoder]] = MappingProxyType({
    "float32": lambda decoder: decoder, "bfloat16": in_bfloat16, "int8": in_int8})


def serving_decoder(model: Any, precision: str = "float32") -> Decoder:
    """Copies a model's parameters in the layout that is fast to serve.

    Args:
        model: A GPT-2 with the task "language_model", without adapters.
        precision: "float32" keeps the model's own numbers; "bfloat16" and "int8" halve and quarter what is read for
            each token.

    Raises:
        zoo.errors.ArgumentError: The model is no GPT-2.
    """
    return _IN_NUMBERS[precision](laid_out(Decoder.of(model)))


def rewritten(model: Any, decoder: Decoder) -> Rewritten:
    """The model's forward pass over the decoder's parameters, so that an export holds each of them once.

    Args:
        model: The model that the decoder was made from.
        decoder: Its parameters.
    """
    ids, mask = (tensor.name for tensor in model.inputs)

    def call(inputs: Mapping[str, Any]) -> Any:
        return whole_logits(decoder.read(), inputs[ids], inputs[mask] > 0)

    return Rewritten(call, tuple(decoder.parameters()))


def language_model_signatures(decoder: Decoder, transform: Transform) -> dict[str, Signature]:
    """Traces the signatures that take texts.

    Args:
        decoder: The parameters of a language model; they must be among those that the module tracks.
        transform: Its byte-pair tokenizer, which the module tracks as well.

    Returns:
        Signatures by name: "generate", "serve_text" and "score".

    Raises:
        zoo.errors.ArgumentError: The vocabulary is another model's.
    """
    generator = TextGenerator(lambda: decoder, transform)
    standing_in = defaults(generator.longest)

    def generate(tensors: list[Any]) -> dict[str, Any]:
        return dict(generator.generate(*tensors))

    def with_defaults(tensors: list[Any]) -> dict[str, Any]:
        constants = {name: tf.constant(value, DTYPES[name]) for name, value in standing_in.items()}
        return dict(generator.generate(tensors[0], *in_order(constants)))

    def score(tensors: list[Any]) -> dict[str, Any]:
        return dict(generator.score(tensors[0]))

    prompt = {PROMPT_INPUT: tf.TensorSpec([None], tf.string, name=PROMPT_INPUT)}
    text = {TEXT_INPUT: tf.TensorSpec([None], tf.string, name=TEXT_INPUT)}
    return {
        GENERATE: make_signature(GENERATE, PREDICT, prompt | specs(), generate, defaults=standing_in),
        SERVE_TEXT: make_signature(SERVE_TEXT, PREDICT, text, with_defaults),
        SCORE: make_signature(SCORE, PREDICT, text, score),
    }
