"""Random search, grid and Hyperband: how each is asked, and how its state is found again from the trials."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tuning.config import SearchConfig
from tuning.oracles.records import Records
from tuning.study.pareto import order_of
from tuning.trial import Trial

Losses = Mapping[str, tuple[float, ...] | None]


class Strategy:
    """Random search, and what the other kinds have in common with it.

    Args:
        config: The search.
        oracle: KerasTuner's oracle.
    """

    def __init__(self, config: SearchConfig, oracle: Any) -> None:
        self._config = config
        self._oracle = oracle

    def propose(self, trial: str, records: Records) -> dict[str, Any] | None:
        """Returns the values of the next trial; None where there is none now, and then nothing has changed.

        Args:
            trial: The id that it will have.
            records: The trials so far.
        """
        del records
        before = self._oracle._seed_state
        values = self._populated(trial)
        if values is None:
            self._oracle._seed_state = before
        return values

    def begun(self, trial: str) -> None:
        """Learns that a trial has begun.

        Args:
            trial: Its id.
        """

    def known_before(self, state: Mapping[str, Any] | None, trials: Sequence[Trial]) -> int:
        """Takes over the random state that was saved, if it was saved in this search.

        Args:
            state: The content of oracle.json, or None.
            trials: All trials in the order in which they were begun.

        Returns:
            The number of trials whose draws the state includes; those after it have to be replayed.
        """
        try:
            started = list(state["start_order"]) if state else []
            if not started or [trial.id for trial in trials[:len(started)]] != started:
                return 0
            for trial in trials[:len(started)]:
                if self._oracle._compute_values_hash(trial.values) != state["id_to_hash"][trial.id]:  # type: ignore[index]
                    return 0
            self._oracle._seed_state = int(state["seed_state"])  # type: ignore[index]
        except (KeyError, TypeError, ValueError):
            return 0
        return len(started)

    def replay(self, trial: Trial, *, drawn: bool) -> None:
        """Goes through what the proposal of a trial changed, before it is recorded.

        Args:
            trial: The trial.
            drawn: Whether its draws are in the random state already.
        """
        if not drawn:
            self._redraw(trial)

    def settle(self, trials: Sequence[Trial]) -> None:
        """Ends a restoration.

        Args:
            trials: All trials, which are recorded by now.
        """

    def _populated(self, trial: str) -> dict[str, Any] | None:
        response = self._oracle.populate_space(trial)
        return plain(response["values"]) if response["status"] == "RUNNING" else None

    def _redraw(self, trial: Trial) -> bool:
        # A trial was drawn at random if drawing at this point gives its values again.
        before = self._oracle._seed_state
        values = self._oracle._random_values()
        if values is not None and values == trial.searched:
            return True
        self._oracle._seed_state = before
        return False


class GridStrategy(Strategy):
    """Grid search: every point in order, without waiting for a trial to end."""

    def begun(self, trial: str) -> None:
        """Lets the point after this trial's be next. KerasTuner waits for its end, in case it finds new names."""
        self._oracle._populate_next.append(trial)

    def known_before(self, state: Mapping[str, Any] | None, trials: Sequence[Trial]) -> int:
        """Returns that nothing has to be drawn."""
        return len(trials)

    def settle(self, trials: Sequence[Trial]) -> None:
        """Puts the trials in the order of their points."""
        def compare(first: str, second: str) -> int:
            return int(self._oracle._compare(self._oracle.trials[first].hyperparameters.values,
                                             self._oracle.trials[second].hyperparameters.values))

        earlier = None
        for trial in sorted((trial.id for trial in trials), key=functools.cmp_to_key(compare)):
            self._oracle._ordered_ids.insert(trial, earlier)
            earlier = trial


class HyperbandStrategy(Strategy):
    """Hyperband: the better part of each round goes on; by non-dominated rank where there are several objectives."""

    def propose(self, trial: str, records: Records) -> dict[str, Any] | None:
        """Returns the values of the next trial of a bracket."""
        oracle = self._oracle
        before = oracle._current_bracket, oracle._current_iteration, list(oracle._brackets)
        with lent(oracle, self._scores(records.losses)):
            values = super().propose(trial, records)
        if values is None:
            oracle._current_bracket, oracle._current_iteration, oracle._brackets = before
        return values

    def replay(self, trial: Trial, *, drawn: bool) -> None:
        """Puts a trial into its round, and draws again where it began one."""
        oracle = self._oracle
        oracle._remove_completed_brackets()
        parent = trial.values.get("tuner/trial_id")
        if parent:
            self._place_behind(str(parent), int(trial.values.get("tuner/round", 1)), trial.id)
            return
        super().replay(trial, drawn=drawn)
        for bracket in oracle._brackets:
            if len(bracket["rounds"][0]) < oracle._get_size(bracket["bracket_num"], round_num=0):
                break
        else:
            oracle._increment_bracket_num()
            oracle._start_new_bracket()
            bracket = oracle._brackets[-1]
        bracket["rounds"][0].append({"past_id": None, "id": trial.id})

    def _place_behind(self, parent: str, number: int, trial: str) -> None:
        for bracket in self._oracle._brackets:
            rounds = bracket["rounds"]
            if number < len(rounds) and any(entry["id"] == parent for entry in rounds[number - 1]):
                rounds[number].append({"past_id": parent, "id": trial})
                return

    def _scores(self, losses: Losses) -> dict[str, float]:
        sign = -1.0 if self._oracle.objective.direction == "max" else 1.0
        scores: dict[str, float] = {}
        for bracket in self._oracle._brackets:
            rounds = bracket["rounds"]
            for members, following in itertools.pairwise(rounds):
                ids = [entry["id"] for entry in members if entry["id"] in losses]
                able = [trial for trial in ids if losses[trial] is not None]
                gone_on = {entry["past_id"] for entry in following}
                order = order_of([losses[trial] or () for trial in able])
                scores |= {able[index]: sign * place for place, index in enumerate(order)}
                if not gone_on.issuperset(able):
                    # A failed trial counts as one of those that are left behind, or its round would never be full.
                    scores |= {trial: sign * len(ids) for trial in ids if losses[trial] is None}
        return scores


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns hyperparameters as Python's own numbers, which JSON and every comparison take.

    Args:
        values: Values by name, some of which may be NumPy's.
    """
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


@contextmanager
def lent(oracle: Any, scores: Mapping[str, float]) -> Iterator[None]:
    """Lets trials count as completed with these scores while the oracle is asked.

    Args:
        oracle: KerasTuner's oracle.
        scores: Scores by trial.
    """
    kept = [(oracle.trials[trial], oracle.trials[trial].status, oracle.trials[trial].score) for trial in scores]
    try:
        for trial, score in scores.items():
            oracle.trials[trial].status, oracle.trials[trial].score = "COMPLETED", score
        yield
    finally:
        for record, status, score in kept:
            record.status, record.score = status, score
