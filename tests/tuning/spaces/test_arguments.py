"""Which argument a hyperparameter may set."""

from __future__ import annotations

from typing import Any

import pytest

from tuning.errors import SpaceError
from tuning.spaces.arguments import composed, target_of


@pytest.mark.parametrize(("name", "model", "target"), [
    ("l2", "mlp_binary", "build"), ("l2", "resnet50", "training"), ("dropout", "resnet50", "build"),
    ("max_length", "rnn_text", "data"), ("augmentation", "", "training"), ("weights", "resnet50", "build")])
def test_an_argument_belongs_to_one_of_three(name: str, model: str, target: str) -> None:
    """What the catalog calls tunable is the builder's; then come training and data, then all that a builder takes."""
    assert target_of(name, model) == target


@pytest.mark.parametrize(("name", "model", "message"), [
    ("seed", "mlp_binary", "`seed` is no hyperparameter; it belongs to `seed` and `executions` of the search"),
    ("epochs", "", "it belongs to `epochs` of the search"), ("test_fraction", "", "it belongs to the data"),
    ("bacht_size", "", "batch_size"),
    ("drpout", "mlp_binary", r"Neither the training nor the data nor mlp_binary takes `drpout`(?s:.*)dropout")])
def test_what_is_none_is_refused(name: str, model: str, message: str) -> None:
    """What the search decides itself, and what nothing takes, is refused by name."""
    with pytest.raises(SpaceError, match=message):
        target_of(name, model)


@pytest.mark.parametrize(("argument", "value", "passed"), [
    ("augmentation", "none", []), ("augmentation", None, []), ("augmentation", "flip", ["flip"]),
    ("augmentation", "flip+zoom:0.2", ["flip", "zoom:0.2"]), ("augmentation", ["mixup"], ["mixup"]),
    ("pooling", "none", "none"), ("units", 3, 3)])
def test_augmentations_are_taken_apart(argument: str, value: Any, passed: Any) -> None:
    """Only augmentation is more than one value under one name."""
    assert composed(argument, value) == passed
