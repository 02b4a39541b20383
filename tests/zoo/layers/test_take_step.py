from __future__ import annotations

import numpy as np

from zoo.layers.take_step import TakeStep


def test_it_takes_the_step_from_either_end() -> None:
    """Index 0 is the first step and -1 the last one; the configuration keeps it."""
    x = np.arange(24, dtype="float32").reshape(2, 3, 4)
    np.testing.assert_array_equal(TakeStep()(x), x[:, 0])
    np.testing.assert_array_equal(TakeStep(-1)(x), x[:, -1])
    assert TakeStep.from_config(TakeStep(-1).get_config()).index == -1
