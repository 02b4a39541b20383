"""Answers of two graphs are compared where a difference shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.agreement import agreement, answers_of
from serving.export.optimize.graph import ForwardGraph
from tests.serving.export.optimize.networks import graph_from

ROWS: list[dict[str, Any]] = [{"x": np.float32([[10, 20, 30], [3, 2, 1]])}, {"x": np.float32([[0, 1, 0]])}]


def softmax_of(factor: float) -> ForwardGraph:
    return graph_from(lambda x: tf.identity(tf.nn.softmax(x * factor)), None, 3)


def test_equal_graphs_agree() -> None:
    """The same answers have no error and the same labels."""
    answers = answers_of(softmax_of(1.0), ROWS)
    found = agreement(answers, answers)
    assert (found.error, found.error_before_activation, found.same_label, found.worst) == (0, 0, 1, 0)


def test_what_a_softmax_hides_is_found() -> None:
    """A tenth more before a saturated softmax is a tenth, though the probabilities hardly move."""
    rows = [{"x": np.float32([[50, 0, 0]])}]
    found = agreement(answers_of(softmax_of(1.0), rows), answers_of(softmax_of(1.1), rows))
    assert found.error < 1e-6
    np.testing.assert_allclose(found.error_before_activation, 0.1, rtol=1e-3)
    assert found.worst == found.error_before_activation


def test_labels_are_counted() -> None:
    """The share of the rows, over all sets of samples, whose best class stays the same."""
    found = agreement(answers_of(softmax_of(1.0), ROWS), answers_of(softmax_of(-1.0), ROWS))
    assert found.same_label == 0
    half = graph_from(lambda x: tf.nn.softmax(tf.where(x > 5.0, x, -x)), None, 3)
    np.testing.assert_allclose(agreement(answers_of(softmax_of(1.0), ROWS), answers_of(half, ROWS)).same_label, 1 / 3)


def test_nan_and_other_shapes_never_agree() -> None:
    """An answer that is no number, or has another shape, is infinitely far off."""
    plain, broken = graph_from(lambda x: x + 0.0, None, 3), graph_from(lambda x: x / 0.0 * 0.0, None, 3)
    wide = graph_from(lambda x: tf.concat([x, x], 1), None, 3)
    for other in (broken, wide):
        found = agreement(answers_of(plain, ROWS), answers_of(other, ROWS))
        assert found.worst == float("inf")


def test_a_single_value_has_no_label() -> None:
    """Where the last axis has one place, no label is compared."""
    single = graph_from(lambda x: tf.sigmoid(x[:, :1]), None, 3)
    answers = answers_of(single, ROWS)
    assert agreement(answers, answers).same_label is None
