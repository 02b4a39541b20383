"""What `auto` and `max` try."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.errors import ExportError
from serving.export.candidates.plan import AUTO, MAX, Selection, candidates_of, examples_for
from serving.export.optimize.levels import LEVELS


def test_max_tries_every_level_and_the_plain_export_first() -> None:
    """No level is forgotten, and each candidate has a name of its own."""
    found = candidates_of(MAX, Selection(calibration=object()))
    assert {candidate.level for candidate in found} == {"none", *LEVELS}
    assert found[0].level == "none"
    assert len({candidate.name for candidate in found}) == len(found)
    assert not any(candidate.reason for candidate in found)


def test_auto_tries_what_is_made_for_speed() -> None:
    """Levels that store weights in few bits are for size, and left to `max`."""
    levels = [candidate.level for candidate in candidates_of(AUTO, Selection(calibration=object()))]
    assert levels[:3] == ["none", "safe", "bfloat16"]
    assert not set(levels) & {"int8_weights", "int4_weights"}


def test_other_runs_come_behind_in_every_level() -> None:
    """Each has the name of its folder, or its path where two are called alike."""
    runs = (Path("a/pruned"), Path("b/pruned"), Path("small"))
    found = candidates_of(AUTO, Selection(runs=runs))
    assert [candidate.run for candidate in found][:3] == [None] * 3
    names = [candidate.name for candidate in found if candidate.level == "none"]
    assert names == ["none", "a/pruned none", "b/pruned none", "small none"]


def test_without_calibration_data_int8_is_left_out_with_the_reason() -> None:
    """It is told, not dropped in silence."""
    for candidate in candidates_of(MAX, Selection()):
        assert ("calibration" in candidate.reason) == (candidate.level == "int8")


@pytest.mark.parametrize("word", [AUTO, MAX])
def test_of_a_model_that_writes_the_numbers_are_tried(word: str) -> None:
    """Its loop has nothing else that a level changes, and learns no ranges."""
    found = candidates_of(word, Selection(), writes=True)
    assert [candidate.level for candidate in found] == ["none", "bfloat16", "int8"]
    assert not any(candidate.reason for candidate in found)


@pytest.mark.parametrize(("wrong", "told"), [
    ({"objective": "speed"}, "latency, throughput, size"), ({"batches": ()}, "1 to 1024"),
    ({"batches": (0,)}, "1 to 1024"), ({"tolerance": 1.0}, "below 1"), ({"tolerance": float("nan")}, "below 1")])
def test_values_without_a_meaning_are_refused(wrong: dict[str, object], told: str) -> None:
    """The message names the argument and what it may be."""
    with pytest.raises(ExportError, match=told) as found:
        Selection(**wrong)  # type: ignore[arg-type]
    assert f"`{next(iter(wrong))}`" in str(found.value)


def test_examples_may_depend_on_the_model() -> None:
    """A function is asked with the model's record; anything else is the examples themselves."""
    assert examples_for(lambda record: [record], 7) == [7]
    assert examples_for("split", 7) == "split"
