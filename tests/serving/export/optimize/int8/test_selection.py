"""Layers that eight bits would spoil stay as they are; an export says which, and answers as it was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export import ExportResult, export_model
from serving.export.golden import decode
from serving.export.op_lists import known_ops
from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.int8.calibration import MIN_MAX, ranges
from serving.export.optimize.int8.convolutions import tensors_of
from serving.export.optimize.int8.layers import layers_of
from serving.export.optimize.int8.selection import EightBitConvolutions
from serving.export.replay import LoadedVersion
from tests.serving.export.optimize.int8 import graphs
from tests.serving.export.optimize.int8.graphs import graph, kinds, rows
from tests.serving.export.optimize.test_choice import graph_of, wide_network

FUSED = "_FusedQuantizedConv2D"


def learned(original: ForwardGraph) -> dict[str, tuple[float, float]]:
    return ranges(original, tensors_of(layers_of(original)), [rows(30)], MIN_MAX)


def test_a_layer_of_too_much_noise_stays() -> None:
    """With the reason; the others do not."""
    original = graph(graphs.islands)
    second = layers_of(original)[1]
    low, high = learned(original)[second.end]
    step = EightBitConvolutions([rows(30)], bound=10.0, known={second.end: (low / 20, high / 20)})
    made = step.rewrite(original)
    told = step.details()
    assert (told["layers"], told["in_eight_bits"], len(told["left"])) == (3, 2, 1)
    assert told["left"][0]["layer"] == second.node.name
    assert "wanted are 15" in told["left"][0]["reason"]
    assert (kinds(made)["Conv2D"], kinds(made)[FUSED]) == (1, 2)
    assert json.loads(json.dumps(told)) == told


def test_the_worst_are_left_out_until_the_whole_is_good() -> None:
    """A tight bound costs layers, the noisiest first; a bound that nothing reaches leaves the fewest."""
    original = graph(graphs.inverted)
    kept, errors = [], []
    for bound in (1.0, 0.03, 0.0):
        step = EightBitConvolutions([rows(30)], bound=bound)
        made = step.rewrite(original)
        told = step.details()
        kept.append(told["in_eight_bits"])
        errors.append(told["error"])
        assert kinds(made)[FUSED] + kinds(made)["_FusedQuantizedDepthwiseConv2D"] == told["in_eight_bits"]
        left = [layer["decibels"] for layer in told["left"]]
        assert not left or max(left) <= min(layer["decibels"] for layer in told["worst"])
    assert kept[0] == 8 > kept[2] > 0
    assert kept[0] >= kept[1] >= kept[2]
    assert errors[2] <= errors[0]


def test_known_ranges_are_taken_as_they_are() -> None:
    """What a training with eight bits in mind has learned is not learned again."""
    original = graph(graphs.plain)
    last = layers_of(original)[-1]
    most = 0.8 * learned(original)[last.end][1]
    step = EightBitConvolutions([rows(30)], bound=10.0, known={last.end: (0.0, most)})
    assert step.rewrite(original).run(rows(30))[0].max() == pytest.approx(most)


@pytest.mark.parametrize(("build", "calibration", "words"), [
    (tf.nn.relu, [rows(1)], "no convolution"), (graphs.plain, [], "no row")])
def test_what_cannot_be_is_told(build: Any, calibration: Any, words: str) -> None:
    """Without convolutions or rows there is nothing to do."""
    with pytest.raises(ValueError, match=words):
        EightBitConvolutions(calibration, bound=1.0).rewrite(graph(build))


def pictures(count: int) -> list[bytes]:
    """Encoded pictures of 12x12."""
    pixels = np.random.default_rng(5).integers(0, 256, (count, 12, 12, 3), np.uint8)
    return [bytes(tf.io.encode_png(one).numpy()) for one in pixels]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ExportResult]:
    root = tmp_path_factory.mktemp("models")
    return {place: export_model(wide_network(), root, optimize="int8", optimized_weights=place,
                                calibration=pictures(24), validate=place == "variables")
            for place in ("constants", "variables")}


@pytest.mark.parametrize("place", ["constants", "variables"])
def test_a_session_and_the_loader_answer_alike(results: Any, place: str) -> None:
    """Near the model, on a batch and row by row, with the weights once in a byte each."""
    model, result = wide_network(), results[place]
    given = np.random.default_rng(6).uniform(0, 1, (5, 12, 12, 3)).astype(np.float32)
    expected = model(given).numpy()
    loaded = tf.saved_model.load(str(result.path))
    with LoadedVersion(result.path) as session:
        asked = session.run("serving_default", {"image": given})["probabilities"]
        one = session.run("serving_default", {"image": given[3:4]})["probabilities"]
        assert session.run("serving_default", {"image": given[:0]})["probabilities"].shape == (0, 5)
    np.testing.assert_allclose(asked, expected, atol=0.05)
    np.testing.assert_allclose(loaded.signatures["serving_default"](image=tf.constant(given))["probabilities"], asked,
                               atol=1e-6)
    np.testing.assert_allclose(one, asked[3:4], atol=1e-6)


def test_the_operations_are_known_to_every_server(results: Any) -> None:
    """All stand in the lists of the releases; the convolutions are integer."""
    for result in results.values():
        written = graph_of(result.path)
        functions = {function.signature.name for function in written.library.function}
        nodes = [*written.node, *(node for function in written.library.function for node in function.node_def)]
        ops = {node.op for node in nodes} - functions
        assert ops <= set(known_ops("2.18"))
        assert FUSED in ops
        assert "Conv2D" not in ops


def test_the_golden_answers_are_those_of_the_graph(results: Any) -> None:
    """Any server can be held to them; how far they are from the model stands in the record."""
    result = results["variables"]
    assert result.validation is not None
    assert result.validation.ok
    vector = next(one for one in result.manifest.golden if one["signature"] == "serving_default")
    with LoadedVersion(result.path) as session:
        answered = session.run("serving_default", {name: decode(data) for name, data in vector["inputs"].items()})
    np.testing.assert_allclose(answered["probabilities"], decode(vector["outputs"]["probabilities"]), atol=1e-4)


def test_the_manifest_tells_layer_by_layer(results: Any) -> None:
    """Precision, rows, each layer's decibels, and how far the whole is from the model."""
    record = results["constants"].manifest.optimization
    step = next(one for one in record["passes"] if one["name"] == "int8_convolutions")
    assert (record["precision"], step["kept"], step["details"]["rows"]) == ("int8", True, 24)
    assert (step["details"]["layers"], step["details"]["in_eight_bits"]) == (3, 3)
    assert len(step["details"]["worst"]) == 3
    card = Path(results["constants"].path / "MODEL_CARD.md").read_text()
    assert "int8" in card
