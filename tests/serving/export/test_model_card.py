"""The model card says what it is, how to call it, how good it is and where it comes from."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
from pathlib import Path

import pytest

from serving.client import PredictClient
from serving.export import export_model
from serving.export.model_card import model_card
from serving.manifest import Manifest, read_manifest
from tests.serving.export.small_models import (
    image_classifier,
    sequence_pair,
    table_regressor,
    tensor_classifier,
    text_classifier,
)


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    root = tmp_path_factory.mktemp("models")
    models = (image_classifier(), text_classifier(), table_regressor(), sequence_pair())
    return {model.name: read_manifest(export_model(model, root, validate=False, warmup=False).path) for model in models}


def test_the_card_has_the_record(manifests: dict[str, Manifest]) -> None:
    """Description, licence, provenance, measured results and labels are on the card."""
    card = model_card(manifests["pictures"])
    for words in ("# pictures", "Five letters.", "Licence: CC0", "| test accuracy | 0.5 |", "source made up",
                  "a, b, c, d, e"):
        assert words in card, words


def test_every_signature_is_in_the_table(manifests: dict[str, Manifest]) -> None:
    """Each signature has a row with its tensors; what is left out has its reason."""
    for manifest in manifests.values():
        card = model_card(manifest)
        for name, signature in manifest.signatures.items():
            row, = re.findall(rf"^\| `{name}` \|.*$", card, re.MULTILINE)
            assert all(f"`{tensor}`" in row for tensor in (*signature.inputs, *signature.outputs))
    assert "There is no signature `regress`" in model_card(manifests["pairs"])


def test_the_example_request_is_json_for_its_signature(manifests: dict[str, Manifest]) -> None:
    """The curl example parses, and its row has the inputs that the signature takes."""
    for manifest in manifests.values():
        body = json.loads(re.search(r"curl -d '(.*)'", model_card(manifest)).group(1))  # type: ignore[union-attr]
        assert set(body["instances"][0]) == set(manifest.signatures[body["signature_name"]].inputs)


def test_the_python_example_compiles_and_calls_the_client(manifests: dict[str, Manifest]) -> None:
    """The example's keywords are those of the client."""
    for manifest in manifests.values():
        code = re.search(r"```python\n(.*?)```", model_card(manifest), re.DOTALL).group(1)  # type: ignore[union-attr]
        call, = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)
                 and ast.unparse(node.func) == "client.predict")
        parameters = inspect.signature(PredictClient.predict).parameters
        assert {keyword.arg for keyword in call.keywords} <= set(parameters)


def test_limits_are_those_of_the_kind(manifests: dict[str, Manifest]) -> None:
    """A binary model's threshold and a text model's length stand on the card."""
    card = model_card(manifests["texts"])
    assert "Decides for `positive` from a probability of 0.3 on" in card
    assert "first 6 words" in card
    assert "category that was not in its training data" in model_card(manifests["tables"])


def test_the_written_card_is_this_one(tmp_path: Path) -> None:
    """MODEL_CARD.md of an export is the card of its manifest."""
    path = export_model(table_regressor(), tmp_path, validate=False, warmup=False).path
    assert (path / "MODEL_CARD.md").read_text() == model_card(read_manifest(path))


def test_what_was_pruned_stands_on_the_card(manifests: dict[str, Manifest]) -> None:
    """Each step with what decided and what is left."""
    manifest = next(iter(manifests.values()))
    costs = {"before": {"flops": 1000, "nonzero": 200}, "after": {"flops": 250, "nonzero": 80}}
    step = {"method": "heads+units", "fraction": 0.5, "criterion": "taylor", "settings": {"multiple": None}, **costs}
    weights = {**manifest.record["weights"], "pruning": [step]}
    card = model_card(dataclasses.replace(manifest, record={**manifest.record, "weights": weights}))
    assert ("- Pruned: 50% of heads, units (by taylor); 40% of the parameters are left, 25% of the arithmetic"
            in card.splitlines())


def test_a_search_stands_on_the_card(tmp_path: Path) -> None:
    """Who found the model is told in one line: which trial of how many, what was chosen, and what for."""
    model = tensor_classifier(training={"epochs": 3, "search": {
        "folder": "wine", "trial": "0007", "trials": 20, "best": True, "oracle": "bayesian", "seed": 4,
        "objectives": ["max:val_accuracy", "min:latency_ms"], "constraints": ["size_mb<=5"],
        "values": {"learning_rate": 0.0123456, "units": 32}, "measures": {"val_accuracy": 0.98765}}})
    card = model_card(read_manifest(export_model(model, tmp_path, validate=False, warmup=False).path))
    assert ("- Search: trial 0007, the best of 20 in `wine`, searched for max:val_accuracy and min:latency_ms and "
            "size_mb<=5 (bayesian, seed 4); chosen: learning_rate 0.01235, units 32; measured: val_accuracy 0.9877\n"
            ) in card
    assert "- Training: epochs 3\n" in card
