"""Language models that write are compared level by level: by the loss on texts, and by the time of a token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.export import ExportResult
from serving.export.candidates import plan
from serving.export.candidates.best import publish_best
from serving.export.candidates.described import notes_on
from serving.export.candidates.plan import Selection
from serving.export.replay import LoadedVersion
from serving.export.version import Wish
from tests.serving.export.candidates.test_best import options
from tests.zoo.generation.small_gpt2 import small_gpt2
from zoo.data.running_texts import load_running_texts
from zoo.spec import record_of

# Two levels of a language model are exported, and processes started for both.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    folder = tmp_path_factory.mktemp("writer")
    (folder / "story.txt").write_text("To be, or not to be, that is the question.\n" * 60)
    model = small_gpt2()
    reading: Any = record_of(model).preprocessing
    data = load_running_texts(folder / "story.txt", reading)
    selection = Selection(validation=data.validation, batches=(1, 2), rounds=6, seconds=0.0, tolerance=0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "_WRITING_LEVELS", ("none", "int8"))
        return publish_best(model, folder / "models", options(validate=False), Wish("auto", "variables"), selection,
                            lambda _: None)


def test_levels_are_judged_and_timed(result: ExportResult) -> None:
    """The plain export and eight bits, without calibration data; each has its loss and the time of a token."""
    told = result.manifest.optimization["selection"]
    found = {candidate["name"]: candidate for candidate in told["candidates"]}
    assert list(found) == ["none", "int8"]
    for candidate in found.values():
        assert [latency["batch"] for latency in candidate["latency"]] == [1, 2]
        assert candidate["metric"] == pytest.approx(found["none"]["metric"], rel=0.05)
    assert len({candidate["metric"] for candidate in found.values()}) == 2
    assert (told["metric"], told["per"]) == ("loss", "token")
    assert any("token by token" in note for note in notes_on(told))


def test_the_chosen_level_is_published(result: ExportResult) -> None:
    """It writes texts, and the manifest names it."""
    told = result.manifest.optimization
    chosen = next(candidate["name"] for candidate in told["selection"]["candidates"] if candidate["chosen"])
    assert told["level"] == chosen
    with LoadedVersion(Path(result.path)) as version:
        assert version.run("serve_text", {"text": np.array([b"To be"], object)})["token_count"] > 0
