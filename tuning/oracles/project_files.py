"""KerasTuner's files in a search's folder: oracle.json, tuner0.json and trial_*/trial.json.

The journal is what a search is restored from. These files are written so that KerasTuner's own tuners can read the
search; each is replaced as a whole, so that no reader meets half a file.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tuning.errors import StoreError
from tuning.folder import SearchFolder

# oracle.json names every trial. It is written again when the search has grown by this share, or after this time, so
# that all of its versions together stay in proportion to the number of trials.
_GROWTH = 1 / 8
_SECONDS = 30.0


class ProjectFiles:
    """Writes and reads KerasTuner's files of one search.

    Args:
        folder: The search's folder; it is made when the first file is written.
    """

    def __init__(self, folder: SearchFolder) -> None:
        self._folder = folder
        self._changes = 0
        self._saved_at = 0.0

    @property
    def oracle(self) -> Path:
        """The oracle's state."""
        return self._folder.path / "oracle.json"

    @property
    def tuner(self) -> Path:
        """The tuner's state, which is empty; KerasTuner takes a folder for a project when it is there."""
        return self._folder.path / "tuner0.json"

    def trial(self, trial: str) -> Path:
        """Returns the file of a trial.

        Args:
            trial: Its id.
        """
        return self._folder.trial(trial) / "trial.json"

    def write_trial(self, trial: Any) -> None:
        """Writes a trial's file.

        Args:
            trial: A `keras_tuner.engine.trial.Trial`.

        Raises:
            StoreError: It cannot be written.
        """
        _replace(self.trial(trial.trial_id), trial.get_state())
        self._changes += 1

    def write_oracle(self, oracle: Any, *, force: bool) -> bool:
        """Writes the oracle's state, unless little has changed since the last time.

        Args:
            oracle: A `keras_tuner.Oracle`.
            force: Write it if anything at all has changed. A first time it is always written.

        Returns:
            Whether it was written.

        Raises:
            StoreError: It cannot be written.
        """
        due = self._changes > _GROWTH * len(oracle.trials) or time.monotonic() - self._saved_at > _SECONDS
        if not (self._changes and (due or force)) and self.oracle.exists():
            return False
        _replace(self.oracle, oracle.get_state())
        if not self.tuner.exists():
            _replace(self.tuner, {})
        self._changes = 0
        self._saved_at = time.monotonic()
        return True

    def read_oracle(self) -> dict[str, Any] | None:
        """Returns the oracle's state, or None where there is none that can be read."""
        return read_json(self.oracle)

    def read_trial(self, trial: str) -> dict[str, Any] | None:
        """Returns a trial's state, or None where there is none that can be read.

        Args:
            trial: Its id.
        """
        return read_json(self.trial(trial))

    def trial_names(self) -> tuple[str, ...]:
        """Returns the ids of all trials that have a file, in the order of their names."""
        return tuple(path.parent.name.removeprefix("trial_")
                     for path in sorted(self._folder.path.glob("trial_*/trial.json")))

    def forget(self, trial: str) -> None:
        """Removes a trial's file, so that KerasTuner does not count it.

        Args:
            trial: Its id.
        """
        self.trial(trial).unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """Returns what a file of KerasTuner holds, or None where it is missing, torn or no object.

    Args:
        path: The file.
    """
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) else None


def _replace(path: Path, state: dict[str, Any]) -> None:
    staged = path.with_name(f".{path.name}.new")
    try:
        try:
            staged.write_text(json.dumps(state), encoding="utf-8")
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.write_text(json.dumps(state), encoding="utf-8")
        staged.replace(path)
    except OSError as error:
        raise StoreError(f"{path} could not be written: {error.strerror or error}. Nothing that was finished is lost: "
                         "make room or give the right to write, then run the same command again.") from error
