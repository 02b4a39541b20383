"""The Python door: `generate` and `score` for a model that carries its record."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.generation.decoder import Decoder
from zoo.generation.options import DTYPES, defaults
from zoo.generation.text import TextGenerator, in_order
from zoo.preprocessing.transform import transform_for
from zoo.spec import record_of

_KEPT = "zoo_text_generator"
# TensorFlow says "assertion failed: [message] ..." and then names operations.
_REASON = re.compile(r"assertion failed: \[(.*?)\](?: \[|\s*\n|$)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class GeneratedText:
    """What was added to a prompt.

    Attributes:
        text: The new text, without the prompt and the stop string.
        tokens: Its token ids.
        scores: Natural log-probability of each token under the model itself, before temperature, top_k, top_p and
            repetition penalty.
        prompt_token_count: Tokens of the prompt that were read.
        truncated: Whether the prompt's beginning was dropped to make room.
        finish: Why it ended: "length", "end_of_text" or "stop".
    """

    text: str
    tokens: tuple[int, ...]
    scores: tuple[float, ...]
    prompt_token_count: int
    truncated: bool
    finish: str


@dataclass(frozen=True, kw_only=True)
class TextScore:
    """How likely a model finds a text.

    Attributes:
        log_likelihood: Sum of the natural log-probabilities of all tokens but the first.
        token_count: How many that are.
        truncated: Whether tokens were cut off.
    """

    log_likelihood: float
    token_count: int
    truncated: bool

    @property
    def perplexity(self) -> float:
        """The exponential of the mean negative log-probability; NaN for a text of less than two tokens."""
        return math.exp(-self.log_likelihood / self.token_count) if self.token_count else math.nan


def generate(model: Any, prompts: Sequence[str | bytes], *, max_new_tokens: int | Sequence[int] | None = None,
             temperature: float | Sequence[float] = 0.0, top_k: int | Sequence[int] = 0,
             top_p: float | Sequence[float] = 1.0, repetition_penalty: float | Sequence[float] = 1.0,
             stop: Sequence[str] | Sequence[Sequence[str]] = (), seed: int | Sequence[int] = 0) -> list[GeneratedText]:
    """Adds text to prompts, all of them at once.

    Every option is one value for all prompts or a sequence with one for each. A row's text depends on its own prompt,
    options and seed alone. The first call for a model traces its graph, which takes some seconds.

    Args:
        model: A GPT-2 with the task "language_model" that carries its record.
        prompts: Texts of any length; a prompt that leaves no room for the new tokens loses its beginning.
        max_new_tokens: The most tokens to add, from 0 to the most that the model reads; None for 64, or those.
        temperature: 0 takes the best token every time; up to 100, what the scores are divided by before drawing.
        top_k: Draw from so many best tokens; 0 for no limit.
        top_p: Draw from the fewest best tokens that have this probability together; in (0, 1].
        repetition_penalty: In (0, 100]; above 1, tokens that are there already become less likely.
        stop: At most 16 strings of at most 128 bytes; the text ends before the first of them.
        seed: Whole number of 64 bits; the same one gives the same text.

    Returns:
        One result for each prompt, in their order.

    Raises:
        ArgumentError: The model is no language model, or an option is out of its range.
    """
    texts = _texts("prompts", prompts)
    if not texts:
        return []
    generator = _generator(model)
    if max_new_tokens is None:
        max_new_tokens = defaults(generator.longest)["max_new_tokens"]
    given = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_k": top_k, "top_p": top_p,
             "repetition_penalty": repetition_penalty, "seed": seed}
    values = {name: _numbers(name, value) for name, value in given.items()} | {"stop": _stops(stop)}
    outputs = _called(generator.generate, tf.constant(texts), *in_order(values))
    results = []
    for row, count in enumerate(outputs["token_count"]):
        results.append(GeneratedText(
            text=outputs["text"][row].decode("utf-8"), tokens=tuple(map(int, outputs["tokens"][row, :count])),
            scores=tuple(map(float, outputs["scores"][row, :count])),
            prompt_token_count=int(outputs["prompt_token_count"][row]), truncated=bool(outputs["truncated"][row]),
            finish=outputs["finish"][row].decode()))
    return results


def score(model: Any, texts: Sequence[str | bytes]) -> list[TextScore]:
    """Says how likely a model finds texts.

    Args:
        model: A GPT-2 with the task "language_model" that carries its record.
        texts: Texts; one that is too long is cut as the model's preprocessing declares.

    Returns:
        One result for each text, in their order.

    Raises:
        ArgumentError: The model is no language model.
    """
    given = _texts("texts", texts)
    if not given:
        return []
    outputs = _called(_generator(model).score, tf.constant(given))
    return [TextScore(log_likelihood=float(total), token_count=int(count), truncated=bool(truncated))
            for total, count, truncated in zip(outputs["log_likelihood"], outputs["token_count"],
                                               outputs["truncated"], strict=True)]


def _generator(model: Any) -> TextGenerator:
    """The model's generator, kept with it as long as its variables and preprocessing are the same ones."""
    record = record_of(model)
    state = (record.preprocessing, [id(variable.value) for variable in model.variables])
    kept = model.__dict__.get(_KEPT)
    if kept is None or kept[0] != state:
        kept = (state, TextGenerator(lambda: Decoder.of(model), transform_for(record.preprocessing)))
        # Past Keras, which would save what it tracks with the model.
        model.__dict__[_KEPT] = kept
    generator: TextGenerator = kept[1]
    return generator


