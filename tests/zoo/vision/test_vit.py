from __future__ import annotations

import keras
import keras_hub
import pytest

from tests.zoo.symbolic import without_values
from zoo.errors import ArgumentError, MissingDependencyError
from zoo.vision import vit


@pytest.fixture(scope="module")
def model() -> keras.Model:
    with without_values():
        return vit.vit_base_patch16_224(dropout=0.1)


def test_parameters_stand_as_in_keras_hub(model: keras.Model) -> None:
    """The network has the parameters of keras-hub's backbone, in number, shape and order, and those of the head."""
    with without_values():
        theirs = keras_hub.models.ViTBackbone(image_shape=(224, 224, 3), patch_size=(16, 16), num_layers=12,
                                              num_heads=12, hidden_dim=768, mlp_dim=3072)
        assert [tuple(w.shape) for w in model.weights] == \
            [*(tuple(w.shape) for w in theirs.weights), (768, 1000), (1000,)]


def test_parameter_count_by_hand(model: keras.Model) -> None:
    """ViT-B/16: 12 blocks of 12 d^2 + 13 d, patches, class token, positions, last normalisation, head."""
    d, classes = 768, 1000
    block = 12 * d * d + 13 * d
    embedding = (16 * 16 * 3 + 1) * d + d + (14 * 14 + 1) * d
    assert model.count_params() == 12 * block + embedding + 2 * d + (d + 1) * classes


def test_all_layers_are_named(model: keras.Model) -> None:
    """Names do not depend on what was built before."""
    assert [layer.name for layer in model.layers] == \
        ["image", "backbone", "class_token", "top_dropout", "predictions"]


@pytest.mark.parametrize(("pooling", "shape"), [(None, (None, 1 + 2 * 4, 768)), ("avg", (None, 768))])
def test_features_and_sizes(pooling: str | None, shape: tuple[int | None, ...]) -> None:
    """Without a head there are all tokens or one vector; other sizes have other numbers of patches."""
    with without_values():
        features = vit.vit_base_patch16_224(include_top=False, input_shape=(32, 64, 3), pooling=pooling)
    assert features.output_shape == shape


def test_wrong_arguments_are_named() -> None:
    """The patch size must divide the picture; the message says so."""
    with pytest.raises(ArgumentError, match=r"multiples of the patch size, 16.*\(40, 32, 3\)"):
        vit.vit_base_patch16_224(input_shape=(40, 32, 3))


def test_without_keras_hub_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where keras-hub is missing, building says which extra brings it."""
    monkeypatch.setattr(vit, "keras_hub", None)
    with pytest.raises(MissingDependencyError, match=r"vit_base_patch16_224 .*pip install 'servable-zoo\[hub\]'"):
        vit.vit_base_patch16_224()
