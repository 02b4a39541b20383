"""The manifest reads back what it wrote, and notices every changed file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from serving.errors import ValidationError
from serving.manifest import (
    MANIFEST_FILE,
    FileEntry,
    Manifest,
    SignatureContract,
    TensorContract,
    file_faults,
    read_manifest,
)


@pytest.fixture
def manifest() -> Manifest:
    tensor = TensorContract(dtype="float32", shape=(None, 3))
    signature = SignatureContract(method="predict", inputs={"features": tensor}, outputs={"values": tensor})
    return Manifest(
        name="m", task="regression", labels=("é", "b"), threshold=None, top_k=None,
        signatures={"serving_default": signature}, left_out={"regress": "too wide"}, batch_sizes=(1, 2),
        target_serving="2.20", tolerance={"absolute": 1e-5, "relative": 1e-3},
        golden=({"signature": "serving_default"},),
        record={"name": "m"}, versions={"tensorflow": "2.21.0"},
    )


@pytest.fixture
def folder(tmp_path: Path, manifest: Manifest) -> Path:
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables" / "variables.index").write_bytes(b"abc")
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / MANIFEST_FILE).write_text(manifest.with_files_of(tmp_path).to_json())
    return tmp_path


def test_json_round_trip(manifest: Manifest) -> None:
    """What is written is what is read, tuples and open axes included, and the text is the same every time."""
    full = dataclasses.replace(manifest, files={"a": FileEntry(size=1, sha256="0")})
    assert Manifest.from_json(full.to_json()) == full
    assert Manifest.from_json(full.to_json()).to_json() == full.to_json()
    assert "é" in full.to_json(), "readable without a decoder"


def test_files_are_listed_with_their_digests(folder: Path) -> None:
    """Every file but the manifest itself is listed, by its path with slashes."""
    files = read_manifest(folder).files
    assert sorted(files) == ["saved_model.pb", "variables/variables.index"]
    assert files["variables/variables.index"] == FileEntry(
        size=3, sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")


def test_an_untouched_folder_has_no_faults(folder: Path) -> None:
    """Nothing is reported for what was exported."""
    assert list(file_faults(folder, read_manifest(folder))) == []


@pytest.mark.parametrize(("name", "content", "words"), [
    ("saved_model.pb", b"grapf", "is not what was exported"),
    ("saved_model.pb", b"graph!", "expected 5 bytes"),
    ("saved_model.pb", None, "not in the folder"),
    ("variables/extra", b"", "not in manifest.json"),
    (".hidden", b"", "not in manifest.json"),
])
def test_every_change_is_one_line(folder: Path, name: str, content: bytes | None, words: str) -> None:
    """A changed, missing or additional file is reported by name."""
    manifest = read_manifest(folder)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    fault, = file_faults(folder, manifest)
    assert name in fault
    assert words in fault


def test_missing_manifest_says_what_was_expected(tmp_path: Path) -> None:
    """A folder without a manifest is no version of ours."""
    with pytest.raises(ValidationError, match="Expected a version folder"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "signatures": {}, "files": {}}',
                                  "\x00"])
def test_broken_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """Text that is no manifest gives one clear error and no traceback of Python's."""
    (tmp_path / MANIFEST_FILE).write_text(text)
    with pytest.raises(ValidationError, match="cannot be read"):
        read_manifest(tmp_path)


def test_newer_format_is_refused(manifest: Manifest) -> None:
    """A manifest of another format is not guessed at."""
    data = json.loads(manifest.to_json()) | {"format": 2}
    with pytest.raises(ValidationError, match="has format 2"):
        Manifest.from_json(json.dumps(data))


def test_unknown_field_is_refused(manifest: Manifest) -> None:
    """A field that this release does not know is an error, not silence."""
    data = json.loads(manifest.to_json()) | {"surprise": 1}
    with pytest.raises(ValidationError, match="surprise"):
        Manifest.from_json(json.dumps(data))
