"""From a search's configuration to KerasTuner's oracle, with the whole space declared to it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from tuning.config import SearchConfig
from tuning.errors import SearchError, SpaceError
from zoo.errors import ArgumentError, MissingDependencyError, UnknownNameError

try:
    import keras_tuner
except ImportError as error:
    raise MissingDependencyError("keras-tuner", "tune", "Searching for hyperparameters") from error

Declare = Callable[[Any], Any]

_CLASSES = {"random": keras_tuner.oracles.RandomSearchOracle, "grid": keras_tuner.oracles.GridSearchOracle,
            "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
            "hyperband": keras_tuner.oracles.HyperbandOracle}

# The options of each oracle that a search may set; everything else of it follows from the configuration.
OPTIONS: Mapping[str, tuple[str, ...]] = {"random": (), "grid": (),
                                          "bayesian": ("num_initial_points", "alpha", "beta"),
                                          "hyperband": ("factor", "hyperband_iterations")}

# KerasTuner takes a seed of 0 for none and draws one; this one stands for it, outside of what it would draw.
_SEED_FOR_ZERO = 1_000_003

# Random trials before the Gaussian process is asked, where none are named: one more than hyperparameters, and at least
# so many. KerasTuner would take three times as many, which is more than most searches have.
_FEWEST_RANDOM = 5

# Draws of known points after which a space counts as exhausted. KerasTuner's 20 leave points of small spaces untried.
_MOST_COLLISIONS = 500

# A space that opens a new condition at every look would keep the exploration below going for ever.
_MOST_LOOKS = 1_000


def make_oracle(config: SearchConfig, declare: Declare) -> Any:
    """Returns KerasTuner's oracle for a search, with the space declared.

    Args:
        config: The search.
        declare: Declares the space in the `keras_tuner.HyperParameters` that it is given.

    Returns:
        A `keras_tuner.Oracle` without a bound on trials, which has proposed nothing yet.

    Raises:
        ArgumentError: `oracle_options` has an unknown name or a value that the oracle refuses.
        SpaceError: The space is empty, or cannot be declared.
    """
    _check_options(config)
    options = dict(config.oracle_options)
    if config.oracle == "hyperband":
        options["max_epochs"] = config.epochs
    else:
        options["max_trials"] = None
    objectives = [keras_tuner.Objective(objective.name, objective.direction) for objective in config.objectives]
    try:
        oracle = _CLASSES[config.oracle](objective=objectives[0] if len(objectives) == 1 else objectives,
                                         seed=config.seed % 2 ** 32 or _SEED_FOR_ZERO, **options)
    except ImportError as error:
        raise MissingDependencyError("scikit-learn", "tune", "The Bayesian oracle") from error
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"`oracle_options` do not fit the {config.oracle} oracle: {error}. "
                            f"Received: {dict(config.oracle_options)}") from error
    oracle.verbose = 0
    oracle._max_collisions = _MOST_COLLISIONS
    _declare_all(oracle, declare)
    if config.oracle == "bayesian" and oracle.num_initial_points is None:
        oracle.num_initial_points = max(_FEWEST_RANDOM, 1 + len(oracle._nonfixed_space()))
    if not oracle.hyperparameters.space:
        raise SpaceError("The search has no hyperparameters: nothing could differ from trial to trial. Declare some "
                         "in the hypermodel (hp.Int, hp.Float, hp.Choice ...) or in the search's space.")
    return oracle


def _check_options(config: SearchConfig) -> None:
    known = OPTIONS[config.oracle]
    for name in config.oracle_options:
        if name not in known:
            hint = f"It takes: {', '.join(known)}." if known else "It takes none."
            raise ArgumentError(UnknownNameError(f"option of the {config.oracle} oracle", str(name), known,
                                                 hint).message)


def _declare_all(oracle: Any, declare: Declare) -> None:
    # As KerasTuner's tuners do it: declared again with other values until every conditional scope has been open once.
    seen: list[Any] = []
    waiting: list[Any] = []
    hp = oracle.get_space()
    for _ in range(_MOST_LOOKS):
        declare(hp)
        oracle.update_space(hp)
        for conditions in hp.active_scopes:
            if conditions not in seen:
                seen.append(copy.deepcopy(conditions))
        waiting = [conditions for conditions in waiting if conditions not in seen]
        waiting += [copy.deepcopy(conditions) for conditions in hp.inactive_scopes
                    if conditions not in seen and conditions not in waiting]
        if not waiting:
            return
        hp = oracle.get_space()
        for condition in waiting[0]:
            hp.values[condition.name] = condition.values[0]
        hp.ensure_active_values()
    raise SearchError(f"The search space did not come to an end: after {_MOST_LOOKS} looks it still opens new "
                      "conditional scopes. Declare conditional hyperparameters under hp.conditional_scope with "
                      "fixed values of the parent.")
