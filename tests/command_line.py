"""The `zoo` command inside a test, and small data to give it."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import random
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from zoo import console
from zoo.building import HeadReinitializedWarning
from zoo.cli import application
from zoo.runs import TrainingDataWarning

PICTURES_PER_CLASS = 16
POSITIVE, NEGATIVE = ("good", "lovely", "superb"), ("bad", "awful", "dull")
FILLERS = ("the", "film", "was", "very", "long")


@dataclass(frozen=True)
class Answer:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    def ok(self) -> Answer:
        assert self.code == 0, self.err
        return self

    def json(self) -> Any:
        """The one JSON document on standard output; anything else there fails."""
        return json.loads(self.ok().out, parse_constant=lambda word: self._no_json(word))

    def error(self) -> str:
        """The one error line of a command that was given bad input."""
        lines = [line for line in self.err.splitlines() if line.startswith("error:")]
        assert self.code == 2, (self.code, self.err)
        assert len(lines) == 1, self.err
        assert self.err.splitlines()[-1] == lines[0], self.err
        assert "Traceback" not in self.err
        return lines[0]

    @staticmethod
    def _no_json(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def zoo(*words: object, terminal: bool = False) -> Answer:
    """Runs `zoo <words>` in this process, as the entry point does."""
    out, err = Terminal() if terminal else io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        for category in (HeadReinitializedWarning, TrainingDataWarning):
            warnings.simplefilter("always", category)  # shown, as in a process of its own
        code = console.run(application, [str(word) for word in words])
    return Answer(code, out.getvalue(), err.getvalue())


def snapshot(folder: Path) -> dict[str, str]:
    """Every path below a folder with the hash of its content."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            for path in sorted(folder.rglob("*"))}


def write_digits(folder: Path, classes: int = 3) -> Path:
    """Writes handwritten digits of 8 x 8 pixels as class folders."""
    digits = load_digits()
    for digit in range(classes):
        (folder / str(digit)).mkdir(parents=True)
        for index in np.flatnonzero(digits.target == digit)[:PICTURES_PER_CLASS]:
            pixels = np.round(digits.images[index] * 255 / 16).astype(np.uint8)
            Image.fromarray(pixels).save(folder / str(digit) / f"{index:04d}.png")
    return folder


def write_rows(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]], delimiter: str = ",") -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_line(path: Path) -> Path:
    """y = 2 a - b + 1."""
    points = np.random.default_rng(0).normal(size=(60, 2)).round(4)
    return write_rows(path, ("a", "b", "y"), ((a, b, 2 * a - b + 1) for a, b in points.tolist()))


def write_points(path: Path) -> Path:
    """Two classes on the two sides of a line, noise at the border."""
    generator = np.random.default_rng(1)
    points = generator.normal(size=(120, 2)).round(4)
    noise = generator.normal(scale=0.3, size=120)
    return write_rows(path, ("a", "b", "label"), ((a, b, "yes" if a + b + n > 0 else "no")
                                                  for (a, b), n in zip(points.tolist(), noise, strict=True)))


def write_reviews(path: Path) -> Path:
    """Texts with friendly and unfriendly words."""
    chooser = random.Random(0)
    rows = []
    for number in range(60):
        words = [*chooser.sample(FILLERS, 3), chooser.choice(POSITIVE if number % 2 else NEGATIVE), f"w{number}"]
        rows.append((" ".join(words), "pos" if number % 2 else "neg"))
    return write_rows(path, ("text", "label"), rows, "\t")


def write_series(path: Path) -> Path:
    """Six steps that rise or fall."""
    generator = np.random.default_rng(2)
    rows = [(*np.cumsum(generator.normal(0.5 if number % 2 else -0.5, 0.2, 6)).round(4).tolist(),
             "up" if number % 2 else "down") for number in range(60)]
    return write_rows(path, ("t1", "t2", "t3", "t4", "t5", "t6", "label"), rows)
