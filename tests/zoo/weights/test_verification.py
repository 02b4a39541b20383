"""Golden vectors: what a source computed, recorded beside its parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import zoo
from tests.zoo.text import numpy_transformer as reference
from tests.zoo.weights import foreign_checkpoints as foreign
from zoo.errors import ArgumentError, WeightsError
from zoo.weights.report import report_of
from zoo.weights.verification import GOLDEN, record_golden

BERT, GPT2 = foreign.plain("bert"), foreign.plain("gpt2")
SIZES: dict[str, Any] = {"layers": foreign.LAYERS, "hidden_size": foreign.WIDTH, "heads": foreign.HEADS}


def source(family: str) -> Any:
    """The NumPy reference as "the library that the model was trained with"."""
    def run(inputs: dict[str, Any]) -> Any:
        states = (reference.bert_states(BERT.ours(), inputs, layers=2, heads=foreign.HEADS) if family == "bert" else
                  reference.gpt2_states(GPT2.ours(), inputs, layers=2, heads=foreign.HEADS))
        steps = inputs["token_ids"].shape[1]
        return np.stack([np.pad(one, ((0, steps - len(one)), (0, 0))) for one in states])
    return run


def write(folder: Path, family: str, **config: Any) -> Path:
    tensors = foreign.hugging_face_bert(BERT) if family == "bert" else foreign.hugging_face_gpt2(GPT2)
    return foreign.write_hugging_face(folder, family, tensors, **config)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_recorded_states_are_checked(tmp_path: Path, family: str) -> None:
    """An import beside a record says how far it is off; padded tokens do not count."""
    folder = write(tmp_path / "c", family)
    assert record_golden(source(family), folder, inputs=foreign.inputs(family)) == folder / GOLDEN
    model = zoo.build(family, weights=str(folder), include_top=False, **SIZES)
    found = report_of(model).verification
    assert found is not None
    assert found.largest_difference < 1e-5
    assert found.values == foreign.inputs(family)["padding_mask"].sum() * foreign.WIDTH
    assert "verified" in report_of(model).to_text()
    assert f"against the golden vectors in {GOLDEN} (allowed: 0.0001)" in report_of(model).to_text()


def test_a_wrong_activation_is_found(tmp_path: Path) -> None:
    """The difference between the two forms of GELU is above the tolerance."""
    folder = write(tmp_path / "c", "bert", hidden_act="gelu_new")
    record_golden(source("bert"), folder, inputs=foreign.inputs("bert"))
    with pytest.raises(WeightsError, match=r"hidden states differ by up to .* from the golden vectors .* 0.0001 is"):
        zoo.build("bert", weights=str(folder), include_top=False)


def test_a_model_of_the_zoo_may_be_the_source(tmp_path: Path) -> None:
    """Its hidden states on random tokens are recorded, whatever its head; every segment and padding are among them."""
    folder = write(tmp_path / "c", "bert")
    model = zoo.build("bert", weights=str(folder), task="embedding", pooling="mean")
    stored = safetensors.numpy.load_file(record_golden(model, folder))
    assert set(stored["segment_ids"].ravel()) == {0, 1}
    assert set(stored["padding_mask"].ravel()) == {0, 1}
    assert stored["hidden_states"].shape == (*stored["token_ids"].shape, foreign.WIDTH)
    assert report_of(zoo.build("bert", weights=str(folder), include_top=False)).verification is not None


def test_lower_precision_is_not_compared(tmp_path: Path) -> None:
    """bfloat16 cannot keep the tolerance, and the report says that nothing was compared."""
    folder = write(tmp_path / "c", "bert")
    record_golden(source("bert"), folder, inputs=foreign.inputs("bert"))
    report = report_of(zoo.build("bert", weights=str(folder), include_top=False, dtype="mixed_bfloat16"))
    assert report.verification is None
    assert "left out, because the model computes in bfloat16" in report.to_text()


@pytest.mark.parametrize(("content", "message"), [
    (b"nonsense", "is no record of golden vectors"),
    ({"token_ids": np.zeros((1, 2), "int32")}, "is no record of golden vectors"),
    ({"token_ids": np.zeros((1, 2), "int32"), "hidden_states": np.zeros((1, 3, 4), "float32")}, "must hold token_ids"),
    ({"token_ids": np.zeros((1, 2), "int32"), "hidden_states": np.zeros((1, 2, 4), "float32")},
     r"have the shape \[1, 2, 4\], and the model's have \[1, 2, 24\]")])
def test_a_damaged_record(tmp_path: Path, content: Any, message: str) -> None:
    """A broken record is an error, not a check left out."""
    folder = write(tmp_path / "c", "bert")
    if isinstance(content, bytes):
        (folder / GOLDEN).write_bytes(content)
    else:
        safetensors.numpy.save_file(content, folder / GOLDEN)
    with pytest.raises(WeightsError, match=message):
        zoo.build("bert", weights=str(folder), include_top=False)


def test_what_cannot_be_recorded(tmp_path: Path) -> None:
    """A function needs inputs, and must return states of each token."""
    with pytest.raises(ArgumentError, match="needs `inputs` for a function"):
        record_golden(source("bert"), tmp_path)
    with pytest.raises(ArgumentError, match="must be 'token_ids' and possibly"):
        record_golden(source("bert"), tmp_path, inputs={"ids": np.zeros((1, 2))})
    with pytest.raises(ArgumentError, match=r"must be \[N, L, H\]"):
        record_golden(lambda inputs: np.zeros((1, 2)), tmp_path, inputs={"token_ids": np.zeros((1, 2))})
