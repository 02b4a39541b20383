"""Errors say what is wrong and what to do."""

from __future__ import annotations

from zoo.errors import MissingDependencyError, UnknownNameError


def test_an_unknown_name_suggests_near_ones() -> None:
    """The message reads as a sentence, not as KeyError's repr, and names the nearest names."""
    error = UnknownNameError("model", "resnet5", ["resnet50", "vgg16"], "`zoo list` shows all names.")
    assert str(error) == "Unknown model 'resnet5'. Did you mean 'resnet50'? `zoo list` shows all names."
    assert isinstance(error, KeyError)


def test_an_unknown_name_without_neighbours_suggests_none() -> None:
    """Far names are not offered."""
    assert UnknownNameError("model", "qqqq", ["resnet50"]).suggestions == ()


def test_a_missing_dependency_names_the_pip_line() -> None:
    """The user can copy the command from the message."""
    error = MissingDependencyError("keras_hub", "hub", "The model vit_base_patch16_224")
    assert "pip install 'servable-zoo[hub]'" in str(error)
    assert isinstance(error, ImportError)
