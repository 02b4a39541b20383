"""One way to train in a process: `python -m benchmarks.engines.training_worker ARM SUBJECT BATCH THREADS`.

Lines of JSON on both pipes: {"steps": n} answers with the milliseconds of n steps and the loss of the last, {} with
what it is about to train. All arms have the same weights, rows and optimiser (Adam). Rows stand in memory, but for the
arms "... from files", which read JPEG pictures through the data pipeline of the library at hand.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.side_by_side import end_with_parent

RATE = 1e-4
CLASSES = 8
ROWS = 4  # batches that are different
PIXELS, TOKENS = 224, 128
PICTURES = 480  # more than zoo.data keeps decoded


class Clock:
    """Answers requests in between a training's steps; whoever trains calls `step` after each."""

    def __init__(self, pipe: TextIO) -> None:
        self.pipe = pipe
        self.left = 0
        self.times: list[float] = []
        self.since = time.perf_counter()

    def step(self, loss: float) -> None:
        """Ends a step, and waits for the next request where none is left to do."""
        self.times.append(1e3 * (time.perf_counter() - self.since))
        self.left -= 1
        if self.left <= 0:
            self.answer({"milliseconds": self.times, "loss": float(loss)})
            self.wait()
        self.since = time.perf_counter()

    def answer(self, words: Mapping[str, Any]) -> None:
        """Writes a line."""
        self.pipe.write(json.dumps(words) + "\n")
        self.pipe.flush()

    def wait(self) -> None:
        """Reads how many steps are wanted next."""
        line = sys.stdin.readline()
        if not line:
            sys.exit()
        self.left, self.times = json.loads(line)["steps"], []


# === The same job for all ===


def built(subject: str) -> Any:
    """The Keras model with its record."""
    import zoo
    from zoo.spec import WordPiecePreprocessing

    if subject.startswith(("bert", "small_bert")):
        words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{index}" for index in range(30517)))
        # Dropout draws other numbers in each library; without it the losses can be compared.
        return zoo.build(subject, seed=1, num_classes=CLASSES, dropout=0.0, attention_dropout=0.0,
                         preprocessing=WordPiecePreprocessing(max_length=TOKENS, vocabulary=words))
    return zoo.build(subject, seed=1, num_classes=CLASSES)


def rows(subject: str, count: int) -> tuple[Any, np.ndarray]:
    """Inputs and class indices int32 [count]."""
    generator = np.random.default_rng(5)
    targets = generator.integers(0, CLASSES, count).astype(np.int32)
    if not subject.startswith(("bert", "small_bert")):
        return generator.normal(0, 1, (count, PIXELS, PIXELS, 3)).astype(np.float32), targets
    ids = generator.integers(5, 30000, (count, TOKENS)).astype(np.int32)
    return {"token_ids": ids, "segment_ids": np.zeros_like(ids), "padding_mask": np.ones_like(ids)}, targets


@dataclass(frozen=True)
class Endless:
    """A split without an end, in memory."""

    inputs: Any
    targets: np.ndarray
    count: int = 10**7

    def batches(self, batch_size: int, *, shuffle_seed: int | None = None, augment: Any = None,
                drop_remainder: bool = False) -> Any:
        """The rows again and again; `ROWS` batches are prepared once and kept."""
        import tensorflow as tf

        batched = tf.data.Dataset.from_tensor_slices((self.inputs, self.targets)).batch(batch_size)
        return batched.cache().repeat().prefetch(tf.data.AUTOTUNE)


@dataclass(frozen=True)
class Repeated:
    """A split of the library's own, again and again."""

    split: Any
    count: int = 10**7

    def batches(self, batch_size: int, *, shuffle_seed: int | None = None, augment: Any = None,
                drop_remainder: bool = False) -> Any:
        """The split's own batches."""
        return self.split.batches(batch_size, shuffle_seed=shuffle_seed, drop_remainder=True).repeat()


@dataclass(frozen=True)
class Data:
    """What `zoo.training.fit` takes."""

    train: Any
    labels: tuple[str, ...]
    validation: Any = None
    test: Any = None
    target_kind: str = "index"
    class_weights: Mapping[int, float] = field(default_factory=dict)
    fingerprint: str = "0" * 64


def written_pictures(folder: Path) -> None:
    """JPEG files of a photograph's size, a folder for each class."""
    from PIL import Image

    generator = np.random.default_rng(2)
    for index in range(PICTURES):
        target = folder / f"class{index % CLASSES}"
        target.mkdir(parents=True, exist_ok=True)
        spots = generator.integers(0, 255, (50, 38, 3), dtype=np.uint8)
        Image.fromarray(spots).resize((500, 375), Image.Resampling.BICUBIC).save(target / f"{index}.jpg", quality=90)


# === Arms ===


