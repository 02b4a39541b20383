from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.zoo.symbolic import without_values
from zoo.errors import ArgumentError
from zoo.tabular.transformer import transformer

SMALL = {"d_model": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 2, "feed_forward": 32}


def torch_parameters(d: int, encoder: int, decoder: int, feed_forward: int, outputs: int) -> int:
    """Parameters of `torch.nn.Transformer(d, ..., dim_feedforward=feed_forward)` and `nn.Linear(d, outputs)`."""
    attention = 3 * (d * d + d) + (d * d + d)  # in_proj for query, key and value; out_proj
    dense = (d * feed_forward + feed_forward) + (feed_forward * d + d)
    norm = 2 * d
    encoder_layer = attention + dense + 2 * norm
    decoder_layer = 2 * attention + dense + 3 * norm
    return encoder * encoder_layer + norm + decoder * decoder_layer + norm + d * outputs + outputs


def inputs(source_steps: int, target_steps: int, width: int = 16) -> list[np.ndarray]:  # type: ignore[type-arg]
    generator = np.random.default_rng(0)
    return [generator.normal(size=(2, steps, width)).astype("float32") for steps in (source_steps, target_steps)]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return transformer(**SMALL)  # type: ignore[arg-type]


def test_parameter_count_is_that_of_torch() -> None:
    """The default has the parameters of PyTorch's transformer of the same sizes with a linear layer behind it."""
    with without_values():
        assert transformer().count_params() == torch_parameters(512, 3, 3, 2048, 1) == 22_071_809
    assert transformer(**SMALL, outputs=3).count_params() == torch_parameters(16, 1, 2, 32, 3)  # type: ignore[arg-type]


def test_lengths_are_free_and_independent(model: keras.Model) -> None:
    """Source and target may have any lengths; there is one value per target step."""
    assert model(inputs(7, 3)).shape == (2, 3, 1)
    assert model(inputs(2, 5)).shape == (2, 5, 1)
    assert [tensor.name for tensor in model.inputs] == ["source", "target"]


def test_the_decoder_does_not_look_ahead(model: keras.Model) -> None:
    """A change of a target step changes no earlier value, and does change its own."""
    source, target = inputs(4, 6)
    changed = target.copy()
    changed[:, 3] += 1.0
    before, after = model([source, target]), model([source, changed])
    np.testing.assert_allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert np.abs(before[:, 3:] - after[:, 3:]).min() > 1e-5


def test_the_decoder_sees_all_of_the_source_in_order(model: keras.Model) -> None:
    """A change of the last source step changes the first value; so does swapping two steps (positions count)."""
    source, target = inputs(5, 2)
    before = model([source, target])
    last = source.copy()
    last[:, -1] += 1.0
    assert np.abs(before - model([last, target])).min() > 1e-5
    assert np.abs(before - model([source[:, ::-1], target])).min() > 1e-5


def test_features_are_widened_and_the_last_step_alone_may_be_wanted() -> None:
    """`features` adds a projection per input; without `per_step` there is one row of values."""
    with_features = transformer(**SMALL, features=3)  # type: ignore[arg-type]
    assert with_features.count_params() == torch_parameters(16, 1, 2, 32, 1) + 2 * (3 * 16 + 16)
    assert with_features(inputs(4, 4, width=3)).shape == (2, 4, 1)
    last = transformer(**SMALL, per_step=False, outputs=2, steps=4)  # type: ignore[arg-type]
    assert last.input_shape == [(None, 4, 16), (None, 4, 16)] and last.output_shape == (None, 2)


# Keras's own variables do not know the `copy` argument of NumPy 2's `__array__` yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_it_can_be_saved_and_loaded(model: keras.Model, tmp_path: Path) -> None:
    """A .keras file brings back the same answers without custom objects being named."""
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(inputs(4, 3)), model(inputs(4, 3)), atol=1e-6)


def test_two_builds_have_the_same_names(model: keras.Model) -> None:
    """Names do not depend on what was built before."""
    again = transformer(**SMALL)  # type: ignore[arg-type]
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]


def test_wrong_arguments_are_named() -> None:
    """Widths that the heads do not divide are refused."""
    with pytest.raises(ArgumentError, match=r"multiple of `heads`. Received: d_model=10, heads=4"):
        transformer(d_model=10, heads=4)
    with pytest.raises(ArgumentError, match="`decoder_layers`"):
        transformer(decoder_layers=0)
