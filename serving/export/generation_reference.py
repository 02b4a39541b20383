"""Golden answers of a language model: the best next token again and again, by the whole Keras model each time.

That is another way than the graph's, which keeps what it has computed of earlier tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.export.samples import Samples, strings
from serving.export.servable_module import arranged
from serving.export.text_generation import PROMPT_INPUT, TEXT_INPUT
from zoo.generation.options import DTYPES, defaults

Array = NDArray[Any]

# Enough to show that the tokens that were kept are the right ones.
NEW_TOKENS = 4


def generation_inputs(samples: Samples) -> dict[str, Array]:
    """A request for a few tokens behind each sample, with every option given: arrays [n] or [n, 1] by input name."""
    prompts = samples.raw[TEXT_INPUT]
    options = {**defaults(NEW_TOKENS), "max_new_tokens": [NEW_TOKENS]}
    arrays: dict[str, Array] = {PROMPT_INPUT: prompts}
    for name, value in options.items():
        if DTYPES[name] == tf.string:
            arrays[name] = strings([text.encode() for text in value[0]] * len(prompts)).reshape(len(prompts), -1)
        else:
            arrays[name] = np.repeat(np.array(value, DTYPES[name].as_numpy_dtype), len(prompts))
    return arrays


def generated(model: Any, transform: Any, samples: Samples, longest: int,
              tolerance: Mapping[str, float]) -> tuple[dict[str, Array], dict[str, Array]]:
    """The best few tokens behind each sample.

    Args:
        model: The Keras model.
        transform: Its byte pairs.
        samples: Their texts are the prompts.
        longest: The most tokens that the model reads.
        tolerance: See `serving.export.reference.tolerance_for`.

    Returns:
        Inputs and outputs of the signature "generate". A row asks for as many tokens as are no matter of rounding.
    """
    inputs = generation_inputs(samples)
    wanted = min(NEW_TOKENS, longest)
    rows = []
    for ids in transform.ragged(tf.constant(samples.raw[TEXT_INPUT])).to_list():
        kept = min(len(ids), max(longest + 1 - wanted, 1))
        context = ids[len(ids) - kept:] or [transform.end_of_text_id]
        new, chances = _best(model, transform, context, wanted, longest, tolerance)
        if len(new) < wanted and kept < len(ids):  # asking for fewer leaves more room for the prompt
            new, chances = [], []
        rows.append((new, chances, len(ids)))
    counts = np.array([len(new) for new, *_ in rows], np.int32)
    inputs["max_new_tokens"] = counts
    most = int(counts.max(initial=0))
    tokens = np.full((len(rows), most), -1, np.int32)
    scores = np.zeros((len(rows), most), np.float32)
    for row, (new, chances, _) in enumerate(rows):
        tokens[row, :len(new)], scores[row, :len(new)] = new, chances
    room = np.minimum(np.maximum(longest + 1 - counts, 1), longest)
    lengths = np.array([length for *_, length in rows], np.int32)
    texts = tf.strings.unicode_transcode(transform.decode(np.maximum(tokens, 0), counts), "UTF-8", "UTF-8",
                                         errors="replace")
    return inputs, {"text": texts.numpy().astype(object), "tokens": tokens, "scores": scores, "token_count": counts,
                    "prompt_token_count": np.minimum(lengths, room).astype(np.int32), "truncated": lengths > room,
                    "finish": strings([b"length"] * len(rows))}


def scored(model: Any, transform: Any, samples: Samples, longest: int) -> dict[str, Array]:
    """The outputs of the signature "score" for the samples."""
    totals, counts, cut = [], [], []
    for ids in transform.ragged(tf.constant(samples.raw[TEXT_INPUT])).to_list():
        read = ids[:longest] if transform.spec.truncation == "right" else ids[max(len(ids) - longest, 0):]
        chances = _log_chances(model, read) if len(read) > 1 else np.zeros((1, 1))
        totals.append(sum(chances[place, token] for place, token in enumerate(read[1:])))
        counts.append(max(len(read) - 1, 0))
        cut.append(len(ids) > longest)
    return {"log_likelihood": np.array(totals, np.float32), "token_count": np.array(counts, np.int32),
            "truncated": np.array(cut)}


def _best(model: Any, transform: Any, context: list[int], wanted: int, longest: int,
          tolerance: Mapping[str, float]) -> tuple[list[int], list[float]]:
    """The next tokens and their log-probabilities, up to one that is uncertain or ends the text."""
    tokens: list[int] = []
    scores: list[float] = []
    while len(tokens) < wanted and len(context) + len(tokens) <= longest:
        chances = _log_chances(model, context + tokens)[-1]
        second, best = np.sort(chances)[-2:]
        margin = 2 * (tolerance["absolute"] + tolerance["relative"] * float(np.abs(chances).max()))
        token = int(chances.argmax())
        if best - second <= margin or token == transform.end_of_text_id:
            break
        tokens.append(token)
        scores.append(float(best))
    return tokens, scores


def _log_chances(model: Any, ids: list[int]) -> Array:
    """Log-probabilities of the next token at every place, float64 [len(ids), vocabulary]."""
    row = np.array([ids], np.int32)
    inputs = [row if tensor.name == "token_ids" else np.ones_like(row) for tensor in model.inputs]
    logits = np.asarray(tf.cast(model(arranged(model, inputs), training=False), tf.float64))[0]
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
