from __future__ import annotations

import numpy as np

from zoo.evaluation.confusion import confusion_of


def test_rows_are_truths_and_columns_predictions() -> None:
    """The matrix is not transposed."""
    confusion = confusion_of(np.array([0, 0, 1]), np.array([0, 1, 1]), ("a", "b", "c"))
    assert confusion.matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_the_most_confused_pairs_come_first() -> None:
    """Pairs are ordered by number; right answers are no confusion."""
    confusion = confusion_of(np.array([0, 0, 0, 1, 2, 2, 2, 2]), np.array([1, 1, 0, 2, 0, 0, 0, 2]), ("a", "b", "c"))
    found = [(pair.truth, pair.predicted, pair.count, pair.share) for pair in confusion.most_confused()]
    assert found == [("c", "a", 3, 0.75), ("a", "b", 2, 2 / 3), ("b", "c", 1, 1.0)]
    assert len(confusion.most_confused(1)) == 1


def test_a_perfect_model_confuses_nothing() -> None:
    """No pair is made up where there is none."""
    assert confusion_of(np.array([0, 1]), np.array([0, 1]), ("a", "b")).most_confused() == ()


def test_many_classes_are_written_as_their_cells() -> None:
    """A million zeros are not worth a file; no count is lost."""
    targets = np.arange(1000)
    confusion = confusion_of(targets, np.roll(targets, 1), tuple(map(str, targets)))
    data = confusion.to_dict()
    assert data["matrix"] is None
    assert len(data["cells"]) == 1000
    assert all(confusion.matrix[row, column] == count for row, column, count in data["cells"])
    small = confusion_of(np.array([0, 1]), np.array([1, 1]), ("a", "b")).to_dict()
    assert small["matrix"] == [[0, 1], [0, 1]] and small["cells"] is None
