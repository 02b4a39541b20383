"""The error of each layer is measured by itself, with the kernels that are shipped."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.int8.accuracy import LayerAccuracy, signal_to_noise, some_rows, summary
from serving.export.optimize.int8.calibration import MIN_MAX, ranges
from serving.export.optimize.int8.convolutions import in_eight_bits, tensors_of
from serving.export.optimize.int8.layers import layers_of
from tests.serving.export.optimize.int8 import graphs
from tests.serving.export.optimize.int8.graphs import graph, rows


def test_a_layer_s_decibels_are_those_of_its_result() -> None:
    """For a graph of one layer they are what comparing the whole graph gives."""
    original = graph(lambda x: tf.nn.relu(graphs.conv(x, 1)))
    layers, given = layers_of(original), rows(10)
    learned = ranges(original, tensors_of(layers), [given], MIN_MAX)
    exact, rough = original.run(given)[0], in_eight_bits(original, layers, learned).run(given)[0]
    expected = 10 * np.log10(np.sum(exact.astype(np.float64)**2) / np.sum((exact - rough).astype(np.float64)**2))
    found = signal_to_noise(original, layers, learned, [rows(10)])
    assert abs(found[layers[0].end] - expected) < 0.1


def test_a_bad_range_shows_at_its_layer_alone() -> None:
    """Errors of layers before it are not counted again, in sums and depthwise convolutions neither."""
    original = graph(graphs.inverted)
    layers = layers_of(original)
    learned = ranges(original, tensors_of(layers), [rows(20)], MIN_MAX)
    before = signal_to_noise(original, layers, learned, [rows(8), rows(8, seed=1)])
    assert min(before.values()) > 25
    spoilt = layers[3].end
    low, high = learned[spoilt]
    after = signal_to_noise(original, layers, {**learned, spoilt: (low / 8, high / 8)}, [rows(8), rows(8, seed=1)])
    assert after[spoilt] < before[spoilt] - 15
    readers = {layer.end for layer in layers if spoilt in (layer.source, layer.summand)}
    assert readers
    for end in set(before) - readers - {spoilt}:
        assert abs(after[end] - before[end]) < 0.2


def test_rows_are_counted_over_sets() -> None:
    """As many as asked for, from the first sets on."""
    sets: list[dict[str, Any]] = [rows(3), rows(0), rows(4)]
    assert [len(one["x"]) for one in some_rows(sets, 5)] == [3, 2]
    assert [len(one["x"]) for one in some_rows(sets, 50)] == [3, 4]


def test_the_summary_names_the_worst_and_the_left_out() -> None:
    """The worst first; those left out with the reason and not among the others."""
    layers = [LayerAccuracy("a", 40.0), LayerAccuracy("b", 20.0), LayerAccuracy("c", 5.0, "too noisy")]
    told = summary(layers, worst=1)
    assert (told["layers"], told["in_eight_bits"], told["median_decibels"]) == (3, 2, 30.0)
    assert told["worst"] == [{"layer": "b", "decibels": 20.0}]
    assert told["left"] == [{"layer": "c", "decibels": 5.0, "reason": "too noisy"}]
