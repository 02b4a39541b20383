from __future__ import annotations

import pytest

from zoo.data.named import load_named
from zoo.errors import ArgumentError, UnknownNameError


@pytest.mark.parametrize("name", ["mnist", "torch:mnist", "keras:", "keras"])
def test_a_name_needs_a_known_scheme(name: str) -> None:
    """Only explicit sources are asked; the error shows how a name reads."""
    with pytest.raises(UnknownNameError, match=r"Unknown dataset .* Expected 'keras:<name>' or 'tfds:<name>'"):
        load_named(name)


def test_a_name_without_scheme_gets_the_full_one() -> None:
    """The nearest full name is offered."""
    with pytest.raises(UnknownNameError, match=r"Did you mean .*'keras:mnist'"):
        load_named("mnist")


def test_mistakes_are_found_before_anything_is_fetched() -> None:
    """Impossible fractions and a missing preprocessing need no network."""
    with pytest.raises(ArgumentError, match="`test_fraction` must be in"):
        load_named("keras:mnist", test_fraction=2.0)
    with pytest.raises(ArgumentError, match="keras:mnist has image inputs"):
        load_named("keras:mnist")