def with_zoo(clock: Clock, subject: str, batch: int, precision: str, files: bool = False) -> None:
    """`zoo.training.fit`."""
    from zoo.data import load_images
    from zoo.spec import record_of
    from zoo.training import TrainingConfig, fit

    model = built(subject)
    config = TrainingConfig(epochs=2, batch_size=batch, learning_rate=RATE, mixed_precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        if files:
            written_pictures(Path(folder) / "pictures")
            data = load_images(Path(folder) / "pictures", record_of(model).preprocessing, validation_fraction=0.0,
                               test_fraction=0.0)
            given = Data(Repeated(data.train), data.labels)
        else:
            inputs, targets = rows(subject, ROWS * batch)
            given = Data(Endless(inputs, targets), tuple(f"class{index}" for index in range(CLASSES)))
        fit(model, given, config, Path(folder) / "run", callbacks=[_callback(clock)])


def with_keras(clock: Clock, subject: str, batch: int, policy: str, jit: Any = "auto", files: bool = False) -> None:
    """Keras's own `compile` and `fit`."""
    import keras
    import tensorflow as tf

    model = built(subject)
    if policy == "grappler":
        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    elif policy != "float32":  # the policy of all layers but the last, as Keras's guide has it
        for layer in model._flatten_layers(include_self=False):
            if layer.name != "predictions":
                layer.dtype_policy = policy
    model.compile(optimizer=keras.optimizers.Adam(RATE), loss="sparse_categorical_crossentropy",
                  metrics=["accuracy"], jit_compile=jit)
    if files:
        with tempfile.TemporaryDirectory() as folder:
            written_pictures(Path(folder))
            read = keras.utils.image_dataset_from_directory(folder, batch_size=batch, image_size=(PIXELS, PIXELS),
                                                            verbose=False)
            model.fit(read.repeat().prefetch(tf.data.AUTOTUNE), steps_per_epoch=10**6, epochs=1, verbose=0,
                      callbacks=[_callback(clock)])
        return
    data = Endless(*rows(subject, ROWS * batch)).batches(batch)
    model.fit(data, steps_per_epoch=10**6, epochs=1, verbose=0, callbacks=[_callback(clock)])


def _callback(clock: Clock) -> Any:
    import keras

    class Steps(keras.callbacks.Callback):  # type: ignore[misc]
        """Ends the clock's steps."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            """Ends one."""
            clock.step(logs["loss"])

    return Steps()


def with_torch(clock: Clock, subject: str, batch: int, narrow: bool, compiled: bool) -> None:
    """A plain PyTorch loop: autocast for bfloat16, pictures with the channels last."""
    import torch

    from benchmarks.engines.torch_models import bert, network

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = built(subject)
    inputs, targets = rows(subject, ROWS * batch)
    if isinstance(inputs, dict):
        module = bert(model, dropout=0.0).model

        def answer(given: Any) -> Any:
            return module(input_ids=given[0], token_type_ids=given[1], attention_mask=given[2]).logits

        tensors = [torch.from_numpy(array.astype(np.int64)) for array in inputs.values()]
    else:
        module = network(model, logits=True).to(memory_format=torch.channels_last)

        def answer(given: Any) -> Any:
            return module(given[0])

        tensors = [torch.from_numpy(inputs.transpose(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)]
    module.train()
    optimizer = torch.optim.Adam(module.parameters(), lr=RATE)
    run = torch.compile(answer, dynamic=False) if compiled else answer
    goals = torch.from_numpy(targets.astype(np.int64))
    for start in _places(batch):
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            scores = run([tensor[start:start + batch] for tensor in tensors])
        loss = torch.nn.functional.cross_entropy(scores.float(), goals[start:start + batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        clock.step(loss.item())


def _places(batch: int) -> Iterator[int]:
    while True:
        yield from range(0, ROWS * batch, batch)


# XLA is Keras's choice on a processor; "Keras fit" alone has it as Keras does by itself.
ARMS: Mapping[str, Callable[[Clock, str, int], None]] = {
    "zoo fit": partial(with_zoo, precision="float32"),
    "zoo fit mixed_bfloat16": partial(with_zoo, precision="mixed_bfloat16"),
    "Keras fit": partial(with_keras, policy="float32"),
    "Keras fit without XLA": partial(with_keras, policy="float32", jit=False),
    "Keras fit mixed_bfloat16": partial(with_keras, policy="mixed_bfloat16", jit=False),
    "Keras fit Grappler bfloat16": partial(with_keras, policy="grappler", jit=False),
    "PyTorch eager": partial(with_torch, narrow=False, compiled=False),
    "PyTorch compiled": partial(with_torch, narrow=False, compiled=True),
    "PyTorch eager bfloat16": partial(with_torch, narrow=True, compiled=False),
    "PyTorch compiled bfloat16": partial(with_torch, narrow=True, compiled=True),
    "zoo fit from files": partial(with_zoo, precision="float32", files=True),
    "Keras fit from files": partial(with_keras, policy="float32", jit=False, files=True),
}


def main() -> None:
    end_with_parent()
    arm, subject, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    clock = Clock(pipe)
    clock.wait()
    ARMS[arm](clock, subject, batch)


if __name__ == "__main__":
    main()
