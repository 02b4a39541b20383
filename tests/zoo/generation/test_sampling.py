"""The distribution from which a token is drawn is the one that the options describe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.generation.small_gpt2 import log_softmax
from zoo.generation.options import DTYPES, Options, checked, defaults
from zoo.generation.sampling import next_tokens, uniform

_VOCABULARY = 3000  # more than is sorted at first


def options(rows: int, **given: Any) -> Options:
    values = {name: tf.constant(given.get(name, value), DTYPES[name]) for name, value in defaults(64).items()}
    return checked(values, rows, 64)


def expected(scores: Any, seen: Any, *, temperature: float, top_k: int, top_p: float, penalty: float) -> Any:
    """The probabilities in NumPy: repetition penalty, temperature, top_k, top_p."""
    scores = np.where(seen, np.where(scores < 0, scores * penalty, scores / penalty), scores) / temperature
    order = np.argsort(-scores)
    if top_k:
        scores[order[top_k:]] = -np.inf
    probabilities = np.exp(log_softmax(scores))
    before = np.cumsum(probabilities[order]) - probabilities[order]
    probabilities[order[before >= top_p]] = 0.0
    return probabilities / probabilities.sum()


@pytest.mark.parametrize(("temperature", "top_k", "top_p", "penalty"), [
    (1.0, 0, 1.0, 1.0), (0.5, 0, 1.0, 1.0), (1.0, 7, 1.0, 1.0), (1.0, 1, 1.0, 1.0), (1.0, 2000, 1.0, 1.0),
    (1.0, 0, 0.5, 1.0), (3.0, 0, 0.97, 1.0), (1.0, 12, 0.6, 1.0), (0.8, 40, 0.8, 1.7), (1.0, 0, 1e-6, 1.0),
    (1.0, 5000, 0.9, 1.0),
])
def test_the_drawn_token_is_where_the_distribution_says(temperature: float, top_k: int, top_p: float,
                                                        penalty: float) -> None:
    """For every row's random number, the token is the one that NumPy's distribution function gives."""
    generator = np.random.Generator(np.random.PCG64(3))
    scores = generator.normal(0.0, 2.0, _VOCABULARY)
    seen = generator.random(_VOCABULARY) < 0.01
    rows = 64
    asked = options(rows, temperature=[temperature], top_k=[top_k], top_p=[top_p], repetition_penalty=[penalty],
                    seed=list(range(rows)))
    drawn = next_tokens(tf.constant(np.tile(scores, (rows, 1)), tf.float32), tf.constant(np.tile(seen, (rows, 1))),
                        asked, tf.constant(4)).numpy()
    probabilities = expected(scores, seen, temperature=temperature, top_k=top_k, top_p=top_p, penalty=penalty)
    numbers = uniform(asked.seed, tf.constant(4)).numpy()
    reached = np.concatenate([[0.0], np.cumsum(probabilities)])
    for token, number in zip(drawn, numbers, strict=True):
        assert probabilities[token] > 0.0
        assert reached[token] - 1e-4 <= number <= reached[token + 1] + 1e-4


def test_ties_at_the_border_stay_in() -> None:
    """Tokens as good as the last that top_k leaves can be drawn too."""
    scores = tf.constant([[3.0, 1.0, 1.0, 0.0]])
    drawn = {int(next_tokens(scores, tf.zeros([1, 0], tf.bool), options(1, temperature=[5.0], top_k=[2], seed=[seed]),
                             tf.constant(0))[0]) for seed in range(60)}
    assert drawn == {0, 1, 2}


def test_greedy_takes_the_best_after_the_penalty() -> None:
    """At temperature 0 the penalty still counts, and top_k, top_p and the seed do not."""
    scores = tf.constant([[3.0, 2.0, -1.0], [-3.0, -2.0, -1.5]])
    seen = tf.constant([[True, False, False], [False, False, True]])
    asked = options(2, repetition_penalty=[2.0], top_k=[2], top_p=[0.1])
    assert next_tokens(scores, seen, asked, tf.constant(0)).numpy().tolist() == [1, 1]


def test_random_numbers_are_even_and_unrelated() -> None:
    """Numbers of following seeds and steps fill [0, 1) evenly and do not depend on each other."""
    seeds = tf.range(-2000, 2000, dtype=tf.int64)
    columns = np.stack([uniform(seeds, tf.constant(step)).numpy() for step in range(6)])
    assert columns.min() >= 0.0
    assert columns.max() < 1.0
    for numbers in columns:
        counts = np.histogram(numbers, bins=16, range=(0.0, 1.0))[0]
        assert ((counts - 250.0) ** 2 / 250.0).sum() < 45.0  # chi-squared of 15 degrees: 1 in 10,000 above
    assert np.abs(np.corrcoef(columns) - np.eye(6)).max() < 0.06
    assert np.abs(np.corrcoef(columns[0][:-1], columns[0][1:])[0, 1]) < 0.06


def test_random_numbers_are_split_mix() -> None:
    """They are the whole-number arithmetic that the code's comment names: a served text can be made again anywhere."""
    seeds = [0, 1, -1, 2**62, -2**63]
    for step in (0, 3, 1000):
        numbers = uniform(tf.constant(seeds, tf.int64), tf.constant(step)).numpy()
        assert numbers.tolist() == [split_mix(seed, step) for seed in seeds]
    assert split_mix(0, 3) == 0.6564136743545532


def split_mix(seed: int, step: int) -> float:
    golden, whole = 0x9E3779B97F4A7C15, 2**64 - 1
    first = mixed((seed + golden) & whole)
    return float(mixed((first + golden * (step + 1)) & whole) >> 40) / 2**24


def mixed(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)
