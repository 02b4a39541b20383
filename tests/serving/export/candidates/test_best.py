"""Candidates exported, judged, timed, and the best one published."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.errors import ExportError
from serving.export import ExportResult, export_model
from serving.export.candidates import best, plan
from serving.export.candidates.best import publish_best
from serving.export.candidates.plan import Selection
from serving.export.optimize import choice
from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.levels import Level
from serving.export.optimize.rewriting import Pass
from serving.export.version import ExportOptions, Wish
from serving.manifest import file_faults, read_manifest
from tests.serving.export.small_models import image_classifier, tensor_classifier
from zoo.bundle import save
from zoo.data.arrays import from_arrays
from zoo.data.labelled import Split

NAMES = ("a", "b", "c", "d")
LEVELS_TRIED = ("none", "safe")


def options(**changes: Any) -> ExportOptions:
    return ExportOptions(**({"name": "served", "version": None, "top_k": 5, "batch_sizes": (1,),
                             "allowed_batch_sizes": (1,), "target_serving": "2.20", "warmup": True, "validate": True,
                             "samples": None, "warmup_from": None} | changes))


def judged_by(model: Any) -> Split:
    """Examples of which the model tells every class."""
    features = np.random.default_rng(0).normal(0, 2, (300, 3)).astype(np.float32)
    labels = np.asarray(model(features, training=False)).argmax(axis=1)
    return from_arrays(features, labels, labels=NAMES, validation_fraction=0.0, test_fraction=0.0).train


def published(model: Any, root: Path, selection: Selection, **changes: Any) -> ExportResult:
    return publish_best(model, root, options(**changes), Wish("auto", "constants"), selection, lambda _: None)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportResult, Path]:
    """A model against another one for the same task, whose weights are other ones."""
    root = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "_AUTO_LEVELS", LEVELS_TRIED)
        return _compared(root)


def _compared(root: Path) -> tuple[ExportResult, Path]:
    model, other = tensor_classifier(labels=NAMES), tensor_classifier(labels=NAMES)
    other.set_weights([-weight for weight in other.get_weights()])
    save(other, root / "worse")
    save(image_classifier(), root / "other")
    selection = Selection(validation=judged_by(model), runs=(root / "worse", root / "other"), batches=(1, 2), rounds=6,
                          seconds=0.0, report=root / "report")
    return published(model, root / "models", selection), root


def test_the_published_version_is_whole(compared: tuple[ExportResult, Path]) -> None:
    """It is validated, its files are those of the manifest, and nothing else lies in the repository."""
    result, root = compared
    assert result.validation is not None
    assert result.validation.ok
    assert list(file_faults(result.path, read_manifest(result.path))) == []
    assert [str(path.relative_to(root / "models")) for path in root.glob("models/*/*")] == ["served/1"]


def test_the_manifest_tells_of_every_candidate(compared: tuple[ExportResult, Path]) -> None:
    """A model that is worse is told as such and not published; levels that change nothing say so."""
    result, _ = compared
    told = result.manifest.optimization
    assert (told["asked"], told["level"]) == ("auto", "none")
    found = {candidate["name"]: candidate for candidate in told["selection"]["candidates"]}
    assert set(found) == {name for level in LEVELS_TRIED for name in (level, f"worse {level}", f"other {level}")}
    assert found["none"]["chosen"]
    assert (found["none"]["metric"], found["none"]["agreement"]) == (1.0, 1.0)
    assert found["worse none"]["reason"].startswith("worse: accuracy is ")
    assert found["worse none"]["agreement"] < 0.5
    assert [latency["batch"] for latency in found["worse none"]["latency"]] == [1, 2]
    assert "worse none is worse than allowed" in found["worse safe"]["reason"], "its levels need no trying"
    for candidate in found.values():
        assert candidate["chosen"] == (candidate["reason"] == "")


def test_card_and_report_tell_it_too(compared: tuple[ExportResult, Path]) -> None:
    """The card has the table, the report's JSON the passes of each graph as well."""
    result, root = compared
    card = (result.path / "MODEL_CARD.md").read_text()
    assert "## Which exports were compared" in card
    assert "- worse none: worse: accuracy is" in card
    report = json.loads((root / "report" / "candidates.json").read_text())
    assert report["candidates"] == json.loads(json.dumps(result.manifest.optimization["selection"]["candidates"]))
    assert report["published"] == {"name": "served", "version": 1}
    assert report["graphs"]
    assert (root / "report" / "candidates.png").read_bytes().startswith(b"\x89PNG")


def test_another_task_does_not_compete(compared: tuple[ExportResult, Path]) -> None:
    """A model for other labels is left out with the reason, and the rest goes on."""
    found = {candidate["name"]: candidate["reason"]
             for candidate in compared[0].manifest.optimization["selection"]["candidates"]}
    assert "holds a model for classification of image with 5 labels" in found["other none"]


def test_one_alone_is_published_without_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no level does anything, nothing is timed and nothing claimed."""
    monkeypatch.setattr(plan, "_AUTO_LEVELS", ("none",))
    result = published(tensor_classifier(), tmp_path, Selection(validation=object()), validate=False)
    selection = result.manifest.optimization["selection"]
    assert selection["rounds"] == 0
    assert [candidate["latency"] for candidate in selection["candidates"]] == [[]]


def halved(graph: ForwardGraph) -> ForwardGraph:
    """A wrong graph: its weights count half, so probabilities differ and labels hardly do."""
    made = type(graph.graph_def).FromString(graph.graph_def.SerializeToString())
    for node in made.node:
        if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum:
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0.5 * tf.make_ndarray(node.attr["value"].tensor)))
    return graph.with_graph_def(made)


def test_what_does_not_answer_as_the_model_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate that wins and then fails the validation is told as unfit, and the next best one is published."""
    model = tensor_classifier(labels=NAMES)
    wrong = Level(lambda _: (Pass("wrong", halved, 10.0),))
    for module in (plan, best, choice):
        monkeypatch.setattr(module, "LEVELS", MappingProxyType({"safe": wrong}))
    selection = Selection(objective="size", validation=judged_by(model), batches=(1,), rounds=1, seconds=0.0,
                          tolerance=0.5)
    result = published(model, tmp_path, selection)
    found = {candidate["name"]: candidate for candidate in result.manifest.optimization["selection"]["candidates"]}
    assert found["safe"]["size_mb"] < 0.98 * found["none"]["size_mb"], "it would have won"
    assert found["safe"]["reason"].startswith("it is not fit to be served: ")
    assert found["none"]["chosen"]


def test_validation_examples_are_needed(tmp_path: Path) -> None:
    """The message says what to give, and what to do without."""
    with pytest.raises(ExportError, match=r"Give `validation`, or choose a level yourself"):
        export_model(tensor_classifier(), tmp_path, optimize="max")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"objective": "beauty"}, {"tolerance": -1.0}, {"batches": (0,)}])
def test_wrong_wishes_are_refused_before_any_work(wrong: dict[str, Any], tmp_path: Path) -> None:
    """The message names the argument."""
    with pytest.raises(ExportError, match=f"`{next(iter(wrong))}`"):
        export_model(tensor_classifier(), tmp_path, optimize="auto", validation=object(), **wrong)