def _called(function: Any, *arguments: Any) -> dict[str, Any]:
    try:
        return {name: value.numpy() for name, value in function(*arguments).items()}
    except tf.errors.InvalidArgumentError as error:
        match = _REASON.search(str(error))
        if match is None:
            raise
        raise ArgumentError(match.group(1)) from error


def _texts(name: str, given: Sequence[str | bytes]) -> list[str | bytes]:
    if isinstance(given, str | bytes):
        raise ArgumentError(f"`{name}` must be a sequence of texts. Received one text; write [text].")
    texts = list(given)
    wrong = [text for text in texts if not isinstance(text, str | bytes)]
    if wrong:
        raise ArgumentError(f"`{name}` must hold texts. Received: {wrong[0]!r}")
    return texts


def _numbers(name: str, value: Any) -> Any:
    """A number or a sequence of them as a tensor [1] or [N]."""
    array = np.atleast_1d(np.asarray(value))
    whole = DTYPES[name].is_integer
    fits = array.ndim == 1 and (array.dtype.kind in "iu" if whole else array.dtype.kind in "iuf")
    if fits and whole:
        limits = np.iinfo(DTYPES[name].as_numpy_dtype)
        fits = all(limits.min <= int(number) <= limits.max for number in array)
    if not fits:
        raise ArgumentError(f"`{name}` must be a {'whole ' if whole else ''}number or one for each prompt. "
                            f"Received: {value!r}")
    return tf.constant(array.astype(DTYPES[name].as_numpy_dtype))


def _stops(stop: Any) -> Any:
    """Stop strings for all rows, or one sequence of them for each, as a tensor [1, S] or [N, S]."""
    if isinstance(stop, str | bytes):
        raise ArgumentError(f"`stop` must be a sequence of strings. Received one string; write [{stop!r}].")
    given = list(stop)
    rows = [given] if all(isinstance(item, str | bytes) for item in given) else [list(row) for row in given]
    if any(not isinstance(item, str | bytes) for row in rows for item in row):
        raise ArgumentError(f"`stop` must hold strings, or one sequence of strings for each prompt. Received: {stop!r}")
    width = max(1, *map(len, rows))
    return tf.constant([row + [""] * (width - len(row)) for row in rows])
