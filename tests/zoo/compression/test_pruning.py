"""`prune`: what goes, what the record says, and that the result is a plain model."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from tests.zoo.compression.cut_networks import answers, branched, randomised
from tests.zoo.training.in_memory import ArrayData, ArraySplit, blobs, classifier, recorded
from zoo.compression.batch_norms import measure_statistics
from zoo.compression.pruning import prune
from zoo.errors import ArgumentError


def network() -> keras.Model:
    return recorded(branched(), "classification", labels=("a", "b", "c"), registered=False)


def pictures(count: int = 64) -> ArrayData:
    random = np.random.RandomState(3)
    inputs, targets = random.normal(size=(count, 8, 8, 3)), random.randint(0, 3, count)
    return ArrayData(ArraySplit(inputs.astype("float32"), targets.astype("int32")), labels=("a", "b", "c"))


@pytest.mark.parametrize("method", ["filters", "filters+units", "magnitude"])
def test_a_pruned_model_is_saved_and_opened(method: str, tmp_path: Path) -> None:
    """Its architecture is in the bundle, its record tells what was done to it, and the given model is as it was."""
    model = network()
    before = answers(model)
    pruned = prune(model, method=method, fraction=0.5, multiple=2)
    loaded = zoo.load(zoo.save(pruned.model, tmp_path))
    np.testing.assert_array_equal(answers(loaded), answers(pruned.model))
    np.testing.assert_array_equal(answers(model), before)
    record = zoo.record_of(loaded)
    (step,) = record.weights["pruning"]
    assert (step["method"], step["fraction"], record.registered) == (method, 0.5, False)
    assert {layer.name for layer in loaded.layers} == {layer.name for layer in model.layers}
    if method != "magnitude":
        assert pruned.report.after.parameters < 0.7 * pruned.report.before.parameters
        assert pruned.report.after.flops < 0.7 * pruned.report.before.flops
        assert loaded.count_params() == pruned.report.after.parameters


def test_data_decide_what_matters() -> None:
    """Units that nothing depends on go first, however large their parameters are."""
    model = classifier(seed=5)
    hidden, head = model.get_layer("hidden"), model.get_layer("predictions")
    useless = [1, 4, 7, 11]
    kernel, reading = np.array(hidden.kernel), np.array(head.kernel)
    kernel[:, useless] *= 50.0
    bias = np.zeros(16, "float32")
    bias[useless] = -1e6  # behind the ReLU they are always zero
    reading[useless] *= 50.0
    hidden.kernel.assign(kernel)
    hidden.bias.assign(bias)
    head.kernel.assign(reading)
    data = blobs()
    assert data.train is not None
    measure_statistics(model, data.train.batches(32, shuffle_seed=0))
    kept = prune(model, method="units", fraction=0.25, data=data, multiple=1).model
    by_size = prune(model, method="units", fraction=0.25, multiple=1).model
    inputs = data.validation.inputs if data.validation else None
    np.testing.assert_allclose(kept.predict(inputs, verbose=0), model.predict(inputs, verbose=0), atol=1e-5)
    assert np.abs(by_size.predict(inputs, verbose=0) - model.predict(inputs, verbose=0)).max() > 0.01


@pytest.mark.parametrize("criterion", ["l1", "l2", "batch_norm", "taylor"])
def test_every_criterion_removes_the_fraction(criterion: str) -> None:
    """Half of every group, in multiples of 2."""
    data = pictures() if criterion == "taylor" else None
    report = prune(network(), method="filters", fraction=0.5, criterion=criterion, data=data, multiple=2).report
    assert {change.name: change.after for change in report.changes} == {
        "stem+narrow+expand": 4, "reduce": 2, "separable": 4, "shared": 2, "turned": 2}
    assert report.criterion == criterion


def test_the_scope_model_takes_where_it_matters_least() -> None:
    """Groups then lose different fractions, and none loses everything."""
    report = prune(network(), method="filters", fraction=0.5, scope="model", multiple=1).report
    fractions = {round(change.after / change.before, 2) for change in report.changes}
    assert len(fractions) > 1 and min(fractions) > 0
    total = sum(change.after for change in report.changes)
    assert abs(total - 0.5 * sum(change.before for change in report.changes)) <= 2


def test_layers_go_evenly_or_by_their_influence() -> None:
    """A Transformer block that hands on what it is given is the first to go."""
    model = randomised(zoo.build("transformer_text", vocabulary_size=20, hidden_size=16, layers=4, heads=2,
                                 max_positions=16, seed=1, labels=("no", "yes")))
    block = model.get_layer("block_1")
    for dense in (block.attention.projection, block.projection):
        dense.kernel.assign(keras.ops.zeros_like(dense.kernel))
        dense.bias.assign(keras.ops.zeros_like(dense.bias))
    tokens = np.random.RandomState(0).randint(0, 20, (32, 6)).astype("int32")

    class Texts:
        count = 32

        def batches(self, batch_size: int, **_: object) -> list[tuple[dict[str, np.ndarray], np.ndarray]]:
            ids = {"token_ids": tokens, "segment_ids": np.zeros_like(tokens), "padding_mask": np.ones_like(tokens)}
            return [(ids, np.zeros(32, "int32"))]

    data = ArrayData(Texts(), labels=("no", "yes"))  # type: ignore[arg-type]
    pruned = prune(model, method="layers", fraction=0.25, data=data)
    assert [change.name for change in pruned.report.changes] == ["block_1"]
    np.testing.assert_allclose(answers(pruned.model), answers(model), atol=1e-6)
    evenly = prune(model, method="layers", fraction=0.5)
    assert [layer.name for layer in evenly.model.layers if layer.name.startswith("block_")] == ["block_0", "block_3"]


def test_residual_blocks_can_be_left_out() -> None:
    """A sum hands on its shortcut; a block whose shortcut has a convolution of its own stays."""
    layers = keras.layers
    image = x = keras.Input((4, 4, 3), name="image")
    x = layers.Add(name="block1_add")([layers.Conv2D(4, 1, name="block1_0_conv")(x),
                                       layers.Conv2D(4, 1, name="block1_1_conv")(x)])
    for number in (2, 3):
        y = layers.Conv2D(4, 3, padding="same", activation="relu", name=f"block{number}_1_conv")(x)
        x = layers.Add(name=f"block{number}_add")([x, layers.Conv2D(4, 1, name=f"block{number}_2_conv")(y)])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = randomised(keras.Model(image, layers.Dense(3, name="predictions")(x), name="residual"))
    pruned = prune(recorded(model, "classification"), method="layers", fraction=0.9)
    (gone,) = [change.name for change in pruned.report.changes]
    assert gone == "block3"
    left = model.get_layer("block3_2_conv")
    left.kernel.assign(keras.ops.zeros_like(left.kernel))
    left.bias.assign(keras.ops.zeros_like(left.bias))
    np.testing.assert_allclose(answers(pruned.model), answers(model), atol=1e-6)
    assert not any(layer.name.startswith("block3") for layer in pruned.model.layers)


def test_what_cannot_be_done_is_said() -> None:
    """Each message names what is there, or what is expected."""
    model = network()
    for wrong, said in (({"method": "head", "fraction": 0.5}, "filters, units, heads, layers, magnitude"),
                        ({"method": "filters+layers", "fraction": 0.5}, "joined by"),
                        ({"method": "heads", "fraction": 0.5}, "it has filters and units"),
                        ({"method": "filters"}, "which part goes"),
                        ({"method": "filters", "fraction": 1.0}, r"\(0, 1\)"),
                        ({"method": "filters", "pattern": "2:4"}, "magnitude"),
                        ({"method": "filters", "fraction": 0.5, "criterion": "taylor"}, "data"),
                        ({"method": "filters", "fraction": 0.5, "criterion": "l3"}, "l1, l2"),
                        ({"method": "filters", "fraction": 0.01, "multiple": 1}, "removes nothing"),
                        ({"method": "magnitude", "pattern": "3:2"}, "N below M"),
                        ({"method": "layers", "fraction": 0.5}, "has to stay")):
        with pytest.raises(ArgumentError, match=said):
            prune(model, **wrong)  # type: ignore[arg-type]
