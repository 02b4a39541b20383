"""KerasTuner's oracle as a searcher of Ray Tune: every suggestion comes from the study that asks the oracle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ray.tune.search import Searcher

from tuning.executors.ray_link import StudyLink


class StudySearcher(Searcher):  # type: ignore[misc]  # Ray's classes are Any
    """Suggests what the study wants to be run next.

    Args:
        link: To the study.
        mailbox: Name of the actor that the trials' processes get their orders from.
    """

    def __init__(self, link: StudyLink, mailbox: str) -> None:
        super().__init__()
        self._link = link
        self._mailbox = mailbox

    def suggest(self, trial_id: str) -> dict[str, str] | str | None:
        """Returns the configuration of Tune's next trial, "FINISHED", or None where there is none at present.

        Args:
            trial_id: Tune's id of it.
        """
        task = self._link.next(trial_id)
        if task is not None:
            # As text: Tune writes configurations into names and takes nested ones apart at "/".
            return {"task": json.dumps(task.to_dict()), "mailbox": self._mailbox}
        return Searcher.FINISHED if self._link.finished else None

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Does nothing: the scheduler has heard of it already, and of more than is said here.

        Args:
            trial_id: Tune's id.
            result: The last result.
            error: Whether it failed.
        """

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the study's journal is the only record.

        Args:
            checkpoint_path: Where Tune would keep it.
        """

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing, as `save` does.

        Args:
            checkpoint_path: Where Tune would look for it.
        """

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Does nothing, as `save` does.

        Args:
            checkpoint_dir: Where Tune would keep it.
            session_str: Tune's name of the session.
        """

    def get_state(self) -> dict[str, Any]:
        """Returns nothing, as `save` does."""
        return {}
