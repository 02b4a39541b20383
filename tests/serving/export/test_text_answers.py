"""Words get the label of their first piece, gaps the best words; shorter rows are padded."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from serving.export.text_answers import filled_masks, labelled_words
from zoo.preprocessing.wordpiece import WordPieces


def pieces(words: list[list[int]], spans: list[list[tuple[int, int]]]) -> WordPieces:
    def ragged(rows: list[list[int]]) -> tf.RaggedTensor:
        return tf.ragged.constant(rows, tf.int32, ragged_rank=1)

    return WordPieces(ragged(words), ragged(words), ragged([[start for start, _ in row] for row in spans]),
                      ragged([[end for _, end in row] for row in spans]))


def test_words_of_texts_of_different_length() -> None:
    """"ab|c d" has two words, the first of two pieces; the second text has none; the third starts with word 0 again."""
    texts = tf.constant(["abc d", "", "é"])
    found = pieces([[0, 0, 1], [], [0]], [[(0, 2), (2, 3), (4, 5)], [], [(0, 2)]])
    probabilities = np.zeros((3, 5, 2), np.float32)
    probabilities[0, 1:4] = [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]
    probabilities[2, 1] = [0.4, 0.6]
    answer = labelled_words(tf.constant(probabilities), found, texts, ("O", "X"))
    assert answer["tokens"].numpy().tolist() == [[b"abc", b"d"], [b"", b""], ["é".encode(), b""]]
    assert answer["labels"].numpy().tolist() == [[b"O", b"X"], [b"", b""], [b"X", b""]]
    np.testing.assert_allclose(answer["scores"], [[0.9, 0.7], [0, 0], [0.6, 0]])
    assert answer["starts"].numpy().tolist() == [[0, 4], [-1, -1], [0, -1]]
    assert answer["ends"].numpy().tolist() == [[3, 5], [-1, -1], [2, -1]]


def test_no_word_at_all() -> None:
    """Empty texts, or no texts, have answers without columns."""
    for rows in (2, 0):
        answer = labelled_words(tf.zeros([rows, 2, 2]), pieces([[]] * rows, [[]] * rows), tf.fill([rows], ""),
                                ("O", "X"))
        assert set(answer) == {"tokens", "labels", "scores", "starts", "ends"}
        assert {tuple(value.shape.as_list()) for value in answer.values()} == {(rows, 0)}


def test_gaps() -> None:
    """Two gaps, none, one: the best words of each with their probabilities."""
    ids = tf.constant([[9, 9, 1], [1, 1, 1], [1, 9, 1]])
    logits = np.zeros((3, 3, 4), np.float32)
    logits[0, 0, 2], logits[0, 1, 3], logits[2, 1, 1] = 5, 5, 5
    answer = filled_masks(tf.constant(logits), ids, 9, ("a", "b", "c", "d"), k=2)
    assert answer["tokens"].numpy()[:, :, 0].tolist() == [[b"c", b"d"], [b"", b""], [b"b", b""]]
    best = np.exp(5) / (np.exp(5) + 3)
    np.testing.assert_allclose(answer["scores"].numpy()[:, :, 0], [[best, best], [0, 0], [best, 0]], rtol=1e-6)
    assert answer["tokens"].shape == (3, 2, 2)
