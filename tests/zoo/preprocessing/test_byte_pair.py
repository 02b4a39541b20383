from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.pre_tokenizers import Sequence as Sequenced

from serving.export.graph_checks import Graph
from serving.export.op_lists import known_ops
from tests.zoo.preprocessing.hostile_texts import broken_texts, hostile_texts, real_lines
from zoo.errors import ArgumentError
from zoo.preprocessing.byte_alphabet import byte_characters, byte_vocabulary
from zoo.preprocessing.byte_pair import BytePairTransform
from zoo.preprocessing.byte_pair_words import WordDivider
from zoo.preprocessing.transform import transform_for
from zoo.spec import BytePairPreprocessing

END = "<|endoftext|>"
MERGES = ("t h", "Ġ th", "Ġth e", "h e", "a a", "aa a", "Ã ©", "l l", "Ġ Ġ", "ĠĠ ĠĠ", "th e")
SMALL = (*byte_characters(), "th", "Ġth", "Ġthe", "he", "aa", "aaa", "Ã©", "ll", "ĠĠ", "ĠĠĠĠ", "the", END)


def small(**options: Any) -> BytePairTransform:
    arguments = {"max_length": 8, "vocabulary": SMALL, "merges": MERGES, **options}
    return BytePairTransform(BytePairPreprocessing(**arguments))


SHARED = small()
CALL = tf.function(SHARED.ragged, [tf.TensorSpec([None], tf.string)], autograph=False)


def tokens(text: str | bytes, transform: BytePairTransform = SHARED) -> list[str]:
    return [transform.spec.vocabulary[token] for token in transform.ragged(tf.constant([text])).to_list()[0]]


def encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def decoded(transform: BytePairTransform, ids: Any) -> list[bytes]:
    result: list[bytes] = transform.decode(ids.to_tensor(), tf.cast(ids.row_lengths(), tf.int32)).numpy().tolist()
    return result


# === Against the reference ===


@cache
def gpt2(folder: Path) -> BytePairPreprocessing:
    ids = json.loads((folder / "gpt2" / "vocab.json").read_text(encoding="utf-8"))
    merges = (folder / "gpt2" / "merges.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")[1:]
    return BytePairPreprocessing(max_length=1024, vocabulary=tuple(sorted(ids, key=ids.__getitem__)),
                                 merges=tuple(merges))


@cache
def gpt2_transform(folder: Path) -> BytePairTransform:
    return BytePairTransform(gpt2(folder))


