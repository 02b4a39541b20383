"""What counts as a version in the model folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.errors import RepositoryError
from serving.server.source import FolderSource


def add_version(folder: Path, *, complete: bool = True) -> Path:
    folder.mkdir(parents=True)
    (folder / "variables").mkdir()
    if complete:
        (folder / "saved_model.pb").touch()
    return folder


def test_only_complete_numbered_folders_are_versions(tmp_path: Path) -> None:
    """Staging, hidden and half-copied folders, files and other names are not seen."""
    good = add_version(tmp_path / "digits" / "12")
    add_version(tmp_path / "digits" / "13", complete=False)
    for name in (".staging-4f", "12.tmp", "v14", "-1", "1e3", "²", str(2**63)):
        add_version(tmp_path / "digits" / name)
    (tmp_path / "digits" / "15").touch()
    add_version(tmp_path / ".hidden" / "1")
    add_version(tmp_path / "notes" / "text")
    (tmp_path / "README.md").touch()
    assert FolderSource(tmp_path).scan() == {"digits": {12: good}}


def test_a_model_without_a_complete_version_is_known_but_empty(tmp_path: Path) -> None:
    """So that what was loaded of it can go."""
    add_version(tmp_path / "digits" / "1", complete=False)
    assert FolderSource(tmp_path).scan() == {"digits": {}}


def test_leading_zeros_are_the_same_number_and_the_plain_name_wins(tmp_path: Path) -> None:
    """`007` and `7` are one version."""
    add_version(tmp_path / "m" / "007")
    plain = add_version(tmp_path / "m" / "7")
    assert FolderSource(tmp_path).scan() == {"m": {7: plain}}


def test_a_models_own_folder_is_served_under_its_name(tmp_path: Path) -> None:
    """A folder with numbered children is one model, named after it or as told."""
    version = add_version(tmp_path / "digits" / "1")
    assert FolderSource(tmp_path / "digits").scan() == {"digits": {1: version}}
    assert FolderSource(tmp_path / "digits", "mnist").scan() == {"mnist": {1: version}}


def test_a_linked_version_counts(tmp_path: Path) -> None:
    """Versions are often links into a store."""
    add_version(tmp_path / "store")
    (tmp_path / "root" / "m").mkdir(parents=True)
    (tmp_path / "root" / "m" / "1").symlink_to(tmp_path / "store")
    assert list(FolderSource(tmp_path / "root").scan()["m"]) == [1]


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """The message names the folder and what it should hold."""
    with pytest.raises(RepositoryError, match=r"none does not exist.*<model>/<version>/saved_model\.pb"):
        FolderSource(tmp_path / "none")
