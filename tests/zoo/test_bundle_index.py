"""A folder with a saved model is told from others without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.bundle_index import INDEX_NAME, is_bundle, require_bundle
from zoo.errors import BundleError


def test_the_index_file_makes_a_bundle(tmp_path: Path) -> None:
    """A folder with the index is one, given as a path or as text."""
    (tmp_path / INDEX_NAME).write_text("{}")
    assert is_bundle(tmp_path)
    require_bundle(str(tmp_path))


def test_other_places_are_none(tmp_path: Path) -> None:
    """Neither an empty folder, a missing one, a file nor a folder of the index's name is one."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "odd" / INDEX_NAME).mkdir(parents=True)
    for path in (tmp_path, tmp_path / "none", tmp_path / "file", tmp_path / "odd"):
        assert not is_bundle(path)
        with pytest.raises(BundleError, match=r"bundle\.json is missing.*zoo train --output"):
            require_bundle(path)