def reference(spec: BytePairPreprocessing, special: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(BPE({token: number for number, token in enumerate(spec.vocabulary)},
                              [tuple(merge.split(" ")) for merge in spec.merges]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    if special:
        tokenizer.add_special_tokens([AddedToken(spec.end_of_text, special=True)])
    return tokenizer


def differing(mine: Sequence[Any], theirs: Sequence[Any], texts: Sequence[Any]) -> list[Any]:
    return [text for one, other, text in zip(mine, theirs, texts, strict=True) if one != other]


def test_ids_equal_the_reference_on_23000_real_and_hostile_texts(shared_data: Path) -> None:
    """SST-2, Shakespeare, source code, all alphabets: not one text differs, and each comes back byte by byte."""
    texts = real_lines(shared_data) + hostile_texts(3000)
    assert len(texts) >= 20_000
    transform = gpt2_transform(shared_data)
    ids = tf.function(transform.ragged, autograph=False)(tf.constant(texts))
    expected = [one.ids for one in reference(transform.spec).encode_batch_fast(texts)]
    assert differing(ids.to_list(), expected, texts) == []
    assert decoded(transform, ids) == [text.encode() for text in texts]


def test_bytes_that_are_no_utf8_are_encoded_as_they_are(shared_data: Path) -> None:
    """Each counts as a sign that is no letter; the reference's merges of the same bytes give the same ids."""
    transform, tokenizer = gpt2_transform(shared_data), reference(gpt2(shared_data))
    texts = broken_texts(2000)
    words, owners = [], []
    for number, text in enumerate(texts):
        characters = text.decode("utf-8", "surrogateescape")
        shown = "".join("\ufffd" if 0xDC80 <= ord(sign) < 0xDD00 else sign for sign in characters)
        for _, (start, end) in ByteLevel(add_prefix_space=False).pre_tokenize_str(shown):
            word = characters[start:end].encode("utf-8", "surrogateescape")
            words.append("".join(byte_characters()[byte] for byte in word))
            owners.append(number)
    tokenizer.pre_tokenizer = Sequenced([])  # the words are divided and written in its alphabet already
    expected: list[list[int]] = [[] for _ in texts]
    for owner, one in zip(owners, tokenizer.encode_batch_fast(words), strict=True):
        expected[owner] += one.ids
    found = transform.ragged(tf.constant(texts))
    assert differing(found.to_list(), expected, texts) == []
    assert decoded(transform, found) == texts


def test_every_character_is_of_the_references_kind() -> None:
    """Each of Unicode's characters is a letter, number, white space or other sign as for the reference."""
    codes = [code for code in range(0x110000) if (code < 0x3400 or code % 17 == 0) and not 0xD800 <= code < 0xE000]
    splitter = ByteLevel(add_prefix_space=False)
    texts = [f"a{chr(code)}1{chr(code)} b" for code in codes]
    raw, starts, added = (part.numpy() for part in WordDivider().starts(tf.constant(texts)))
    mine = [np.flatnonzero(row).tolist() for row in np.split(starts, np.flatnonzero(added) + 1)[:-1]]
    theirs = []
    for text in texts:
        sizes = np.cumsum([0, *(len(character.encode()) for character in text)])
        theirs.append([int(sizes[start]) for _, (start, _) in splitter.pre_tokenize_str(text)])
    assert len(raw) == sum(len(text.encode()) + 1 for text in texts)
    assert differing(mine, theirs, texts) == []


def test_words_of_thousands_of_characters_equal_the_reference(shared_data: Path) -> None:
    """Long runs of one sign, of two, and of letters by chance."""
    chance = random.Random(3)
    letters = "".join(chance.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(2000))
    texts = ["a" * 3001, "ab" * 1000, "=" * 999, letters, " " * 1500 + "x", "\u00e9" * 700]
    transform = gpt2_transform(shared_data)
    expected = [one.ids for one in reference(transform.spec).encode_batch_fast(texts)]
    assert transform.ragged(tf.constant(texts)).to_list() == expected


def test_the_end_of_text_in_a_text_equals_the_reference_when_asked_for(shared_data: Path) -> None:
    """With special_tokens_in_text "<|endoftext|>" is one token wherever it stands."""
    spec = BytePairPreprocessing(max_length=64, vocabulary=gpt2(shared_data).vocabulary,
                                 merges=gpt2(shared_data).merges, special_tokens_in_text=True)
    texts = [END, f"a{END}b", f" {END} {END}{END}\n", f"{END[:-1]}", "none", ""]
    texts += [f"{text}{END} {text}" for text in hostile_texts(200, seed=4)]
    expected = [one.ids for one in reference(spec, special=True).encode_batch_fast(texts)]
    assert BytePairTransform(spec).ragged(tf.constant(texts)).to_list() == expected


# === Without shared data ===


@pytest.mark.parametrize(("text", "expected"), [
    ("the the", ["the", "Ġthe"]),  # "h e" never comes to it: "t h" is first
    ("aaaaa", ["aa", "aaa"]),
    ("aaaa", ["aa", "aa"]),
    ("é", ["Ã©"]),
    ("we'll", ["w", "e", "'", "ll"]),
    ("      x", ["ĠĠĠĠ", "Ġ", "Ġ", "x"]),
    (b"th\xe9", ["th", "é"]),
    (END, ["<", "|", "e", "n", "d", "o", "f", "t", "e", "x", "t", "|", ">"]),
    ("", []),
])
def test_tokens_of_a_text(text: str | bytes, expected: list[str]) -> None:
    """Bytes are merged in the order of the list, within words alone."""
    assert tokens(text) == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=60) | st.binary(max_size=60) | st.text("ath e'lé\n", max_size=60), max_size=5))
def test_any_bytes_come_back(texts: list[str | bytes]) -> None:
    """Decoding gives back exactly what was encoded, and a row does not depend on its batch."""
    originals = [encoded(text) for text in texts]
    ids = CALL(tf.constant(originals, tf.string))
    assert decoded(SHARED, ids) == originals
    for row, original in zip(ids.to_list(), originals, strict=True):
        assert CALL(tf.constant([original])).to_list()[0] == row


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ath e'lé\n !1\u3000", max_size=60), min_size=1, max_size=5))
def test_a_small_vocabulary_equals_the_reference(texts: list[str]) -> None:
    """The reference with the same merges gives the same ids."""
    assert CALL(tf.constant(texts)).to_list() == [one.ids for one in SMALL_REFERENCE.encode_batch_fast(texts)]


SMALL_REFERENCE = reference(SHARED.spec)


def test_a_byte_vocabulary_has_the_bytes_as_ids() -> None:
    """Without merges a token is a byte."""
    transform = transform_for(byte_vocabulary(16))
    assert transform.batch(tf.constant(["é a"]))["token_ids"].numpy().tolist() == [list("é a".encode())]
    assert transform.end_of_text_id == 256


def test_a_batch_is_as_long_as_its_longest_text() -> None:
    """Shorter texts are padded on the right with the end of text, and the mask knows."""
    batch = small().batch(tf.constant(["the", "a", ""]))
    assert {name: (values.dtype, values.shape) for name, values in batch.items()} == dict.fromkeys(
        ("token_ids", "padding_mask"), (tf.int32, (3, 1)))
    np.testing.assert_array_equal(batch["token_ids"].numpy(),
                                  [[SMALL.index("the")], [SMALL.index("a")], [SHARED.end_of_text_id]])
    np.testing.assert_array_equal(batch["padding_mask"].numpy(), [[1], [1], [0]])


