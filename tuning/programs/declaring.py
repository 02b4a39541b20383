"""Which hyperparameters a search has: from its space, or for a hypermodel from a process that builds its models.

Building a model takes memory, threads and graphics cards, which the process that leads a search must not hold. So
`python -m tuning.programs.declaring` builds it, reads the search's description from the standard input and prints
KerasTuner's account of the hyperparameters to the standard output.
"""

from __future__ import annotations

import copy
import importlib
import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from tuning.config import SearchConfig
from tuning.errors import SpaceError
from tuning.spaces.space import SearchSpace

# Strings: whoever only asks loads neither Keras nor the hypermodel.
_HYPERMODELS = "tuning.programs.hypermodels"
_PROBE = "tuning.programs.fit_probe"
_MARK = "hyperparameters: "
_MOST_BUILDS = 1000


def declare(description: Mapping[str, Any]) -> Callable[[Any], None]:
    """Returns a function that declares a search's hyperparameters.

    Args:
        description: `SearchConfig.to_dict()`.

    Returns:
        A function of a `keras_tuner.HyperParameters`; for a hypermodel it starts a process at its first call.

    Raises:
        ZooError: The description cannot be read.
    """
    config = SearchConfig.from_dict(description)
    if config.model:
        return SearchSpace.from_dict(config.space).register
    known: list[str] = []

    def of_hypermodel(hp: Any) -> None:
        if not known:
            known.append(_asked(description))
        # Read anew each time: KerasTuner changes what it reads.
        hp.merge(type(hp).from_config(json.loads(known[0])), overwrite=False)

    return of_hypermodel


def _asked(description: Mapping[str, Any]) -> str:
    """Lets a process of its own declare them."""
    done = subprocess.run([sys.executable, "-m", "tuning.programs.declaring"], input=json.dumps(description), text=True,
                          capture_output=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            return line.removeprefix(_MARK)
    words = done.stderr.strip().splitlines() or ["no words"]
    raise SpaceError(f"{description.get('hypermodel')} cannot declare its hyperparameters: {words[-1][:600]}")


def hyperparameters_of(config: SearchConfig) -> Any:
    """Builds a hypermodel until each of its conditions was met once, as KerasTuner does.

    Args:
        config: What is searched.

    Returns:
        The `keras_tuner.HyperParameters` with all that were asked for, in `build` and in `fit` before it trains.
    """
    hypermodels = importlib.import_module(_HYPERMODELS)
    hypermodel = hypermodels.load_hypermodel(config.hypermodel)
    whole = hypermodels.bound({})
    hypermodel.declare_hyperparameters(whole)
    seen: list[Any] = []
    unseen: list[Any] = [None]
    for _ in range(_MOST_BUILDS):
        if not unseen:
            break
        hp = whole.copy()
        for condition in unseen.pop(0) or ():
            hp.values[condition.name] = condition.values[0]
        hp.ensure_active_values()
        model = hypermodels.build_model(hypermodel, hp)
        importlib.import_module(_PROBE).probe_fit(hypermodel, hp, model, config.data_function)
        whole.merge(hp, overwrite=False)
        seen += [scope for scope in map(copy.deepcopy, hp.active_scopes) if scope not in seen]
        unseen = [scope for scope in [*unseen, *map(copy.deepcopy, hp.inactive_scopes)] if scope not in seen]
    return whole


def main() -> int:
    """Declares the hyperparameters of the search on the standard input and returns the exit code."""
    config = SearchConfig.from_dict(json.load(sys.stdin))
    try:
        found = hyperparameters_of(config)
    except Exception as error:
        traceback.print_exc()
        print(" ".join(f"{type(error).__name__}: {error}".split()), file=sys.stderr)
        return 1
    sys.stdout.write(f"\n{_MARK}{json.dumps(found.get_config())}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
