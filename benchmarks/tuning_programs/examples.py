"""The examples of the benchmark's programs as arrays, made once by benchmarks/tuning.py and read by every trial."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

FOLDER = Path(tempfile.gettempdir()) / "zoo_tuning_benchmark"
WORDS, LENGTH = 5000, 32


def load(task: str) -> dict[str, np.ndarray]:
    """The arrays x_train, y_train, x_validation, y_validation, x_test and y_test of a task."""
    with np.load(FOLDER / f"{task}.npz") as arrays:
        return dict(arrays)


def fitted(task: str) -> dict[str, object]:
    """What `model.fit` takes, of what a search may see."""
    arrays = load(task)
    return {"x": arrays["x_train"], "y": arrays["y_train"],
            "validation_data": (arrays["x_validation"], arrays["y_validation"])}


def make_digits() -> None:
    """scikit-learn's 1,797 digits: 60% to train, 20% to choose by, 20% that the search never sees."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    _save("digits", (digits.images[..., None] / 16.0).astype(np.float32), digits.target.astype(np.int32), 1078, 359)


def make_sst2(folder: Path, rows: int = 4000) -> None:
    """SST-2: a part of the training sentences to train and to choose by; the dev set is what the search never sees."""
    train, dev = (_sentences(folder / name) for name in ("train.tsv", "dev.tsv"))
    chosen = np.random.default_rng(0).permutation(len(train))[:rows + 1000]
    train = [train[i] for i in chosen]
    counts = Counter(word for words, _ in train[:rows] for word in words)
    ids = {word: i for i, (word, _) in enumerate(counts.most_common(WORDS - 2), start=2)}
    both = train + dev
    x = np.zeros((len(both), LENGTH), np.int32)
    for row, (words, _) in enumerate(both):
        found = [ids.get(word, 1) for word in words[:LENGTH]]
        x[row, :len(found)] = found
    y = np.array([label for _, label in both], np.int32)
    FOLDER.mkdir(exist_ok=True)
    np.savez(FOLDER / "sst2.npz", x_train=x[:rows], y_train=y[:rows], x_validation=x[rows:len(train)],
             y_validation=y[rows:len(train)], x_test=x[len(train):], y_test=y[len(train):])


def _sentences(path: Path) -> list[tuple[list[str], int]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.rsplit("\t", 1) for line in lines if "\t" in line]
    return [(re.findall(r"[a-z0-9']+", text.lower()), int(label)) for text, label in pairs if label in ("0", "1")]


def _save(task: str, x: np.ndarray, y: np.ndarray, train: int, validation: int) -> None:
    order = np.random.default_rng(0).permutation(len(x))
    parts = np.split(order, [train, train + validation])
    FOLDER.mkdir(exist_ok=True)
    np.savez(FOLDER / f"{task}.npz", **{f"{name}_{part}": values[rows] for name, values in (("x", x), ("y", y))
                                        for part, rows in zip(("train", "validation", "test"), parts, strict=True)})
