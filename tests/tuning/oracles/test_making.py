"""From a configuration to KerasTuner's oracle."""

from __future__ import annotations

import pytest

from tests.tuning.oracles.simulation import config_of, declare
from tuning.errors import SearchError, SpaceError
from tuning.oracles.making import make_oracle
from zoo.errors import ArgumentError


def names(oracle):
    return [hp.name for hp in oracle.hyperparameters.space]


def test_conditional_hyperparameters_are_found_before_the_first_trial():
    """A scope that is closed with the start values is opened once, so that the oracle knows the whole space."""
    def nested(hp):
        if hp.Choice("kind", ["a", "b"]) == "b":
            pass
        with hp.conditional_scope("kind", ["b"]):
            if hp.get("kind") == "b":
                deep = hp.Boolean("deep")
                with hp.conditional_scope("deep", [True]):
                    if deep:
                        hp.Int("layers", 1, 3)

    assert names(make_oracle(config_of("random"), declare)) == ["rate", "units", "bias", "kind", "layers"]
    assert names(make_oracle(config_of("random"), nested)) == ["kind", "deep", "layers"]


def test_a_space_without_hyperparameters_is_refused():
    """There is nothing to search where nothing differs."""
    with pytest.raises(SpaceError, match="no hyperparameters"):
        make_oracle(config_of("random"), lambda hp: None)


def test_a_space_without_end_is_refused():
    """A hypermodel that opens a new condition at every look does not keep the search from beginning for ever."""
    counter = iter(range(10 ** 6))

    def endless(hp):
        hp.Choice("kind", ["a", "b"])
        with hp.conditional_scope("kind", [f"none{next(counter)}"]):
            pass

    with pytest.raises(SearchError, match="did not come to an end"):
        make_oracle(config_of("random"), endless)


@pytest.mark.parametrize(("oracle", "options", "words"), [
    ("random", {"alpha": 1}, "Unknown option of the random oracle 'alpha'. It takes none"),
    ("bayesian", {"betta": 1}, "Did you mean 'beta'"),
    ("hyperband", {"factor": 1}, "do not fit the hyperband oracle: factor"),
    ("hyperband", {"factor": "three"}, "do not fit the hyperband oracle"),
    ("hyperband", {"max_epochs": 5}, "Unknown option"),
])
def test_options_that_do_not_fit_are_refused(oracle, options, words):
    """The refusal names the option and what the oracle takes."""
    with pytest.raises(ArgumentError, match=words):
        make_oracle(config_of(oracle, oracle_options=options), declare)


def test_options_reach_kerastuners_oracle():
    """What is given stands in the oracle; Hyperband's longest trial has the search's epochs."""
    bayesian = make_oracle(config_of("bayesian", oracle_options={"num_initial_points": 4, "beta": 1.0}), declare)
    assert (bayesian.num_initial_points, bayesian.beta, bayesian.alpha) == (4, 1.0, 1e-4)
    hyperband = make_oracle(config_of("hyperband", oracle_options={"factor": 2, "hyperband_iterations": 2}), declare)
    assert (hyperband.max_epochs, hyperband.factor, hyperband.hyperband_iterations) == (9, 2, 2)


def test_the_gaussian_process_is_asked_after_one_trial_more_than_hyperparameters():
    """Fixed ones do not count; KerasTuner's threefold would leave most searches random."""
    assert make_oracle(config_of("bayesian"), declare).num_initial_points == 5
    many = make_oracle(config_of("bayesian"), lambda hp: [hp.Float(f"x{index}", 0, 1) for index in range(8)])
    assert many.num_initial_points == 9
