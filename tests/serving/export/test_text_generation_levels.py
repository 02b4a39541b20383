"""Language models that are exported in fewer bits write nearly the same texts, from smaller files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.errors import ExportError
from serving.export import export_model
from serving.export.export import ExportResult
from serving.export.replay import LoadedVersion
from tests.zoo.generation.small_gpt2 import small_gpt2
from zoo.generation import generate

PROMPTS = ["hello", "To be, or not to be", "x"]


def parameter_bytes(result: ExportResult) -> int:
    return sum(file.stat().st_size for file in (result.path / "variables").iterdir())


@pytest.fixture(scope="module")
def model() -> Any:
    return small_gpt2()


@pytest.mark.parametrize(("level", "share", "same"), [("bfloat16", 0.6, 0.9), ("int8", 0.45, 0.6)])
def test_a_level_of_a_language_model(level: str, share: float, same: float, model: Any, tmp_path: Path) -> None:
    """The version is valid, its parameters take their share of the bytes, and the manifest says how far it is off."""
    result = export_model(model, tmp_path / level, name="writer", optimize=level, warmup=False)
    assert result.validation is not None and not result.validation.findings
    assert parameter_bytes(result) < share * 4 * model.count_params()
    said = result.manifest.optimization
    assert said["precision"] == level and 0 < said["error"] < 0.1 and said["same_label"] > same
    with LoadedVersion(result.path) as loaded:
        count = len(PROMPTS)
        found = loaded.run("generate", {
            "prompt": np.array([text.encode() for text in PROMPTS], object),
            "max_new_tokens": np.full(count, 6, "int32"),
            "temperature": np.zeros(count, "float32"), "top_k": np.zeros(count, "int32"),
            "top_p": np.ones(count, "float32"), "repetition_penalty": np.ones(count, "float32"),
            "stop": np.full((count, 1), b"", object), "seed": np.zeros(count, "int32")})
    tokens = np.array([result.tokens[0] for result in generate(model, PROMPTS, max_new_tokens=6)])
    # The first token: what follows another one is another text.
    assert (found["tokens"][:, 0] == tokens).mean() >= same


def test_four_bits_are_refused(model: Any, tmp_path: Path) -> None:
    """A level that a language model cannot have is named, and nothing is written in its place."""
    with pytest.raises(ExportError, match="no level of four bits"):
        export_model(model, tmp_path, name="writer", optimize="int4_weights")
    assert not list(tmp_path.rglob("saved_model.pb"))
