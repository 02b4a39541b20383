"""The winner judged once, at the end, on the test part that the search never saw; in a clean process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuning.config import SearchConfig
from tuning.errors import SearchError
from tuning.folder import SearchFolder
from zoo.bundle_index import INDEX_NAME, is_bundle

FINAL_FILE = "final.json"
_FORMAT = 1
_PART = "test"


@dataclass(frozen=True, kw_only=True)
class FinalScore:
    """How the winner does on examples that neither its training nor the search saw.

    Attributes:
        trial: The winner.
        examples: Number of examples.
        measures: Values by name, such as "accuracy".
    """

    trial: str
    examples: int
    measures: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns the score as JSON-ready data."""
        return {"trial": self.trial, "examples": self.examples, "measures": dict(self.measures)}


def final_score(config: SearchConfig, folder: SearchFolder, trial: str, *,
                tell: Callable[[str], None] | None = None) -> FinalScore | None:
    """Judges a trial's model on the test part, or returns what was measured before of the same parameters.

    Args:
        config: The search's configuration.
        folder: Its folder; final.json and the run's report are written.
        trial: The trial, which has ended.
        tell: Called with a line of text before it is judged.

    Returns:
        The score; None where there is no test part or no model that `zoo evaluate` reads.

    Raises:
        SearchError: The process that judges failed; its own message stands in it.
    """
    run = folder.execution(trial)
    if config.data is None or config.data.test_fraction == 0 or not is_bundle(run):
        return None
    weights = _parameters(run)
    known = _known(folder)
    if known is None or (known["trial"], known["weights"]) != (trial, weights):
        if tell is not None:
            tell(f"judging trial {trial} on the test part")
        words = [sys.executable, "-m", "zoo", "evaluate", str(run), "--json"]
        answer = subprocess.run(words, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            lines = answer.stderr.strip().splitlines() or ["no message"]
            raise SearchError(f"The search has ended and trial {trial} is the best, but judging it on the test part "
                              f"failed: {lines[-1].removeprefix('error: ')} Try: zoo evaluate {run}")
        measured = _index(run)["record"]["metrics"].get(_PART)
        if measured is None:  # the data came without a test part
            return None
        measures = {name: value for name, value in measured.items()
                    if isinstance(value, int | float) and name != "examples"}
        known = {"format": _FORMAT, "trial": trial, "weights": weights, "part": _PART,
                 "examples": measured["examples"], "measures": measures}
        _write(folder.path / FINAL_FILE, known)
    return FinalScore(trial=trial, examples=known["examples"], measures=known["measures"])


def known_score(folder: SearchFolder) -> FinalScore | None:
    """Returns the final score that was measured last, or None.

    Args:
        folder: The search's folder.
    """
    known = _known(folder)
    return None if known is None else FinalScore(trial=known["trial"], examples=known["examples"],
                                                 measures=known["measures"])


def _known(folder: SearchFolder) -> dict[str, Any] | None:
    try:
        known = json.loads((folder.path / FINAL_FILE).read_text())
        complete = known["format"] == _FORMAT and {"trial", "weights", "examples", "measures"} <= set(known)
    except (OSError, ValueError, TypeError, KeyError):
        return None  # it is measured anew
    return known if complete else None


def _parameters(run: Path) -> str:
    """Returns the hash of a saved model's parameters."""
    try:
        return str(_index(run)["files"]["weights"]["sha256"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SearchError(f"{run / INDEX_NAME} cannot be read: {error!r}. Put it back from a copy, "
                          "or publish another trial: zoo tune best --trial.") from None


def _index(run: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((run / INDEX_NAME).read_text())
    return index


def _write(path: Path, data: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(data, indent=1) + "\n")
    temporary.replace(path)
