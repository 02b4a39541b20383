"""With how many threads a version is served is chosen by measuring, and written where the server reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serving.errors import ExportError
from serving.export import export_model, thread_tuning
from serving.export.candidates.race import Timing
from serving.export.row_parts import usable_cores
from serving.export.server_files import server_threads
from serving.export.thread_tuning import require_processors, tuned_threads
from serving.manifest import file_faults, read_manifest
from serving.server.flag_table import ALL_FLAGS
from serving.server.flags import parse_flags
from tests.serving.export.small_models import tensor_classifier

ONE, ALL = "one thread per operation", "all threads per operation"


def chosen(patch: pytest.MonkeyPatch, one: tuple[float, float], both: tuple[float, float]) -> dict[str, Any]:
    """What is chosen where calls of one example and of four take so many milliseconds."""
    def timing(values: tuple[float, float]) -> Timing:
        return Timing({1: [values[0]], 4: [values[1]]}, {1: [values[0]], 4: [values[1]]}, 0.0)

    patch.setattr(thread_tuning, "usable_cores", lambda _: 2)
    patch.setattr(thread_tuning, "race", lambda *_, **__: {ONE: timing(one), ALL: timing(both)})
    return tuned_threads(Path("unread"), 2, (1, 2, 4))


def test_both_sizes_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """The geometric mean of how many times as fast one thread is, for the smallest call and the largest."""
    found = chosen(monkeypatch, (4.0, 20.0), (2.0, 80.0))
    assert found["threads"] == {"intra_op": 1, "inter_op": 2}
    assert found["ratio"] == pytest.approx(2**0.5, rel=0.01)
    assert found["milliseconds"] == {ONE: {"1": 4.0, "4": 20.0}, ALL: {"1": 2.0, "4": 80.0}}


@pytest.mark.parametrize("both", [(2.04, 4.08), (1.0, 4.0)])
def test_nothing_is_written_where_one_thread_is_no_faster(monkeypatch: pytest.MonkeyPatch,
                                                          both: tuple[float, float]) -> None:
    """Two percent may be chance."""
    assert chosen(monkeypatch, (2.0, 4.0), both)["threads"] == {}


def test_one_processor_leaves_nothing_to_choose() -> None:
    """And nothing is read or started for it."""
    assert tuned_threads(Path("unread"), 1, (1,)) == {}


def test_processors_that_are_not_here_cannot_be_timed() -> None:
    """The refusal says what to do."""
    with pytest.raises(ExportError, match=r"machine like the server, or without `tune_threads`"):
        require_processors(usable_cores(None) + 1)


def test_threads_need_requests_to_time(tmp_path: Path) -> None:
    """Without warm-up requests there is nothing to call the version with."""
    with pytest.raises(ExportError, match="`warmup` is False"):
        export_model(tensor_classifier(), tmp_path, warmup=False, tune_threads=True)


def test_an_export_with_the_threads_that_were_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways run in clean processes; the files, the manifest and the card say the same."""
    monkeypatch.setattr(thread_tuning, "_ROUNDS", 1)
    monkeypatch.setattr(thread_tuning, "_SECONDS", 0.05)
    monkeypatch.setattr(thread_tuning, "_WORTH_WRITING", 0.0)
    monkeypatch.setattr(thread_tuning, "usable_cores", lambda _: 2)
    folder = export_model(tensor_classifier(), tmp_path, cores=2, tune_threads=True, batch_sizes=(1, 2),
                          validate=False).path
    tuned = read_manifest(folder).optimization["serving_threads"]
    assert tuned["threads"] == server_threads(folder) == {"intra_op": 1, "inter_op": 2}
    assert all(value > 0 for sizes in tuned["milliseconds"].values() for value in sizes.values())
    flags = parse_flags((folder / "server.flags").read_text().split(), ALL_FLAGS)
    assert (flags.int("tensorflow_intra_op_parallelism"), flags.int("tensorflow_inter_op_parallelism")) == (1, 2)
    assert "the threads are in `server.flags`" in (folder / "MODEL_CARD.md").read_text()
    assert not list(file_faults(folder, read_manifest(folder)))
