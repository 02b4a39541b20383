from __future__ import annotations

import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.layers.sequence_pooling import SequencePooling

X = np.array([[[1.0, -5.0], [3.0, -1.0], [100.0, 100.0]]], "float32")
MASK = np.array([[True, True, False]])


@pytest.mark.parametrize(("mode", "expected", "masked"), [
    ("avg", X.mean(axis=1), [[2.0, -3.0]]),
    ("max", X.max(axis=1), [[3.0, -1.0]]),
])
def test_masked_steps_do_not_count(mode: str, expected: object, masked: object) -> None:
    """The mean and the maximum are over the steps that the mask keeps, or over all without one."""
    layer = SequencePooling(mode)
    np.testing.assert_allclose(layer(X), expected)
    np.testing.assert_allclose(layer(X, mask=MASK), masked)
    np.testing.assert_allclose(layer(X, mask=np.zeros((1, 3), bool)), [[0.0, 0.0]])


def test_the_configuration_builds_an_equal_layer() -> None:
    """`from_config` brings back the mode; another mode is refused."""
    assert SequencePooling.from_config(SequencePooling("max", name="p").get_config()).mode == "max"
    with pytest.raises(ArgumentError, match=r"`mode` must be one of 'avg', 'max'. Received: 'sum'"):
        SequencePooling("sum")
