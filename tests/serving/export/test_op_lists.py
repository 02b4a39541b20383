"""The operation lists say what each TensorFlow Serving release knows."""

from __future__ import annotations

import pytest
import tensorflow as tf

from serving.errors import ExportError
from serving.export.op_lists import known_ops, releases


def test_releases_are_in_order() -> None:
    """Three releases are known, the oldest first."""
    assert releases() == ["2.18", "2.19", "2.20"]


@pytest.mark.parametrize("release", ["2.18", "2.19", "2.20", "2.20.0"])
def test_each_list_has_core_and_text_operations(release: str) -> None:
    """Core operations with their attributes, and those of TensorFlow Text marked as such."""
    ops = known_ops(release)
    assert len(ops) > 1800
    assert {"strides", "padding", "data_format"} <= ops["Conv2D"].attributes
    assert not ops["Conv2D"].from_text
    assert ops["FastBertNormalize"].from_text
    assert "PyFunc" in ops, "registered, and refused for another reason"


def test_new_operations_are_not_in_old_releases() -> None:
    """The lists differ where the releases do."""
    assert set(known_ops("2.20")) - set(known_ops("2.18")) >= {"DecodeWebP"}


def test_the_installed_tensorflow_knows_nearly_all() -> None:
    """The names are TensorFlow's: of those without TensorFlow Text this installation offers most to Python."""
    core = {name for name, op in known_ops("2.20").items() if not op.from_text}
    here = {name for name in core if tf.raw_ops.__dict__.get(name) is not None}
    assert len(here) > 0.7 * len(core)


def test_unknown_release_names_the_known_ones() -> None:
    """A release without a list is refused with the choices."""
    with pytest.raises(ExportError, match=r"'3.0'. Known releases: 2.18, 2.19, 2.20"):
        known_ops("3.0")