@pytest.mark.parametrize(("options", "expected", "truncated"), [
    ({}, "abc", [False, True]),
    ({"truncation": "left"}, "bcd", [False, True]),
    ({"add_end_of_text": True}, "ab.", [True, True]),
    ({"add_end_of_text": True, "truncation": "left"}, "cd.", [True, True]),
])
def test_long_texts_are_cut_and_reported(options: dict[str, Any], expected: str, truncated: list[bool]) -> None:
    """At most max_length tokens, from the side that the record says; the end of text is never cut."""
    transform = small(max_length=3, **options)
    texts = tf.constant(["abc", "abcd"])
    ids = [SHARED.end_of_text_id if letter == "." else SMALL.index(letter) for letter in expected]
    assert transform.batch(texts)["token_ids"].numpy()[1].tolist() == ids
    assert transform.truncated(texts).numpy().tolist() == truncated


def test_only_the_end_of_text_fits() -> None:
    """max_length=1 with the end of text leaves no room for anything else."""
    for truncation in ("left", "right"):
        transform = small(max_length=1, add_end_of_text=True, truncation=truncation)
        assert transform.batch(tf.constant(["abc"]))["token_ids"].numpy().tolist() == [[SHARED.end_of_text_id]]


def test_no_texts_give_no_rows() -> None:
    """An empty batch has no rows and one column."""
    batch = tf.function(SHARED.batch, autograph=False)(tf.constant([], tf.string))
    assert {values.shape for values in batch.values()} == {tf.TensorShape([0, 1])}
    assert SHARED.decode(tf.zeros([0, 3], tf.int32), tf.zeros([0], tf.int32)).shape == (0,)
    special = small(special_tokens_in_text=True)
    assert special.batch(tf.constant([], tf.string))["token_ids"].shape == (0, 1)


@pytest.mark.parametrize(("record", "message"), [
    (BytePairPreprocessing(max_length=4), r"vocabulary is empty\. Take byte_vocabulary"),
    (BytePairPreprocessing(max_length=4, vocabulary=(*byte_characters()[1:], END)), r"it lacks 1 of 256"),
    (BytePairPreprocessing(max_length=4, vocabulary=SMALL, merges=("t h", "x y")),
     r"Merge 1 must be .* Received: 'x y'"),
    (BytePairPreprocessing(max_length=4, vocabulary=SMALL, merges=("th",)), r"Merge 0 must be two tokens"),
])
def test_vocabularies_that_do_not_fit(record: BytePairPreprocessing, message: str) -> None:
    """One line says what is missing."""
    with pytest.raises(ArgumentError, match=message):
        BytePairTransform(record)


def test_pairs_are_refused() -> None:
    """Byte pairs have no second text."""
    with pytest.raises(ArgumentError, match="Received: pairs of texts"):
        SHARED.batch(tf.constant(["a"]), tf.constant(["b"]))


# === In a served model ===


class Served(tf.Module):  # type: ignore[misc]
    """A transform the way an export holds it."""

    def __init__(self, transform: BytePairTransform) -> None:
        super().__init__()
        self.transform = transform
        self.serve = tf.function(transform.batch, [tf.TensorSpec([None], tf.string, name="text")], autograph=False)


_CLEAN_PROCESS = """
import resource, sys
import tensorflow as tf
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    signature = tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1]).signature_def["serving_default"]
    names = [signature.inputs["text"].name, signature.outputs["token_ids"].name]
    def call(texts):
        return session.run(names[1], {names[0]: texts}).tolist()
    def unseen(start):
        return [call([f"word{number * 7919:x}q" for number in range(first, first + 100)])
                for first in range(start, start + 10_000, 100)]
    unseen(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unseen(10_000)
    unseen(20_000)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, call(sys.argv[2:]))
"""


def test_an_export_is_the_same_in_a_clean_process_and_does_not_grow(tmp_path: Path) -> None:
    """Core TensorFlow loads it; after 10,000 unseen words 20,000 more take no memory; every operation is old."""
    served = Served(small(special_tokens_in_text=True, max_length=32))
    tf.saved_model.save(served, str(tmp_path / "served"), signatures=served.serve)
    texts = ["the café we'll", "", f"aaaaa{END} 好"]
    finished = subprocess.run([sys.executable, "-c", _CLEAN_PROCESS, str(tmp_path / "served"), *texts],
                              capture_output=True, text=True, check=True)
    growth_kib, ids = finished.stdout.splitlines()[-1].split(" ", 1)
    assert ids == str(served.transform.batch(tf.constant(texts))["token_ids"].numpy().tolist())
    assert int(growth_kib) < 4096
    saved = SavedModel.FromString((tmp_path / "served" / "saved_model.pb").read_bytes())
    known = known_ops("2.18")
    used = {node.op for _, node in Graph(saved.meta_graphs[0]).nodes()}
    assert [name for name in sorted(used) if name not in known or known[name].from_text] == []
