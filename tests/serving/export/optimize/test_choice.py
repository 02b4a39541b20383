"""An export with a rewritten graph answers as the model does, in every way to ask it, and says what was done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving.errors import ExportError
from serving.export import ExportResult, export_model
from serving.export.golden import decode
from serving.export.op_lists import known_ops
from serving.export.optimize.choice import optimize_forward
from serving.export.replay import LoadedVersion
from serving.manifest import Manifest, read_manifest
from tests.serving.export.optimize.networks import dense_network, residual_network, rows_for
from tests.serving.export.small_models import sequence_pair, table_regressor, text_classifier, with_record
from zoo.spec import ImagePreprocessing, TensorPreprocessing

ROOT = Path(__file__).resolve().parents[4]
LEVELS = ("safe", "bfloat16")


def graph_of(path: Path) -> Any:
    return saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], ExportResult]:
    root = tmp_path_factory.mktemp("models")
    wishes = [("none", "constants"), *((level, place) for level in LEVELS for place in ("constants", "variables"))]
    return {wish: export_model(wide_network(), root, optimize=wish[0], optimized_weights=wish[1],
                               validate=wish == ("bfloat16", "constants")) for wish in wishes}


def wide_network() -> Any:
    """The residual network with enough weights for them to count."""
    small = residual_network()
    x = keras.layers.Dense(700, activation="relu", name="wide")(small.get_layer("pool").output)
    x = keras.layers.Dense(5, activation="softmax", name="decision")(x)
    model = keras.Model(small.input, x, name="wide")
    model.set_weights([np.random.default_rng(index).uniform(0.1, 0.5, weight.shape)
                       for index, weight in enumerate(model.get_weights())])
    model.zoo_record = small.zoo_record
    return model


@pytest.mark.parametrize("place", ["constants", "variables"])
@pytest.mark.parametrize("level", LEVELS)
def test_every_way_to_ask_gives_the_model_s_answer(results: Any, level: str, place: str) -> None:
    """Keras, the loaded SavedModel and a session agree, on a batch, row by row and on no row at all."""
    model, path = wide_network(), results[level, place].path
    rows = rows_for(model, 5)["image"]
    expected = model(rows).numpy()
    allowed = (1e-5 if level == "safe" else 3e-2) * expected.max()
    loaded = tf.saved_model.load(str(path))
    eager = loaded.signatures["serving_default"]
    with LoadedVersion(path) as session:
        def asked(batch: Any) -> Any:
            return session.run("serving_default", {"image": batch})["probabilities"]

        ways = [eager(image=tf.constant(rows))["probabilities"].numpy(), asked(rows),
                np.concatenate([asked(rows[row:row + 1]) for row in range(5)])]
        assert asked(rows[:0]).shape == (0, 5)
    for answer in ways:
        assert np.abs(answer - expected).max() <= allowed
    assert eager(image=tf.constant(rows[:0]))["probabilities"].shape == (0, 5)


def test_weights_stand_once(results: Any) -> None:
    """Three signatures, one copy: in the file of variables or in one function of the graph; no more bytes."""
    before = size_of(results["none", "constants"])
    for wish, result in results.items():
        graph = graph_of(result.path)
        holders = [function.signature.name for function in graph.library.function
                   if any(node.op == "Const" and node.attr["value"].ByteSize() > 4000 for node in function.node_def)]
        assert len(result.manifest.signatures) == 3
        assert len(holders) == (1 if wish[0] != "none" and wish[1] == "constants" else 0), wish
        assert size_of(result) <= before + 4096, wish


def size_of(result: ExportResult) -> int:
    files = [result.path / "saved_model.pb", *(result.path / "variables").iterdir()]
    return sum(path.stat().st_size for path in files)


def test_only_public_operations_are_written(results: Any) -> None:
    """Nothing that a TensorFlow Serving makes for itself stands in the file."""
    known = known_ops("2.20")
    for result in results.values():
        graph = graph_of(result.path)
        functions = {function.signature.name for function in graph.library.function}
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        assert {node.op for node in nodes} - functions <= set(known)
        assert not [node.name for node in nodes if "GPU" in node.device or "localhost" in node.device]


def test_the_manifest_and_the_card_tell(results: Any) -> None:
    """Every pass stands in both with its error, or with why it was left out; nothing where nothing was asked."""
    assert results["none", "constants"].manifest.optimization == {}
    assert "rewritten" not in (results["none", "constants"].path / "MODEL_CARD.md").read_text()
    for level in LEVELS:
        result = results[level, "constants"]
        record = read_manifest(result.path).optimization
        assert (record["asked"], record["weights"], record["rows"] >= 3) == (level, "constants", True)
        assert [step["name"] for step in record["passes"]][:5] == ["simplify", "products", "fold", "sums",
                                                                           "biases"]
        card = (result.path / "MODEL_CARD.md").read_text()
        for step in record["passes"]:
            assert step["kept"] == (step["reason"] == "")
            assert f"| {step['name']} | {'yes' if step['kept'] else 'no: ' + step['reason']} |" in card


def test_the_tolerance_is_that_of_what_was_written(results: Any) -> None:
    """Golden vectors stay as strict as before for an exact rewrite, and are wider for 16 bits only."""
    tolerance = {level: results[level, "constants"].manifest.tolerance for level in ("none", *LEVELS)}
    assert tolerance["none"] == tolerance["safe"]
    rough = any(step["kept"] for step in results["bfloat16", "constants"].manifest.optimization["passes"]
                if step["name"] == "bfloat16")
    assert (tolerance["bfloat16"]["relative"] > tolerance["none"]["relative"]) is rough
    golden = [[decode(data) for vector in results[level, "constants"].manifest.golden
               for name, data in vector["outputs"].items() if data["dtype"] == "float32"] for level in ("none", "safe")]
    for first, second in zip(*golden, strict=True):
        np.testing.assert_array_equal(first, second, err_msg="the golden answers are the Keras model's")


def test_a_manifest_from_before_still_reads(results: Any) -> None:
    """A manifest without the field is one of a version that was not rewritten."""
    data = json.loads(results["safe", "constants"].manifest.to_json())
    del data["optimization"]
    assert Manifest.from_json(json.dumps(data)).optimization == {}


class Called(keras.layers.Layer):  # type: ignore[misc]
    """Computes in a function of its own."""

    def call(self, inputs: Any) -> Any:
        """Returns the double."""
        return tf.function(lambda x: 2.0 * x, autograph=False, experimental_attributes={"_noinline": True})(inputs)


def calling() -> Any:
    """A model whose graph calls a function."""
    features = keras.Input((3,), name="features")
    x = keras.layers.Dense(1, name="predictions")(Called(name="called")(features))
    return with_record(keras.Model(features, x, name="calling"), "regression", TensorPreprocessing())


def grouped() -> Any:
    """A convolution in groups, which Keras wants XLA to compile."""
    image = keras.Input((6, 6, 4), name="image")
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(8, 3, groups=2, name="grouped")(image))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return with_record(keras.Model(image, x, name="grouped"), "features", TensorPreprocessing())


@pytest.mark.parametrize(("make", "reason"), [(text_classifier, "loops"), (grouped, None), (calling, None),
                                              (sequence_pair, None),
                                              (table_regressor, None), (dense_network, None)],
                         ids=lambda value: getattr(value, "__name__", ""))
def test_other_models(make: Any, reason: str | None, tmp_path: Path) -> None:
    """Recurrent models are written as they are, with the reason; tables, attention and dense blocks are rewritten."""
    result = export_model(make(), tmp_path, optimize="safe")
    assert result.validation is not None
    assert result.validation.ok
    told = result.manifest.optimization.get("reason")
    assert (told is None) if reason is None else (reason in told)


def test_a_layer_with_a_table_is_left_alone() -> None:
    """What a table holds is no constant of the graph."""
    words = keras.Input((), dtype="string", name="words")
    model = keras.Model(words, keras.layers.StringLookup(vocabulary=["a", "b"], name="lookup")(words))
    found = optimize_forward(model, {"words": tf.TensorSpec([None], tf.string)}, "safe", "constants", [])
    assert found.rewritten is None
    assert found.record["reason"]


@pytest.mark.parametrize("level", ["none", *LEVELS])
def test_what_does_not_fit_is_told_alike(level: str, tmp_path: Path) -> None:
    """A model whose preprocessing makes something else is refused in the same words, rewritten or not."""
    first, second = keras.Input((8, 8, 3), name="first"), keras.Input((8, 8, 3), name="second")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Concatenate()([first, second]))
    model = with_record(keras.Model([first, second], keras.layers.Dense(1, name="predictions")(pooled), name="two"),
                        "regression", ImagePreprocessing(height=8, width=8, channels=3), "image")
    with pytest.raises(ExportError, match="first, second"):
        export_model(model, tmp_path, optimize=level)


@pytest.mark.parametrize("words", [{"optimize": "fast"}, {"optimize": "safe", "optimized_weights": "disk"}])
def test_unknown_words_are_refused(words: dict[str, str], tmp_path: Path) -> None:
    """The message names what there is, and nothing is left behind."""
    with pytest.raises(ExportError, match="Received"):
        export_model(residual_network(), tmp_path, **words)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """Nothing of a process, such as the seed of its hashes, is in the files."""
    program = ("import sys\nfrom serving.export import export_model\n"
               "from tests.serving.export.optimize.test_choice import wide_network\n"
               "for place in ('constants', 'variables'):\n"
               "    export_model(wide_network(), sys.argv[1], name=place, optimize='bfloat16', validate=False, "
               "optimized_weights=place)\n")
    folders = [tmp_path / seed for seed in ("1", "2")]
    running = [subprocess.Popen([sys.executable, "-c", program, str(folder)], cwd=ROOT,
                                env=os.environ | {"PYTHONHASHSEED": folder.name}, stderr=subprocess.PIPE)
               for folder in folders]
    for process in running:
        _, words = process.communicate(timeout=300)
        assert process.returncode == 0, words.decode()
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001",
                 "manifest.json"):
        for place in ("constants", "variables"):
            first, second = (folder / place / "1" / name for folder in folders)
            assert first.read_bytes() == second.read_bytes(), (place, name)
