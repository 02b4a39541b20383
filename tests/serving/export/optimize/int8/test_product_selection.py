"""Products that eight bits would spoil stay; an export with the others loads anywhere and answers as it was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from serving.export import ExportResult, export_model
from serving.export.golden import decode, differences
from serving.export.op_lists import known_ops, releases
from serving.export.optimize.int8.product_selection import EightBitProducts
from serving.export.replay import LoadedVersion
from serving.server.servable import load_servable
from tests.serving.export.optimize.int8.test_products import WEIGHTS, WIDTH, built, dense, error, operations, rows
from tests.serving.export.optimize.test_choice import graph_of
from tests.serving.export.small_models import with_record
from zoo.spec import TensorPreprocessing

# It hardly counts, but leaves the others a few steps.
OUTLIER = np.array([3000.0] + [1.0] * (WIDTH - 1), np.float32)


def uneven(x: Any) -> Any:
    return tf.matmul(tf.nn.relu(dense(x)) * OUTLIER, WEIGHTS[1] / (OUTLIER**2)[:, None])


def test_what_eight_bits_cannot_hold_stays() -> None:
    """A product whose input has a rare value far from the others stays in float32, and the record says why."""
    graph = built(uneven)
    step = EightBitProducts([rows()], 1.0, "min-max", smooths=False)
    quantized = step.rewrite(graph)
    told = step.details()
    assert (told["layers"], told["in_eight_bits"], told["left"][0]["layer"]) == (2, 1, "MatMul_1")
    assert "dB" in told["left"][0]["reason"]
    assert json.loads(json.dumps(told)) == told
    assert operations(quantized).count("MatMul") == 1


def test_made_even_it_does_not() -> None:
    """The same product is given eight bits where its weights may take over the factor of what it multiplies."""
    graph = built(uneven)
    step = EightBitProducts([rows()], 1.0)
    quantized = step.rewrite(graph)
    told = step.details()
    assert (told["layers"], told["in_eight_bits"], told["left"]) == (2, 2, [])
    assert told["smoothed"] >= 1
    assert json.loads(json.dumps(told)) == told
    assert "MatMul" not in operations(quantized)
    assert error(graph, quantized) < 0.03


def test_ranges_of_training_are_not_made_even() -> None:
    """Where training has rounded a tensor as it is, nothing is divided."""
    graph = built(lambda x: tf.matmul(tf.nn.relu(x) * OUTLIER, WEIGHTS[1] / OUTLIER[:, None]))
    free = EightBitProducts([rows()], 1.0)
    free.rewrite(graph)
    assert free.details()["smoothed"] == 1
    bound = EightBitProducts([rows()], 1.0, known={"mul": (0.0, 12000.0)})
    with pytest.raises(ValueError, match="lose too much"):
        bound.rewrite(graph)


def test_each_tensor_has_the_range_that_its_products_take_best() -> None:
    """What is far out and decides a product is not cut off; what is far out and decides nothing is."""
    generator = np.random.default_rng(8)
    usual = generator.normal(0, 1, (400, WIDTH)).astype(np.float32)
    # A few rows of one input reach far beyond the others', less than one value in ten thousand.
    usual[:4, 0] = 60.0
    ignored = WEIGHTS[1] * np.array([[0.0]] + [[1.0]] * (WIDTH - 1), np.float32)
    counts = WEIGHTS[1] * np.array([[3.0]] + [[1.0]] * (WIDTH - 1), np.float32)
    levels = {}
    for name, weights in (("ignored", ignored), ("counts", counts)):
        graph = built(lambda x, weights=weights: tf.matmul(x, weights))
        for method in ("measured", "min-max", "percentile", "mse"):
            step = EightBitProducts([{"x": usual[:16]}, {"x": usual[16:]}], 10.0, method, smooths=False)
            try:
                step.rewrite(graph)
            except ValueError:
                continue  # every product is too noisy
            levels[name, method] = step.details()["worst"][0]["decibels"]
            if method == "measured":
                chosen, = step.details()["ranges"]
                assert (chosen == "min-max") == (name == "counts")
    assert ("counts", "percentile") not in levels
    assert levels["counts", "measured"] == levels["counts", "min-max"]
    assert levels["ignored", "measured"] > levels.get(("ignored", "min-max"), 0.0) + 3


def test_the_worst_are_left_out_until_the_whole_is_good() -> None:
    """A tight bound costs products, the noisiest first; where none may stay the graph is refused."""
    graph = built(lambda x: dense(tf.nn.relu(dense(tf.nn.relu(dense(x)), 1)), 2))
    all_of_them = EightBitProducts([rows()], 1.0)
    all_of_them.rewrite(graph)
    assert all_of_them.details()["in_eight_bits"] == 3
    tighter = EightBitProducts([rows()], 0.95 * all_of_them.details()["error"])
    quantized = tighter.rewrite(graph)
    told = tighter.details()
    assert 0 < told["in_eight_bits"] < 3
    assert operations(quantized).count("_QuantizedMatMul") == told["in_eight_bits"]
    assert max(layer["decibels"] for layer in told["left"]) <= min(layer["decibels"] for layer in told["worst"])
    with pytest.raises(ValueError, match="lose too much"):
        EightBitProducts([rows()], 0.0).rewrite(graph)


def test_known_ranges_are_taken() -> None:
    """A range that training has learned goes before one of the rows."""
    graph = built(lambda x: dense(tf.nn.relu(dense(x)), 1))
    step = EightBitProducts([rows()], 1.0, known={"Relu": (0.0, 77.0)})
    assert step.rewrite(graph) and step.details()["ranges"]["known"] == 1
    ends = [float(tf.make_ndarray(node.attr["value"].tensor)) for node in step.rewrite(graph).graph_def.node
            if node.name == "Relu/int8/high"]
    assert ends == [pytest.approx(77.0)]


@pytest.mark.parametrize(("function", "reason"), [(tf.nn.relu, "no matrix product"),
                                                  (lambda x: dense(x * 0.0), "lose too much")])
def test_nothing_to_do_is_told(function: Callable[[Any], Any], reason: str) -> None:
    """A graph without products is refused, and so is one with none that has a range."""
    with pytest.raises(ValueError, match=reason):
        EightBitProducts([rows()], 1.0).rewrite(built(function))


# === As exports ===

def wide_dense() -> Any:
    """Dense layers of every kind that goes into eight bits, with weights as training leaves them."""
    features = keras.Input((64,), name="features")
    x = hidden = keras.layers.Dense(256, activation="relu", name="first")(features)
    x = keras.layers.Dense(256, activation="gelu", name="second")(x)
    x = keras.layers.Dense(256, name="third")(x)
    x = keras.layers.Add(name="sum")([x, hidden])
    x = keras.layers.Dense(256, activation="tanh", name="fourth")(x)
    model = keras.Model(features, keras.layers.Dense(128, activation="softmax", name="predictions")(x), name="wide")
    with_record(model, "classification", TensorPreprocessing(), labels=tuple(map(str, range(128))))
    generator = np.random.default_rng(3)
    model.set_weights([generator.normal(0, 0.08, weight.shape) for weight in model.get_weights()])
    return model


WISHES = (("int8", "constants"), ("int8", "variables"), ("int8_weights", "variables"), ("int4_weights", "constants"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], ExportResult]:
    root, model = tmp_path_factory.mktemp("models"), wide_dense()
    batch = {"features": np.random.default_rng(5).normal(0, 1, (64, 64)).astype(np.float32)}
    few = {"features": batch["features"][:4]}
    return {(level, place): export_model(model, root, name=f"{level}_{place}", optimize=level, samples=few,
                                         calibration=batch, optimized_weights=place,
                                         validate=(level, place) == ("int8", "variables"))
            for level, place in WISHES}


@pytest.mark.parametrize(("level", "place"), WISHES)
def test_an_export_answers_as_keras_does(results: Any, level: str, place: str) -> None:
    """In a session and loaded by Python, in batches, alone and empty, as closely as its bits allow."""
    result, model = results[level, place], wide_dense()
    assert result.validation is None or result.validation.ok, result.validation
    batch = np.random.default_rng(6).normal(0, 1, (40, 64)).astype(np.float32)
    expected = model(batch).numpy()
    loaded = tf.saved_model.load(str(result.path))
    with LoadedVersion(result.path) as session:
        ways = [session.run("serving_default", {"features": batch})["probabilities"],
                np.concatenate([session.run("serving_default", {"features": batch[row:row + 1]})["probabilities"]
                                for row in range(40)]),
                loaded.signatures["serving_default"](features=tf.constant(batch))["probabilities"].numpy()]
        assert session.run("serving_default", {"features": batch[:0]})["probabilities"].shape == (0, 128)
    allowed = 0.3 if level == "int4_weights" else 0.06
    for answer in ways:
        assert 0 < np.linalg.norm(answer - expected) < allowed * np.linalg.norm(expected)


def test_every_supported_server_knows_the_operations(results: Any) -> None:
    """`_QuantizedMatMul` stands in the list of each TensorFlow Serving release with the attributes that are written."""
    for result in results.values():
        graph = graph_of(result.path)
        functions = {function.signature.name for function in graph.library.function}
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        for release in releases():
            known = known_ops(release)
            assert {node.op for node in nodes} - functions <= set(known)
            for node in nodes:
                if node.op == "_QuantizedMatMul":
                    assert {name for name in node.attr if not name.startswith("_")} <= known[node.op].attributes


def test_the_manifest_tells(results: Any) -> None:
    """Which pass made it small, how many products it was, and in which numbers they are."""
    for (level, _), result in results.items():
        record = result.manifest.optimization
        assert (record["asked"], record["precision"]) == (level, "int8")
        kept = {step["name"]: step for step in record["passes"] if step["kept"]}
        name = "int8_products" if level == "int8" else level
        assert name in kept
        if level == "int8":
            assert kept[name]["details"]["in_eight_bits"] == 5


def test_it_is_small_on_disk(results: Any) -> None:
    """A byte per weight, half of one with four bits; the same wherever the weights stand."""
    weights = sum(weight.size for weight in wide_dense().get_weights())
    for (level, _), result in results.items():
        files = [result.path / "saved_model.pb", *(result.path / "variables").iterdir()]
        size = sum(path.stat().st_size for path in files)
        assert size < weights * (0.65 if level == "int4_weights" else 1.1) + 150_000


def test_the_embedded_server_answers(results: Any) -> None:
    """Loaded as a version of its repository, it answers every golden vector's request with the golden answer."""
    for (level, place), result in results.items():
        servable = load_servable(level, result.version, result.path)
        try:
            for vector in result.manifest.golden:
                inputs = {name: decode(data) for name, data in vector["inputs"].items()}
                answers = servable.run(vector["signature"], inputs, list(vector["outputs"]))
                lines = list(differences(vector, answers, result.manifest.tolerance))
                assert lines == [], (level, place)
        finally:
            servable.close()
