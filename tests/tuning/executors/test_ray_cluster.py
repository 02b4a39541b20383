"""The engine `ray` before it meets a cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tuning.executors.errand_search import REPOSITORY, study_of
from tuning.errors import EngineError
from tuning.executors.ray_cluster import RayEngine
from zoo.errors import ArgumentError

_WITHOUT_RAY = """
import sys
sys.modules["ray"] = None
from pathlib import Path
from tests.tuning.executors.errand_search import study_of
from tuning.executors.ray_cluster import RayEngine
with study_of(Path(sys.argv[1]), ["train"]) as study:
    try:
        RayEngine().run(study)
    except ImportError as error:
        print(error)
"""


@pytest.mark.parametrize(("options", "words"), [
    ({"cpus_per_trial": -1}, "`cpus_per_trial` is a whole number, or a fraction of one below 1. Received: -1"),
    ({"gpus_per_trial": 1.5}, "`gpus_per_trial` is a whole number, or a fraction of one below 1. Received: 1.5"),
    ({"cpus_per_trial": True}, "Received: True"),
    ({"cpus_per_trial": 0}, "A trial needs a part of a machine"),
    ({"address": "ray://head:10001"}, "begin it with `ray job submit`. Received: 'ray://head:10001'"),
    ({"max_concurrent": 0}, "`max_concurrent` is how many trials run at once, a whole number above 0. Received: 0"),
])
def test_numbers_are_checked_at_once(options: dict[str, Any], words: str) -> None:
    """A share that no machine could give is refused before anything is begun."""
    with pytest.raises(ArgumentError) as raised:
        RayEngine(**options)
    assert words in str(raised.value)


def test_fractions_of_cards_are_taken() -> None:
    """Half a card per trial is a fair wish, with a CPU or without."""
    assert RayEngine(gpus_per_trial=0.5).gpus_per_trial == 0.5
    assert RayEngine(cpus_per_trial=0, gpus_per_trial=0.25).cpus_per_trial == 0


def test_without_ray_the_extra_is_named(tmp_path: Path) -> None:
    """Where Ray is not installed, the engine says which extra installs it."""
    ended = subprocess.run([sys.executable, "-c", _WITHOUT_RAY, str(tmp_path / "search")], cwd=REPOSITORY,
                           capture_output=True, text=True, timeout=60)
    assert "needs the package 'ray', which is not installed" in ended.stdout, ended.stderr
    assert "servable-zoo[ray]" in ended.stdout


def test_an_address_where_nothing_answers_is_named(tmp_path: Path) -> None:
    """A cluster that cannot be reached is an error with its address, and the search is not harmed."""
    code = ("import sys; from pathlib import Path\n"
            "from tests.tuning.executors.errand_search import study_of\n"
            "from tuning.executors.ray_cluster import RayEngine\n"
            "with study_of(Path(sys.argv[1]), ['train']) as study:\n"
            "    try: RayEngine('nowhere:here').run(study)\n"
            "    except Exception as error: print(type(error).__name__, error, len(study.trials))\n")
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "search")], cwd=REPOSITORY, capture_output=True,
                           text=True, timeout=60)
    assert ended.stdout.startswith(f"{EngineError.__name__} No Ray cluster answers at nowhere:here: "), ended.stderr
    assert ended.stdout.strip().endswith(" 0")
    with study_of(tmp_path / "search", ["train"]) as study:
        assert not study.done
