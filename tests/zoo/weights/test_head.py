from __future__ import annotations

from tests.zoo.weights.small_models import picture_model
from zoo.weights.head import head_layer, head_rule


def test_the_head_is_the_layer_with_the_class_parameters() -> None:
    """It is "predictions", or what stands before it where "predictions" is only an activation."""
    assert head_layer(picture_model()).name == "predictions"
    assert head_layer(picture_model(pointwise=True)).name == "logits"
    assert head_layer(picture_model(top=False)) is None


def test_the_rule_follows_from_the_model() -> None:
    """A model with a head may differ there only; one without may end before its file."""
    assert len(head_rule(picture_model()).head_ids) == 2
    assert not head_rule(picture_model()).headless
    assert head_rule(picture_model(top=False)).headless
