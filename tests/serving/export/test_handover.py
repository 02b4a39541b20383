"""The exporter that a search hands its winner to."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

import zoo
from serving.export.handover import export_run
from serving.manifest import read_manifest
from zoo.errors import BundleError


def test_a_saved_run_becomes_a_validated_version(tmp_path: Path) -> None:
    """The entry point "zoo.exporters" takes a folder and gives the folder of the published version."""
    entry, = (one for one in importlib.metadata.entry_points(group="zoo.exporters") if one.name == "serving")
    assert entry.load() is export_run
    model = zoo.build("linear_regression", features=3, seed=0)
    zoo.save(model, tmp_path / "run")
    path = export_run(tmp_path / "run", tmp_path / "models", name="line")
    assert path == tmp_path / "models" / "line" / "1"
    assert read_manifest(path).name == "line"
    assert export_run(tmp_path / "run", tmp_path / "models", name="line").name == "2"


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """The words are those of opening it."""
    with pytest.raises(BundleError):
        export_run(tmp_path, tmp_path / "models")
    assert not (tmp_path / "models").exists()
