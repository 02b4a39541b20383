"""`zoo export --optimize auto`: what it prints and leaves, and bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from serving.export import thread_tuning
from serving.export.candidates import plan
from tests.command_line import zoo
from tests.conftest import Workplace


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two candidates and turns of no length: what is shown does not depend on how long it was measured."""
    monkeypatch.setattr(plan, "_AUTO_LEVELS", ("none", "safe"))
    monkeypatch.setitem(plan.Selection.__init__.__kwdefaults__, "seconds", 0.0)
    monkeypatch.setattr(thread_tuning, "_ROUNDS", 1)
    monkeypatch.setattr(thread_tuning, "_SECONDS", 0.0)


@pytest.mark.usefixtures("quick")
def test_candidates_are_compared_and_told(workplace: Workplace, tmp_path: Path) -> None:
    """The run's own data serve; there are the table, a reason for each that is not the one, report and version."""
    answer = zoo("export", workplace.run("points"), "--root", tmp_path / "models", "--optimize", "auto", "--batch", 1,
                 "--no-validate", "--report", tmp_path / "report").ok()
    lines = [line.strip() for line in answer.out.splitlines()]
    assert f"mlp_binary version 1 in {tmp_path}/models/mlp_binary/1" in lines
    manifest = json.loads((tmp_path / "models" / "mlp_binary" / "1" / "manifest.json").read_text())
    told = manifest["optimization"]
    for candidate in told["selection"]["candidates"]:
        assert f"{candidate['name']}: {'chosen' if candidate['chosen'] else candidate['reason']}" in lines
    assert told["selection"]["metric"] == "accuracy"
    assert told["selection"]["batches"] == [1]
    assert any(line.startswith("none ") and "1.00x" in line for line in lines)
    assert json.loads((tmp_path / "report" / "candidates.json").read_text())["asked"] == "auto"
    assert f"Report: {tmp_path}/report" in lines
    assert "exporting safe" in answer.err


@pytest.mark.usefixtures("quick")
def test_threads_are_measured_and_told(workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the files say is what is printed, also of a plain export."""
    monkeypatch.setattr(thread_tuning, "usable_cores", lambda _: 2)
    monkeypatch.setattr(thread_tuning, "_WORTH_WRITING", 0.0)
    answer = zoo("export", workplace.run("points"), "--root", tmp_path, "--cores", 2, "--tune-threads",
                 "--batch-size", 1, "--no-validate").ok()
    assert "times as fast as all: written into server.flags" in answer.out
    flags = (tmp_path / "mlp_binary" / "1" / "server.flags").read_text().splitlines()
    assert {"--tensorflow_intra_op_parallelism=1", "--tensorflow_inter_op_parallelism=2"} <= set(flags)


@pytest.mark.usefixtures("quick")
def test_as_json(workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One document with the selection in it, and no word of the progress anywhere."""
    monkeypatch.setattr(plan, "_AUTO_LEVELS", ("none",))
    answer = zoo("export", workplace.run("line"), "--root", tmp_path, "--optimize", "auto", "--objective", "size",
                 "--no-validate", "--json")
    assert answer.err == ""
    assert answer.json()["optimization"]["selection"]["objective"] == "size"


@pytest.mark.parametrize(("words", "told"), [
    (("--report", "x"), "`--report` is for comparing exports: --optimize auto or max"),
    (("--candidate", "{run}"), "`--candidate` is for comparing"),
    (("--optimize", "auto", "--tolerance", "2"), "`--tolerance`"),
    (("--optimize", "auto", "--objective", "beauty"), "`--objective` is one of latency, throughput, size"),
    (("--optimize", "auto", "--candidate", "nowhere"), "nowhere"),
    (("--optimize", "auto", "--validation", "nowhere.csv"), "nowhere.csv"),
    (("--optimize", "auto", "--metric", "beauty"), "`--metric`"),
    (("--optimize", "fast"), "auto, max"),
    (("--tune-threads", "--cores", "64"), "without `--tune-threads`"),
])
def test_bad_input(words: tuple[str, ...], told: str, workplace: Workplace, tmp_path: Path,
                   monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the option, and nothing is left behind."""
    monkeypatch.setattr(plan, "_AUTO_LEVELS", ("none", "safe"))
    run = workplace.run("points")
    line = zoo("export", run, "--root", tmp_path / "models", *(word.format(run=run) for word in words)).error()
    assert told in line
    assert not (tmp_path / "models").exists()


def test_a_model_without_its_data_needs_examples(workplace: Workplace, tmp_path: Path) -> None:
    """A bundle that no run wrote has nothing to be judged by; the message names the option."""
    shutil.copytree(workplace.run("points"), tmp_path / "bundle")
    (tmp_path / "bundle" / "run.json").unlink()
    line = zoo("export", tmp_path / "bundle", "--root", tmp_path / "models", "--optimize", "max").error()
    assert "Give `--validation`" in line
