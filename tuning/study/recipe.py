"""What rebuilds a trial: trial_0007/recipe.json of each trial that ended, and winner.json of the best."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tuning.config import SearchConfig
from tuning.errors import StoreError
from tuning.folder import SearchFolder
from tuning.spaces.space import SearchSpace
from tuning.study.journal import write_whole
from tuning.study.records import numbers, plain
from tuning.trial import Trial, TrialTask
from zoo.data_source import anywhere

FORMAT = 1
RECIPE = "recipe.json"


def recipe_of(trial: Trial, task: TrialTask, config: SearchConfig, space: SearchSpace,
              folder: SearchFolder) -> dict[str, Any]:
    """Returns what `zoo build` and `zoo train --from-search` read.

    Args:
        trial: The trial.
        task: What was run for it.
        config: The search.
        space: Its space; of no account where the search is for a hypermodel.
        folder: Its folder.

    Returns:
        JSON-ready data; without "model", "build", "training" and "data" where the search is for a hypermodel.
    """
    recipe: dict[str, Any] = {"format": FORMAT, "trial": trial.id, "values": plain(trial.values),
                              "status": trial.status, "measures": numbers(trial.measures),
                              "search": str(folder.path), "run": str(folder.execution(trial.id))}
    if not config.model:
        return recipe | {"hypermodel": config.hypermodel}
    build, training, data = space.split(trial.values)
    fixed = anywhere(config.data).to_dict() if config.data else {}
    return recipe | {"model": config.model, "build": plain({**config.build, **build}),
                     "training": plain({**config.training, **training, "epochs": task.epochs, "seed": task.seed}),
                     "data": plain({**fixed, **data})}


class Recipes:
    """The recipes of a search's folder.

    Args:
        config: The search.
        folder: Its folder.
    """

    def __init__(self, config: SearchConfig, folder: SearchFolder) -> None:
        self._config = config
        self._folder = folder
        self._space = SearchSpace.from_dict(config.space)
        self._winner = ""  # the trial that winner.json was last written for

    def write_trial(self, trial: Trial, task: TrialTask) -> None:
        """Writes the recipe of a trial that has ended.

        Args:
            trial: The trial.
            task: What was run for it.

        Raises:
            StoreError: It cannot be written.
        """
        self._write(self._folder.trial(trial.id) / RECIPE, trial, task, wait=False)

    def write_missing(self, trials: Iterable[Trial], tasks: Mapping[str, TrialTask]) -> None:
        """Writes the recipes that a crash kept from being written.

        Args:
            trials: All trials.
            tasks: What was run for each.

        Raises:
            StoreError: One cannot be written.
        """
        for trial in trials:
            if trial.has_ended and not (self._folder.trial(trial.id) / RECIPE).is_file():
                self.write_trial(trial, tasks[trial.id])

    def write_winner(self, best: Trial | None, tasks: Mapping[str, TrialTask]) -> None:
        """Writes winner.json if the best trial is another one than last time; without a best one there is none.

        Args:
            best: The best trial.
            tasks: What was run for each.

        Raises:
            StoreError: It cannot be written.
        """
        if best is None:
            self._folder.winner.unlink(missing_ok=True)
        elif best.id != self._winner:
            self._write(self._folder.winner, best, tasks[best.id], wait=True)
            self._winner = best.id

    def _write(self, path: Path, trial: Trial, task: TrialTask, *, wait: bool) -> None:
        recipe = recipe_of(trial, task, self._config, self._space, self._folder)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, (json.dumps(recipe, indent=1) + "\n").encode(), wait=wait)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}. The journal has the trial; make room and "
                             "run the same command again.") from error
