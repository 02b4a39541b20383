"""Rows are computed in parts, at the same time, and come back in their order."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving.errors import ExportError
from serving.export import export_model
from serving.export.optimize.graph import ForwardGraph
from serving.export.row_parts import in_row_parts, row_parts, usable_cores
from serving.export.servable_module import input_specs, trace_forward
from serving.fixed_weights import changing_weights
from serving.manifest import read_manifest
from tests.end_to_end.text_models import bert
from tests.serving.export.small_models import image_classifier, large_classifier, sequence_pair, table_regressor
from zoo.spec import record_of

ROWS = (1, 2, 3, 5, 8)


def parted(rows: int, parts: int) -> tuple[list[float], list[float]]:
    """(what came back for each row, in how large a part it was computed), for rows that hold their numbers."""
    def call(first: Any, second: Any) -> dict[str, Any]:
        size = tf.fill([tf.shape(first)[0], 1], tf.cast(tf.shape(first)[0], tf.float32))
        return {"sum": first + second[:, :1], "size": size}

    specs = {"size": tf.TensorSpec([None, 1], tf.float32), "sum": tf.TensorSpec([None, 1], tf.float32)}
    traced = tf.function(lambda *tensors: in_row_parts(call, specs, tensors, parts), autograph=False,
                         input_signature=[tf.TensorSpec([None, 1]), tf.TensorSpec([None, 3])])
    numbers = np.arange(rows, dtype=np.float32)[:, None]
    found = traced(numbers, np.repeat(100 * numbers, 3, axis=1))
    return found["sum"].numpy()[:, 0].tolist(), found["size"].numpy()[:, 0].tolist()


@pytest.mark.parametrize("parts", [2, 3, 8])
@pytest.mark.parametrize("rows", ROWS)
def test_parts_are_even_and_in_order(rows: int, parts: int) -> None:
    """There are as many parts as may be, of sizes that differ by one at most, and every row is where it was."""
    sums, sizes = parted(rows, parts)
    assert sums == [101.0 * row for row in range(rows)]
    assert max(sizes) - min(sizes) <= 1
    assert round(sum(1 / size for size in sizes)) == min(rows, parts)


def test_parts_are_computed_at_the_same_time() -> None:
    """Each of two parts waits for the other in the middle of the model, also where it reads variables before."""
    meeting = threading.Barrier(2)
    factor = tf.Variable(2.0)

    def meet(values: Any) -> Any:
        meeting.wait(20)
        return values

    def forward(values: Any) -> Any:
        read = tf.convert_to_tensor(factor)
        return in_row_parts(lambda part: {"y": tf.ensure_shape(
            tf.numpy_function(meet, [part * read], tf.float32, stateful=False), [None, 1])},
            {"y": tf.TensorSpec([None, 1])}, [values], 2)["y"]

    traced = tf.function(forward, input_signature=[tf.TensorSpec([None, 1])], autograph=False)
    np.testing.assert_array_equal(traced([[1.0], [2.0]]), [[2.0], [4.0]])


@pytest.mark.parametrize("make", [image_classifier, table_regressor, sequence_pair,
                                  partial(bert, "token_classification")])
def test_answers_of_parts_are_those_of_the_whole(make: Any) -> None:
    """For pictures, tables, texts and several inputs, with no row as well."""
    model = make()
    record = record_of(model)
    specs = input_specs(model, record)
    rewritten = ForwardGraph.of(model, specs).as_rewritten(frozen=False)
    whole, parts = (trace_forward(model, record, rewritten, parts=count) for count in (1, 3))
    assert {name: spec.shape.as_list() for name, spec in parts.outputs.items()} == {
        name: spec.shape.as_list() for name, spec in whole.outputs.items()}
    generator = np.random.default_rng(2)
    for rows in (0, *ROWS):
        given = [_drawn(generator, [rows, *(size or 6 for size in spec.shape[1:])], spec.dtype)
                 for spec in specs.values()]
        expected, found = whole.call(*given), parts.call(*given)
        for name in expected:
            assert found[name].shape == expected[name].shape
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)


def _drawn(generator: np.random.Generator, shape: list[int], dtype: Any) -> Any:
    return tf.constant(generator.normal(0, 1, shape).astype(np.float32) if dtype.is_floating
                       else generator.integers(0, 2, shape), dtype)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The same model for one processor and for two, the latter validated."""
    root = tmp_path_factory.mktemp("parts")
    return {cores: export_model(large_classifier(), root, name=f"cores{cores}", optimize="safe", cores=cores,
                                batch_sizes=(1, 3), validate=cores == 2).path for cores in (1, 2)}


def test_an_export_says_for_how_many_processors_it_is(exported: dict[int, Path]) -> None:
    """And its weights count as fixed, though they go through a loop."""
    for cores, folder in exported.items():
        told = read_manifest(folder).optimization
        assert (told["cores"], told["row_parts"]) == (cores, cores)
        assert f"{cores} processor" in (folder / "MODEL_CARD.md").read_text()
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        assert changing_weights(saved.meta_graphs[0]) == ()


def test_weights_that_are_made_at_each_call_are_made_once(tmp_path: Path) -> None:
    """Levels for size compute all rows at once, for as many processors as there may be."""
    told = export_model(large_classifier(), tmp_path, optimize="int8_weights", cores=4, validate=False,
                        batch_sizes=(1,)).manifest.optimization
    assert (told["cores"], told["row_parts"]) == (4, 1)


def test_what_is_fused_in_the_whole_is_fused_in_the_parts(exported: dict[int, Path]) -> None:
    """A session, as servers have it, runs the same kernels, once for each part, and answers alike."""
    pixels = np.random.default_rng(1).uniform(0, 1, (3, 96, 96, 3)).astype(np.float32)
    (whole, once), (parts, twice) = (_traced(exported[cores], pixels) for cores in (1, 2))
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)
    assert once and twice == {name: 2 * count for name, count in once.items()}


def _traced(folder: Path, pixels: Any) -> tuple[Any, dict[str, int]]:
    """The answer, and how often each kind of kernel with "Fused" in its name ran."""
    options = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE, output_partition_graphs=True)
    found = tf.compat.v1.RunMetadata()
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(folder)).signature_def["serving_default"]
        answer = session.run(signature.outputs["probabilities"].name, {signature.inputs["image"].name: pixels},
                             options=options, run_metadata=found)
    kinds = {node.name: node.op for graph in found.partition_graphs for node in graph.node}
    ran = [kinds.get(stats.node_name, "") for device in found.step_stats.dev_stats for stats in device.node_stats]
    return answer, {kind: ran.count(kind) for kind in ran if "Fused" in kind}


def test_small_models_are_not_parted() -> None:
    """What a loop costs is more than a small model does."""
    assert row_parts(image_classifier(), 8) == 1
    assert (row_parts(large_classifier(), 8), row_parts(large_classifier(), 1)) == (8, 1)


@pytest.mark.parametrize("cores", [0, 65, 2.0, True])
def test_cores_are_a_number_of_processors(cores: Any) -> None:
    """Other words are refused before any work."""
    with pytest.raises(ExportError, match="from 1 to 64"):
        usable_cores(cores)
    assert usable_cores(None) >= 1
