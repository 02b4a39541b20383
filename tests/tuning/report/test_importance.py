"""Importance: functional ANOVA against functions whose shares of variance are known, and against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from tuning.report.importance import FEWEST_TRIALS, importance_of, tree_effects


def test_a_linear_function_has_the_shares_of_its_squared_slopes() -> None:
    """Of 3a + 2b the shares are 9/13 and 4/13, and c has none; nothing is brought about by two together."""
    places = np.random.default_rng(0).random((400, 3))
    found = importance_of(places, 3 * places[:, 0] + 2 * places[:, 1], ["a", "b", "c"])
    assert list(found.shares) == ["a", "b", "c"]
    assert found.shares["a"] == pytest.approx(9 / 13, abs=0.03)
    assert found.shares["b"] == pytest.approx(4 / 13, abs=0.03)
    assert found.shares["c"] < 0.005
    assert max(found.pairs.values()) < 0.02
    assert found.explained is not None and found.explained > 0.95
    assert found.note == ""


def test_what_two_bring_about_together_is_told_apart_from_each_alone() -> None:
    """Ishigami's function: a 0.314, b 0.442, c alone nothing, a with c 0.244."""
    places = np.random.default_rng(0).random((3000, 3))
    x, y, z = ((2 * places - 1) * np.pi).T
    found = importance_of(places, np.sin(x) + 7 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x), ["a", "b", "c"])
    assert found.shares["a"] == pytest.approx(0.314, abs=0.08)
    assert found.shares["b"] == pytest.approx(0.442, abs=0.10)
    assert found.shares["c"] < 0.02
    assert next(iter(found.pairs)) == ("a", "c")
    assert found.pairs["a", "c"] == pytest.approx(0.244, abs=0.08)


def test_a_trees_shares_are_those_of_a_fine_grid() -> None:
    """The sums over boxes are exact: a tree that splits at sixteenths is the same as its values on a grid of 16³."""
    middles = (np.arange(16) + 0.5) / 16
    grid = np.array(list(itertools.product(middles, repeat=3)))
    targets = np.random.default_rng(1).normal(size=len(grid)) + 4 * grid[:, 0] * (grid[:, 1] > 0.4)
    tree = DecisionTreeRegressor(max_leaf_nodes=40, random_state=0).fit(grid, targets)
    cube = tree.predict(grid).reshape(16, 16, 16)
    effects = tree_effects(tree.tree_)
    assert effects is not None
    assert effects.variance == pytest.approx(cube.var())
    alone = [cube.mean(axis=tuple({0, 1, 2} - {axis})).var() / cube.var() for axis in range(3)]
    assert effects.alone == pytest.approx(alone)
    both = cube.mean(axis=2).var() / cube.var() - alone[0] - alone[1]
    assert effects.together(0, 1) == pytest.approx(both)


def test_the_bad_side_is_cut_where_trainings_went_astray() -> None:
    """Three losses of a million, whatever the hyperparameters, do not hide what matters among the others."""
    places = np.random.default_rng(2).random((200, 2))
    losses = places[:, 0].copy()
    losses[:3] = 1e6
    found = importance_of(places, losses, ["rate", "width"])
    assert found.shares["rate"] > 0.8


@pytest.mark.parametrize(("count", "words"), [(1, "There is 1"), (FEWEST_TRIALS - 1, f"There are {FEWEST_TRIALS - 1}")])
def test_too_few_trials_are_said_to_be_too_few(count: int, words: str) -> None:
    """Below the least number there are no shares but the reason."""
    places = np.random.default_rng(3).random((count, 2))
    found = importance_of(places, places[:, 0], ["a", "b"])
    assert found.shares == {} and found.explained is None
    assert words in found.note and f"at least {FEWEST_TRIALS}" in found.note


def test_shares_of_noise_come_with_a_warning() -> None:
    """Where the result depends on nothing that was searched, the note says not to rely on the shares."""
    generator = np.random.default_rng(4)
    found = importance_of(generator.random((40, 3)), generator.normal(size=40), ["a", "b", "c"])
    assert found.explained is not None and found.explained < 0.3
    assert "hint at most" in found.note


def test_equal_results_have_no_shares() -> None:
    """If all trials came out alike, nothing mattered."""
    places = np.random.default_rng(5).random((20, 2))
    assert "alike" in importance_of(places, np.ones(20), ["a", "b"]).note
    assert "two values" in importance_of(places[:, :0], np.arange(20.0), []).note
