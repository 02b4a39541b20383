"""The next trial: KerasTuner's oracle, asked one proposal at a time, and restored exactly after a crash.

What the oracle proposes depends on the configuration and on what came before, and on nothing else: no clock, no
order of dictionaries, no random state that a crash would lose. How many trials there may be is the study's matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tuning.config import SearchConfig
from tuning.folder import SearchFolder
from tuning.oracles.bayesian import BayesianStrategy
from tuning.oracles.making import Declare, make_oracle
from tuning.oracles.project_files import ProjectFiles
from tuning.oracles.protocol import Exhausted, Proposal, Waiting
from tuning.oracles.records import Records
from tuning.oracles.strategies import GridStrategy, HyperbandStrategy, Strategy
from tuning.spaces.space import SearchSpace
from tuning.trial import Trial

_STRATEGIES = {"random": Strategy, "grid": GridStrategy, "bayesian": BayesianStrategy, "hyperband": HyperbandStrategy}


class OracleDriver:
    """Asks an oracle for trials and tells it what came of them. Made by `make_driver`.

    Args:
        config: The search.
        folder: Its folder.
        oracle: KerasTuner's oracle, with the space declared.
        strategy: What is particular to the kind of oracle.
    """

    def __init__(self, config: SearchConfig, folder: SearchFolder, oracle: Any, strategy: Strategy) -> None:
        self._config = config
        self._oracle = oracle
        self._strategy = strategy
        self._files = ProjectFiles(folder)
        self._records = Records(oracle, config.objectives)
        self._empty_at: tuple[int, int] | None = None

    @property
    def hyperparameters(self) -> Any:
        """The whole space, as KerasTuner's `HyperParameters`."""
        return self._oracle.hyperparameters

    def next(self) -> Proposal | Waiting | Exhausted:
        """Returns the next trial, which counts as running from now on.

        Raises:
            StoreError: KerasTuner's file of the trial cannot be written.
        """
        state = len(self._oracle.start_order), len(self._oracle.end_order)
        trial_id = self._records.free_id()
        # Where nothing has begun or ended since there was nothing to propose, the long search for it is not repeated.
        found = None if state == self._empty_at else self._strategy.propose(trial_id, self._records)
        if found is None:
            self._empty_at = state
            return Waiting() if self._records.running else Exhausted()
        trial = self._records.begin(trial_id, found)
        self._strategy.begun(trial_id)
        self._files.write_trial(trial)
        return self._proposal(trial_id, trial.hyperparameters.values)

    def ended(self, trial: Trial, trials: Mapping[str, Trial]) -> None:
        """Takes what came of a trial into account.

        Args:
            trial: A trial that has ended for good.
            trials: All trials by id, this one among them.

        Raises:
            StoreError: KerasTuner's file of the trial cannot be written.
        """
        del trials  # All that an oracle goes by is in its own records.
        self._files.write_trial(self._records.end(trial))

    def restore(self, trials: Iterable[Trial]) -> None:
        """Brings a driver that has proposed nothing yet to the state in which these trials were left.

        Args:
            trials: All trials of the search, in the order in which they were begun.

        Raises:
            StoreError: KerasTuner's files cannot be written.
        """
        trials = tuple(trials)
        known = self._strategy.known_before(self._files.read_oracle(), trials)
        for place, trial in enumerate(trials):
            self._strategy.replay(trial, drawn=place < known)
            self._records.begin(trial.id, dict(trial.values))
            self._strategy.begun(trial.id)
        for trial in sorted((t for t in trials if t.has_ended), key=lambda t: t.ended or math.inf):
            self._records.end(trial)
        self._strategy.settle(trials)
        self._mend_files(trials)

    def save(self, *, force: bool = False) -> None:
        """Writes the oracle's state for KerasTuner, unless little has changed since the last time.

        Args:
            force: Write whatever has changed: for the end of a search.

        Raises:
            StoreError: It cannot be written.
        """
        self._files.write_oracle(self._oracle, force=force)

    def _proposal(self, trial_id: str, values: Mapping[str, Any]) -> Proposal:
        return Proposal(trial=trial_id, values=dict(values),
                        until_epoch=int(values.get("tuner/epochs", self._config.epochs)),
                        parent=str(values.get("tuner/trial_id", "")))

    def _mend_files(self, trials: Sequence[Trial]) -> None:
        # A crash may have come between the journal's line and KerasTuner's file, on either side.
        known = {trial.id for trial in trials}
        for name in self._files.trial_names():
            state = self._files.read_trial(name)
            if name not in known and (state is None or state.get("status") == "RUNNING"):
                self._files.forget(name)
        for trial in trials:
            wanted = self._records.trial(trial.id)
            if not _same(self._files.read_trial(trial.id), wanted):
                self._files.write_trial(wanted)
        self.save(force=True)


def make_driver(config: SearchConfig, folder: SearchFolder, declare: Declare | None = None) -> OracleDriver:
    """Returns the driver of a search that has proposed nothing yet.

    Args:
        config: The search.
        folder: Its folder, where KerasTuner's files are written.
        declare: Declares the space in the `keras_tuner.HyperParameters` that it is given; None takes `config.space`.

    Raises:
        ArgumentError: `oracle_options` do not fit the oracle.
        SpaceError: The space is empty or cannot be declared.
    """
    oracle = make_oracle(config, declare or SearchSpace.from_dict(config.space).register)
    oracle._set_project_dir(folder.path.parent, folder.path.name)
    return OracleDriver(config, folder, oracle, _STRATEGIES[config.oracle](config, oracle))


def _same(state: Mapping[str, Any] | None, trial: Any) -> bool:
    return state is not None and all(state.get(name) == getattr(trial, name) for name in ("status", "score", "message"))
