"""Golden answers come from the Keras model on the training path, by another way than the graph's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serving.export.answers import Answers
from serving.export.golden import decode
from serving.export.reference import golden_vectors, serialized_examples, tolerance_for
from serving.export.samples import make_samples
from serving.export.servable_module import trace_forward
from serving.export.signatures import make_signatures
from serving.protocol.generated.serving_pb2 import Example
from tests.serving.export.small_models import image_classifier, table_regressor, text_classifier
from zoo.preprocessing.transform import transform_for
from zoo.spec import record_of


def vectors(model: Any) -> tuple[list[dict[str, Any]], Any]:
    record = record_of(model)
    forward = trace_forward(model, record)
    answers, transform = Answers.of(forward, record, 3), transform_for(record.preprocessing)
    signatures, _ = make_signatures(answers, transform)
    samples = make_samples(forward, record)
    return golden_vectors(model, answers, transform, signatures, samples, tolerance_for(model)), signatures


@pytest.mark.parametrize("make", [image_classifier, text_classifier, table_regressor], ids=lambda make: make.__name__)
def test_numpy_and_the_graph_agree(make: Any) -> None:
    """For every signature the reference and the traced function give the same tensors."""
    golden, signatures = vectors(make())
    assert [vector["signature"] for vector in golden] == list(signatures)
    for vector in golden:
        inputs = [decode(data) for data in vector["inputs"].values()]
        outputs = signatures[vector["signature"]].function(*inputs)
        assert set(outputs) == set(vector["outputs"])
        for name, data in vector["outputs"].items():
            expected = decode(data)
            if expected.dtype == np.float32:
                np.testing.assert_allclose(outputs[name], expected, rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(outputs[name], expected)


def test_order_counts_where_it_is_certain() -> None:
    """Ranked answers say at which positions labels must be equal; plain ones need not."""
    golden, _ = vectors(image_classifier())
    by_name = {vector["signature"]: vector for vector in golden}
    assert by_name["serving_default"]["certain"] is None
    certain = by_name["serve_bytes"]["certain"]
    assert len(certain) == 3
    assert all(set(positions) <= {0, 1, 2} for positions in certain)
    assert any(certain)


def test_examples_hold_the_documented_features() -> None:
    """A picture stands under image/encoded, columns under their names."""
    for model, names in ((image_classifier(), {"image/encoded"}), (text_classifier(), {"text"}),
                         (table_regressor(), {"sepal length (cm)", "Farbe/é", "age"})):
        forward = trace_forward(model, record_of(model))
        for example in serialized_examples(make_samples(forward, record_of(model))):
            assert set(Example.FromString(example).features.feature) == names
