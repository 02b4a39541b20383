"""Tokens per second in the graph against keras-hub, tensorflow-text and Hugging Face `tokenizers`, interleaved.

    python benchmarks/tokenization.py DATA

DATA holds bert/vocab.txt, gpt2/vocab.json, gpt2/merges.txt and sst2/train.tsv. Each line is the median over rounds of
one call each in turn, in microseconds per call, and the ratio to ours (above 1: ours is faster).
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_hub
import tensorflow as tf
import tensorflow_text
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel

from zoo.preprocessing.byte_pair import BytePairTransform
from zoo.preprocessing.wordpiece import WordPieceTransform
from zoo.spec import BytePairPreprocessing, WordPiecePreprocessing

ROUNDS = 15


def main(data: Path) -> None:
    lines = (data / "sst2" / "train.tsv").read_text(encoding="utf-8").split("\n")
    cases = {"1 sentence": lambda _: lines[5:6], "32 sentences": lambda _: lines[:32],
             "1024 sentences": lambda _: lines[:1024], "50 words never seen before": unseen_words}
    for title, contenders in (("WordPiece", word_pieces(data)), ("byte pairs", byte_pairs(data))):
        for name, texts in cases.items():
            report(f"{title}, {name}", contenders, texts)


def unseen_words(round_number: int) -> list[str]:
    """A text of other words in each round: some contenders remember the words that they have met."""
    first = 50 * round_number + 1
    return [" ".join(f"qz{number * 7919:x}wv{number * 104729:o}" for number in range(first, first + 50))]


def word_pieces(data: Path) -> dict[str, Callable[[Any, list[str]], Any]]:
    vocabulary = (data / "bert" / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
    ours = graph(WordPieceTransform(WordPiecePreprocessing(max_length=512, vocabulary=tuple(vocabulary))).batch)
    fast = graph(tensorflow_text.FastBertTokenizer(vocabulary, lower_case_nfd_strip_accents=True).tokenize)
    slow_table = tf.lookup.StaticVocabularyTable(tf.lookup.KeyValueTensorInitializer(
        tf.constant(vocabulary), tf.range(len(vocabulary), dtype=tf.int64)), 1)
    slow = graph(tensorflow_text.BertTokenizer(slow_table, lower_case=True).tokenize)
    hub = graph(keras_hub.tokenizers.WordPieceTokenizer(vocabulary, lowercase=True, strip_accents=True))
    reference = Tokenizer(WordPiece({token: number for number, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    reference.normalizer, reference.pre_tokenizer = BertNormalizer(lowercase=True), BertPreTokenizer()
    return {"ours": lambda tensor, _: ours(tensor), "FastBertTokenizer": lambda tensor, _: fast(tensor),
            "BertTokenizer": lambda tensor, _: slow(tensor), "keras-hub": lambda tensor, _: hub(tensor),
            "tokenizers": lambda _, texts: reference.encode_batch_fast(texts)}


def byte_pairs(data: Path) -> dict[str, Callable[[Any, list[str]], Any]]:
    ids = json.loads((data / "gpt2" / "vocab.json").read_text(encoding="utf-8"))
    merges = (data / "gpt2" / "merges.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")[1:]
    ours = graph(BytePairTransform(BytePairPreprocessing(
        max_length=1024, vocabulary=tuple(sorted(ids, key=ids.__getitem__)), merges=tuple(merges))).batch)
    hub = graph(keras_hub.tokenizers.BytePairTokenizer(ids, merges))
    reference = Tokenizer(BPE(ids, [tuple(merge.split(" ")) for merge in merges]))
    reference.pre_tokenizer = ByteLevel(add_prefix_space=False)
    return {"ours": lambda tensor, _: ours(tensor),
            "keras-hub (remembers)": lambda tensor, _: hub(tensor),
            "tokenizers (remembers)": lambda _, texts: reference.encode_batch_fast(texts)}


def graph(function: Callable[..., Any]) -> Any:
    return tf.function(lambda texts: function(texts), input_signature=[tf.TensorSpec([None], tf.string)],
                       autograph=False)


def report(title: str, contenders: dict[str, Callable[[Any, list[str]], Any]],
           texts_of: Callable[[int], list[str]]) -> None:
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for round_number in range(ROUNDS + 2):
        texts = texts_of(round_number)
        tensor = tf.constant(texts)
        for name, call in contenders.items():
            started = time.perf_counter()
            call(tensor, texts)
            if round_number >= 2:
                times[name].append(time.perf_counter() - started)
    print(f"{title} ({sum(map(len, texts_of(0)))} characters)")
    ours = statistics.median(times["ours"])
    for name, measured in times.items():
        print(f"  {name:30} {statistics.median(measured) * 1e6:10.0f} us  {statistics.median(measured) / ours:6.2f} x")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
