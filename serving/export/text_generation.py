"""The signatures of a language model that take texts.

    generate     {prompt: string [N], and the options}  -> text, tokens, scores, counts, truncated, finish
    serve_text   {text: string [N]}                     -> the same, with every option's default
    score        {text: string [N]}                     -> log_likelihood, token_count, truncated

The options are max_new_tokens, temperature, top_k, top_p, repetition_penalty, stop and seed; each is [1] for all rows
or [N], `stop` [1, S] or [N, S]. All have defaults, which TensorFlow Serving fills in for gRPC; its REST wants them all.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from serving.export.signature import PREDICT, Signature, make_signature
from zoo.generation.decoder import Decoder
from zoo.generation.options import DTYPES, defaults, specs
from zoo.generation.text import TextGenerator, in_order
from zoo.preprocessing.transform import Transform

GENERATE, SCORE, SERVE_TEXT = "generate", "score", "serve_text"
PROMPT_INPUT, TEXT_INPUT = "prompt", "text"


def language_model_signatures(model: Any, transform: Transform) -> dict[str, Signature]:
    """Traces the signatures that take texts.

    Args:
        model: A GPT-2 with the task "language_model"; its variables must be among those that the module tracks.
        transform: Its byte-pair tokenizer, which the module tracks as well.

    Returns:
        Signatures by name: "generate", "serve_text" and "score".

    Raises:
        zoo.errors.ArgumentError: The model is no GPT-2, or its vocabulary is another one's.
    """
    generator = TextGenerator(lambda: Decoder.of(model), transform)
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
