"""Labels come best first, the same ones for the same probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from serving.errors import ExportError
from serving.export.ranking import best_classes, decided_class, label_names


def test_best_classes_are_sorted_and_ties_keep_their_order() -> None:
    """Scores descend; of equal classes the first comes first."""
    labels, scores, indices = best_classes(tf.constant([[0.2, 0.5, 0.2, 0.1], [0.0, 0.0, 0.0, 1.0]]), tuple("abcd"), 3)
    assert labels.numpy().tolist() == [[b"b", b"a", b"c"], [b"d", b"a", b"b"]]
    np.testing.assert_array_equal(indices, [[1, 0, 2], [3, 0, 1]])
    np.testing.assert_array_equal(scores, np.float32([[0.5, 0.2, 0.2], [1.0, 0.0, 0.0]]))
    assert (labels.dtype, scores.dtype, indices.dtype) == (tf.string, tf.float32, tf.int32)


@pytest.mark.parametrize(("probability", "threshold", "first"), [
    (0.6, 0.5, 1), (0.4, 0.5, 0), (0.5, 0.5, 1), (0.6, 0.7, 0), (0.3, 0.2, 1), (0.0, 0.0, 1), (1.0, 1.0, 1),
])
def test_the_threshold_decides_which_label_is_first(probability: float, threshold: float, first: int) -> None:
    """From the threshold on the answer is the second label, even where its probability is the smaller one."""
    labels, scores, indices = decided_class(tf.constant([[probability]]), ("no", "yes"), threshold)
    assert indices.numpy().tolist() == [[first, 1 - first]]
    assert labels.numpy()[0, 0] == (b"no", b"yes")[first]
    np.testing.assert_allclose(scores.numpy()[0, first], 1 - probability, atol=1e-6)
    np.testing.assert_allclose(scores.numpy()[0, 1 - first], probability, atol=1e-6)


@pytest.mark.parametrize("rows", [0, 2])
def test_any_number_of_rows(rows: int) -> None:
    """No rows in, no rows out."""
    labels, scores, indices = best_classes(tf.zeros([rows, 4]), tuple("abcd"), 2)
    assert labels.shape == scores.shape == indices.shape == (rows, 2)
    labels, scores, indices = decided_class(tf.zeros([rows, 1]), ("no", "yes"), 0.5)
    assert labels.shape == scores.shape == indices.shape == (rows, 2)


def test_without_labels_classes_are_called_by_number() -> None:
    """The index as text stands in for a missing name; a wrong number of names is refused."""
    assert label_names((), 3) == ("0", "1", "2")
    assert label_names(("a", "b"), 2) == ("a", "b")
    with pytest.raises(ExportError, match="3 classes and its record 2 labels"):
        label_names(("a", "b"), 3)
