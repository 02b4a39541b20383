"""The validator stops at what makes further checks meaningless, and reports everything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from serving.export import export_model
from serving.export.validator import Validator
from serving.manifest import MANIFEST_FILE, read_manifest
from tests.serving.export.small_models import table_regressor


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return export_model(table_regressor(), tmp_path, validate=False).path


def checks(path: Path, target: str = "2.20") -> dict[str, list[str]]:
    """Messages by check, without the one about this process, which has keras."""
    report = Validator(path, target).run()
    found: dict[str, list[str]] = {check.name: [] for check in report.checks}
    for finding in report.findings:
        if finding.check != "process":
            found.setdefault(finding.check, []).append(finding.message)
    return found


def rewrite(path: Path) -> None:
    """Makes the manifest agree with the files, as a forger would."""
    manifest = read_manifest(path)
    (path / MANIFEST_FILE).unlink()
    (path / MANIFEST_FILE).write_text(manifest.with_files_of(path).to_json())


def test_everything_is_checked(version: Path) -> None:
    """A good version passes all checks, in their order."""
    assert list(checks(version).items()) == [(name, []) for name in (
        "files", "graph", "contract", "weights", "loading", "warm-up", "golden vectors")]


def test_this_process_would_not_do(version: Path) -> None:
    """A process that has keras says so, because its answer proves little."""
    report = Validator(version, "2.20").run()
    assert {finding.check for finding in report.findings} == {"process"}
    assert any("'keras'" in finding.message for finding in report.findings)


def test_an_additional_file_ends_the_checks(version: Path) -> None:
    """After a file that was not exported nothing is loaded."""
    (version / "assets" / "extra.txt").parent.mkdir(exist_ok=True)
    (version / "assets" / "extra.txt").write_text("x")
    assert list(checks(version)) == ["files"]


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_broken_graph_is_a_finding(version: Path, content: bytes | None) -> None:
    """An empty or unreadable saved_model.pb, or one without the tag serve, is reported and not loaded."""
    file = version / "saved_model.pb"
    if content is None:
        saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
        saved_model.meta_graphs[0].meta_info_def.tags[:] = ["train"]
        content = saved_model.SerializeToString()
    file.write_bytes(content)
    rewrite(version)
    found = checks(version)
    assert found["loading"]
    assert "golden vectors" not in found


def test_forged_weights_are_found_by_the_golden_vectors(version: Path, tmp_path: Path) -> None:
    """Other weights with a manifest that agrees with them still answer otherwise."""
    model = table_regressor()
    model.set_weights([weight * 1.5 for weight in model.get_weights()])
    other = export_model(model, tmp_path / "other", validate=False).path
    for name in ("variables.index", "variables.data-00000-of-00001"):
        (version / "variables" / name).write_bytes((other / "variables" / name).read_bytes())
    rewrite(version)
    assert any("differs by up to" in message for message in checks(version)["golden vectors"])


def test_an_unknown_target_is_a_finding(version: Path) -> None:
    """A release without an operation list cannot be checked against."""
    assert "Known releases" in checks(version, "9.9")["loading"][0]


def test_a_folder_without_a_manifest_is_a_finding(tmp_path: Path) -> None:
    """Nothing can be said about a folder that promises nothing."""
    assert "No manifest.json" in checks(tmp_path)["loading"][0]
