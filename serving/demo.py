"""The demo: scikit-learn's handwritten digits as a user's own pictures, from PNG files to answers over gRPC and REST.

Every step calls what the command of the same name calls, and prints that command.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from serving.client import PredictClient
from serving.errors import ServerUnavailableError, ServingError
from serving.export.export import ExportResult, export_model
from zoo.bundle import load
from zoo.errors import ArgumentError
from zoo.evaluation import EvaluationReport
from zoo.runs import DataSource, evaluate_run, open_data, train
from zoo.spec import record_of
from zoo.training import EpochEnded, ProgressEvent, TrainingConfig

MODEL = "mnist_cnn"
SERVED_NAME = "digits"
EXPECTED_ACCURACY = 0.97
ASKED_PICTURES = 5
# Small turns and sizes, as hands vary; a mirror image would be another digit.
AUGMENTATION = ("rotate:8", "zoom:0.08")
DEFAULT_EPOCHS = 40
LEARNING_RATE = 0.003
SEED = 1
_MARGIN_PIXELS = 1
_MARKER = ".zoo-demo"
_START_SECONDS = 120.0
_STOP_SECONDS = 60.0

Tell = Callable[[str], Any]


class DemoError(ServingError):
    """The demo did not end as it should."""

    exit_code = 1


@dataclass(frozen=True)
class _Folders:
    """Where the demo puts things."""

    top: Path

    @property
    def pictures(self) -> Path:
        return self.top / "pictures"

    @property
    def run(self) -> Path:
        return self.top / "run"

    @property
    def models(self) -> Path:
        return self.top / "models"


def run_demo(output: Path, *, epochs: int | None = None, tell: Tell | None = None) -> dict[str, Any]:
    """Goes the whole way, from pictures in class folders to answered requests.

    Args:
        output: Folder for everything that is made; an earlier demo in it is removed.
        epochs: Passes over the training pictures; None takes the demo's own.
        tell: Called with lines for people; None for silence.

    Returns:
        The figures: accuracy with its interval, answers over both ways, seconds of each step.

    Raises:
        ArgumentError: The folder holds something else than an earlier demo.
        DemoError: The accuracy is too low, or the answers over gRPC and REST differ.
    """
    say = tell or (lambda _: None)
    folders = _Folders(output)
    seconds: dict[str, float] = {}
    _clear(output)
    with _timed("pictures", seconds):
        count = write_pictures(folders.pictures)
    say(f"1. {count} handwritten digits as PNG files in {folders.pictures}/0 ... 9")
    with _timed("train", seconds):
        _train(folders, epochs or DEFAULT_EPOCHS, say)
    say(f"\n3. $ zoo evaluate {folders.run}")
    with _timed("evaluate", seconds):
        report = evaluate_run(folders.run)
    say(f"   {report.summary}\n   report with pictures: {folders.run / 'report' / 'report.md'}")
    say(f"\n4. $ zoo export {folders.run} --root {folders.models} --name {SERVED_NAME}")
    with _timed("export and validate", seconds):
        exported = export_model(load(folders.run), folders.models, name=SERVED_NAME, version=1)
    _tell_export(exported, say)
    say(f"\n5. $ zoo serve {folders.models}")
    held_out = _held_out(folders)
    with _timed("serve and predict", seconds), _server(folders.models) as ports:
        say(f"   gRPC on 127.0.0.1:{ports['grpc']}, REST on 127.0.0.1:{ports['rest']}")
        answers = _ask(held_out, ports, say)
    say("   server stopped")
    accuracy = report.metrics["accuracy"]
    say(f"\nHeld-out accuracy {accuracy.value:.4f} on {report.examples} pictures. "
        f"{', '.join(f'{name} {value:.1f} s' for name, value in seconds.items())}.")
    _judge(report, answers)
    return {"accuracy": accuracy.value, "interval": [accuracy.low, accuracy.high], "examples": report.examples,
            "answers": answers, "seconds": {name: round(value, 2) for name, value in seconds.items()},
            "folder": str(output)}


def write_pictures(folder: Path) -> int:
    """Writes scikit-learn's 1,797 digits of 8 x 8 pixels as `<folder>/<digit>/<number>.png`, 10 x 10 with a margin.

    The margin is MNIST's: there, too, the digits stand in the middle of a larger black field, so that a turned digit
    does not leave the picture.

    Args:
        folder: The new folder.

    Returns:
        Number of pictures.
    """
    digits = load_digits()
    # Levels 0 to 16 become 0 to 255: light ink on a dark ground.
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    pixels = np.pad(pixels, ((0, 0), (_MARGIN_PIXELS, _MARGIN_PIXELS), (_MARGIN_PIXELS, _MARGIN_PIXELS)))
    for number, (picture, digit) in enumerate(zip(pixels, digits.target, strict=True)):
        path = folder / str(digit) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return len(pixels)


def _clear(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise ArgumentError(f"{output} is a file. Name a folder for the demo: --output FOLDER.")
    if output.is_dir() and any(output.iterdir()):
        if not (output / _MARKER).is_file():
            raise ArgumentError(f"{output} holds other files than an earlier demo's. Name a new folder: "
                                "--output FOLDER.")
        shutil.rmtree(output)
    output.mkdir(parents=True, exist_ok=True)
    (output / _MARKER).touch()


def _train(folders: _Folders, epochs: int, say: Tell) -> None:
    config = TrainingConfig(epochs=epochs, batch_size=32, learning_rate=LEARNING_RATE, schedule="cosine",
                            augmentation=AUGMENTATION, restore_best=False, seed=SEED)  # type: ignore[arg-type]
    flags = " ".join(f"--augment {name}" for name in AUGMENTATION)
    say(f"\n2. $ zoo train {MODEL} {folders.pictures} --output {folders.run} --epochs {epochs} --batch-size 32 "
        f"--learning-rate {LEARNING_RATE} --schedule cosine {flags} --no-restore-best --seed {SEED}")

    def show(event: ProgressEvent) -> None:
        if isinstance(event, EpochEnded) and (event.epoch % 10 == 0 or event.epoch == event.epochs):
            say(f"   epoch {event.epoch}/{event.epochs}: training accuracy {event.logs['accuracy']:.4f}, "
                f"validation accuracy {event.logs['val_accuracy']:.4f}")

    train(MODEL, _source(folders), folders.run, config, progress=show)


def _source(folders: _Folders) -> DataSource:
    return DataSource(path=str(folders.pictures), seed=SEED)


def _tell_export(exported: ExportResult, say: Tell) -> None:
    for name, contract in exported.manifest.signatures.items():
        say(f"   {name}: {', '.join(contract.inputs)} -> {', '.join(contract.outputs)}")
    if exported.validation is not None:
        say(f"   validated in a clean process: {len(exported.validation.checks)} checks, "
            f"{len(exported.validation.findings)} findings")


def _held_out(folders: _Folders) -> list[Path]:
    """Returns pictures that were neither trained on nor chosen by: one of each of the first classes."""
    record = record_of(load(folders.run))
    split = open_data(_source(folders), record, record.preprocessing).test
    names = [Path(name) for name in split.examples()] if split is not None else []
    first_of_class = {path.parent.name: path for path in reversed(names)}
    return [first_of_class[label] for label in sorted(first_of_class)][:ASKED_PICTURES]


@contextlib.contextmanager
def _server(root: Path) -> Iterator[dict[str, int]]:
    command = [sys.executable, "-m", "serving.server", str(root), "--grpc-port", "0", "--rest-port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield _ports(process)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _ports(process: subprocess.Popen[str]) -> dict[str, int]:
    for line in process.stdout or ():
        event = json.loads(line)
        if event["event"] == "listening":
            return {"grpc": event["grpc_port"], "rest": event["rest_port"]}
    raise ServerUnavailableError("The server ended before it listened.")


def _ask(pictures: list[Path], ports: dict[str, int], say: Tell) -> list[dict[str, Any]]:
    content = [path.read_bytes() for path in pictures]
    answers: dict[str, Any] = {}
    ways = {"grpc": f"grpc://127.0.0.1:{ports['grpc']}", "rest": f"http://127.0.0.1:{ports['rest']}"}
    for step, (way, address) in enumerate(ways.items(), start=6):
        say(f"\n{step}. $ zoo predict {SERVED_NAME} {pictures[0]} ... --server {address}")
        with PredictClient(address) as client:
            client.wait_until_available(SERVED_NAME, timeout_seconds=_START_SECONDS)
            answers[way] = client.predict(SERVED_NAME, {"image_bytes": content}, signature_name="serve_bytes")
        for index, path in enumerate(pictures):
            ranked = zip(answers[way]["labels"][index], answers[way]["scores"][index], strict=True)
            best = ", ".join(f"{label.decode()} {score:.4f}" for label, score in list(ranked)[:3])
            say(f"   a picture of {path.parent.name}: {best}")
    return [{"picture": str(path), "truth": path.parent.name,
             **{way: {"label": answer["labels"][index][0].decode(), "score": float(answer["scores"][index][0])}
                for way, answer in answers.items()}} for index, path in enumerate(pictures)]


def _judge(report: EvaluationReport, answers: list[dict[str, Any]]) -> None:
    accuracy = report.metrics["accuracy"].value
    if accuracy is None or accuracy < EXPECTED_ACCURACY:
        raise DemoError(f"The held-out accuracy is {accuracy}, expected at least {EXPECTED_ACCURACY}.")
    for answer in answers:
        if answer["grpc"] != answer["rest"]:
            raise DemoError(f"gRPC and REST differ on {answer['picture']}: {answer['grpc']} and {answer['rest']}.")


@contextlib.contextmanager
def _timed(name: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
