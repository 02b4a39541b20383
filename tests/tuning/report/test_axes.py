"""Hyperparameters as axes."""

from __future__ import annotations

import pytest

from tuning.report.axes import Axis, axes_of, words_of
from tuning.spaces.dimension import Dimension
from tuning.trial import Trial


def trials(*values: dict[str, object]) -> list[Trial]:
    return [Trial(id=f"{i:04}", values=each) for i, each in enumerate(values)]


def test_numbers_lie_between_the_ends_of_their_dimension() -> None:
    """A logarithmic dimension has its geometric middle at 0.5, whatever values were drawn."""
    rate = Dimension(name="rate", kind="float", low=1e-4, high=1e-2, log=True)
    (axis,) = axes_of([rate], trials({"rate": 2e-4}, {"rate": 3e-4}))
    assert axis.unit(1e-3) == pytest.approx(0.5)
    assert [axis.unit(value) for value in (1e-4, 1e-2)] == [0.0, 1.0]
    assert [words for _, words in axis.ticks()] == ["0.0001", "0.001", "0.01"]


def test_choices_have_equal_parts_in_their_order() -> None:
    """Three choices stand at 1/6, 3/6 and 5/6, also those that are numbers."""
    width = Dimension(name="width", choices=(64, 16, 32))
    (axis,) = axes_of([width], trials({"width": 16}, {"width": 64}))
    assert [axis.unit(value) for value in (64, 16, 32)] == pytest.approx([1 / 6, 3 / 6, 5 / 6])


def test_a_space_that_nobody_declared_is_made_from_the_values() -> None:
    """Numbers over more than two decades are logarithmic; words and truth values are choices."""
    axes = axes_of([], trials({"rate": 1e-4, "units": 8, "kind": "b", "flag": True},
                              {"rate": 1e-1, "units": 64, "kind": "a", "flag": False}))
    assert axes == (Axis(name="rate", low=1e-4, high=1e-1, log=True), Axis(name="units", low=8, high=64),
                    Axis(name="kind", choices=("a", "b")), Axis(name="flag", choices=(False, True)))


def test_what_never_differs_is_no_axis() -> None:
    """One value, and the oracle's own book-keeping, are left out; Hyperband's epochs are an input."""
    axes = axes_of([], trials({"a": 1, "b": 1, "tuner/bracket": 0, "tuner/epochs": 2},
                              {"a": 1, "b": 2, "tuner/bracket": 1, "tuner/epochs": 6}))
    assert [axis.name for axis in axes] == ["b", "tuner/epochs"]


def test_a_value_without_a_place_stands_in_the_middle() -> None:
    """An inactive hyperparameter (None) or an unknown choice is neither low nor high."""
    assert Axis(name="rate", low=1e-3, high=1.0, log=True).unit(None) == 0.5
    assert Axis(name="rate", low=1e-3, high=1.0, log=True).unit(0) == 0.5
    assert Axis(name="kind", choices=("a", "b")).unit("c") == 0.5
    assert Axis(name="kind", choices=(True, False)).unit(1) == 0.5


@pytest.mark.parametrize(("value", "words"), [(0.00012345, "0.0001234"), (True, "true"), (None, "none"), ((), "none"),
                                              (["flip", "crop"], "flip, crop"), (3, "3")])
def test_values_are_written_for_people(value: object, words: str) -> None:
    """Short numbers, lower-case truth values, lists without brackets."""
    assert words_of(value) == words
