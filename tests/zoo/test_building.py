"""What `zoo.build` adds to a builder: names, seed, dtype, head, labels, preprocessing, record."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from zoo.building import HeadReinitializedWarning, fresh_names, preprocessing_of
from zoo.spec import (
    Column,
    ImagePreprocessing,
    Preprocessing,
    TabularPreprocessing,
    TensorPreprocessing,
    TextPreprocessing,
)
from zoo.weights.safetensors_file import save_safetensors


def names(model: keras.Model) -> list[str]:
    return [*(layer.name for layer in model.layers), *(variable.path for variable in model.variables)]


def values(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in model.weights]


def same(first: keras.Model, second: keras.Model) -> bool:
    pairs = zip(values(first), values(second), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


# === Names ===


@pytest.mark.parametrize(("name", "options"), [
    ("xception", {"input_shape": (71, 71, 3)}),  # Keras numbers its shortcut layers automatically
    ("mobilenet_v3_small", {"input_shape": (32, 32, 3)}),
    ("rnn", {}),
])
def test_names_are_the_same_in_every_build(name: str, options: dict[str, object]) -> None:
    """Whatever the process made before, layers and variables have the same names."""
    first = names(zoo.build(name, **options))  # type: ignore[arg-type]
    keras.layers.Conv2D(1, 1)
    keras.layers.Add()
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert names(zoo.build(name, **options)) == first  # type: ignore[arg-type]


def test_the_user_s_own_numbering_goes_on() -> None:
    """A build neither restarts nor advances the numbers of layers that the user makes."""
    def number() -> int:
        return int(keras.layers.Dense(1).name.removeprefix("dense").lstrip("_") or 0)

    before = number()
    zoo.build("mlp_binary")
    assert number() == before + 1
    with pytest.raises(ZeroDivisionError), fresh_names():
        assert number() == 0
        raise ZeroDivisionError
    assert number() == before + 2


# === Seed ===


def test_a_seed_decides_the_parameters() -> None:
    """Equal seeds give equal parameters, others other ones; without a seed two builds differ."""
    assert same(zoo.build("mnist_cnn", seed=3), zoo.build("mnist_cnn", seed=3))
    assert not same(zoo.build("mnist_cnn", seed=3), zoo.build("mnist_cnn", seed=4))
    assert not same(zoo.build("mnist_cnn"), zoo.build("mnist_cnn"))


def test_a_seed_leaves_the_caller_s_generators_alone() -> None:
    """Python's and numpy's random numbers go on as if nothing had been built."""
    random.seed(1)
    np.random.seed(1)
    expected = (random.Random(1).random(), np.random.RandomState(1).random())
    zoo.build("mnist_cnn", seed=3)
    assert (random.random(), np.random.random()) == expected
    random.seed(1)
    with pytest.raises(zoo.ArgumentError):
        zoo.build("mnist_cnn", seed=3, input_shape=(1, 1, 1))
    assert random.random() == expected[0]


@pytest.mark.parametrize("seed", [-1, 1.5, True, "7"])
def test_a_seed_is_a_whole_number(seed: object) -> None:
    """Anything else would not repeat, or not be what was meant."""
    with pytest.raises(zoo.ArgumentError, match="`seed` must be a whole number"):
        zoo.build("mnist_cnn", seed=seed)  # type: ignore[arg-type]


# === Dtype ===


def test_the_dtype_policy_is_that_of_the_model_alone() -> None:
    """The process's policy is as before, after a build and after one that fails."""
    before = keras.config.dtype_policy()
    model = zoo.build("mnist_cnn", dtype="mixed_bfloat16")
    assert model.layers[1].compute_dtype == "bfloat16"
    assert keras.config.dtype_policy() is before
    with pytest.raises(zoo.ArgumentError):
        zoo.build("mnist_cnn", dtype="mixed_bfloat16", input_shape=(1, 1, 1))
    assert keras.config.dtype_policy() is before


@pytest.mark.parametrize("name", ["mnist_cnn", "mlp_binary", "mobilenet_v3_small"])
def test_mixed_precision_keeps_the_head_in_float32(name: str) -> None:
    """Probabilities are computed and returned in 32 bits; parameters are kept in them."""
    shape = {"input_shape": (32, 32, 3)} if name.startswith("mobilenet") else {}
    model = zoo.build(name, dtype="mixed_bfloat16", **shape)  # type: ignore[arg-type]
    assert model.get_layer("predictions").compute_dtype == "float32"
    assert model.output.dtype == "float32"
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


@pytest.mark.parametrize("dtype", ["float33", "", 16])
def test_an_unknown_dtype_is_told(dtype: object) -> None:
    """The message names policies that exist."""
    with pytest.raises(zoo.ArgumentError, match="`dtype` must be a Keras dtype policy such as 'float32'"):
        zoo.build("mnist_cnn", dtype=dtype)  # type: ignore[arg-type]


# === Head and labels ===


def test_the_class_count_comes_from_argument_labels_or_catalog() -> None:
    """In this order."""
    assert zoo.build("mnist_cnn").output_shape == (None, 10)
    assert zoo.build("mnist_cnn", num_classes=4).output_shape == (None, 4)
    model = zoo.build("mnist_cnn", labels=("a", "b", "c"))
    assert model.output_shape == (None, 3)
    assert zoo.record_of(model).labels == ("a", "b", "c")
    assert zoo.build("mnist_cnn", labels=("a", "b"), num_classes=2).output_shape == (None, 2)


@pytest.mark.parametrize(("arguments", "told"), [
    ({"labels": ("a", "b"), "num_classes": 3}, "3 classes and 2 labels"),
    ({"labels": ("a", "a")}, "Two labels are the same"),
    ({"num_classes": -1}, "`num_classes` must be a whole number"),
    ({"num_classes": 2.0}, "`num_classes` must be a whole number"),
    ({"num_classes": True}, "`num_classes` must be a whole number"),
])
def test_a_head_that_cannot_be_is_told(arguments: dict[str, object], told: str) -> None:
    """Counts and labels that contradict each other or are none."""
    with pytest.raises(zoo.ArgumentError, match=told):
        zoo.build("mnist_cnn", **arguments)  # type: ignore[arg-type]


def test_labels_of_other_tasks() -> None:
    """A binary model has two labels for its one output; a regression has none."""
    assert zoo.record_of(zoo.build("mlp_binary", labels=("no", "yes"))).labels == ("no", "yes")
    with pytest.raises(zoo.ArgumentError, match="tells 2 classes apart"):
        zoo.build("mlp_binary", labels=("a", "b", "c"))
    with pytest.raises(zoo.ArgumentError, match="regression and has no class labels"):
        zoo.build("linear_regression", labels=("a", "b"))


@pytest.mark.parametrize(("arguments", "shape"), [
    ({"include_top": False}, (None, 1, 1, 576)),
    ({"num_classes": 0}, (None, 1, 1, 576)),
    ({"include_top": False, "pooling": "avg"}, (None, 576)),
    ({"num_classes": 0, "pooling": "max"}, (None, 576)),
    ({"include_top": False, "num_classes": 3}, (None, 1, 1, 576)),
])
def test_a_model_without_its_top_gives_features(arguments: dict[str, object], shape: tuple[int | None, ...]) -> None:
    """The record says so, and labels are left off with the head."""
    model = zoo.build("mobilenet_v3_small", input_shape=(32, 32, 3), labels=("a", "b", "c"),
                      **arguments)  # type: ignore[arg-type]
    assert model.output_shape == shape
    record = zoo.record_of(model)
    assert (record.task, record.labels) == ("features", ())


# === Weights ===


def test_weights_of_other_classes_leave_the_head_random(tmp_path: Path) -> None:
    """One warning names the variables; everything before the head is taken over."""
    path = tmp_path / "three.safetensors"
    trained = zoo.build("mnist_cnn", num_classes=3, seed=1)
    save_safetensors(trained, path)
    with pytest.warns(HeadReinitializedWarning, match="predictions") as caught:
        model = zoo.build("mnist_cnn", num_classes=2, weights=str(path), seed=2)
    assert len(caught) == 1
    assert Path(caught[0].filename).name in ("registry.py", Path(__file__).name)
    np.testing.assert_array_equal(values(model)[0], values(trained)[0])
    assert not np.array_equal(values(model)[-2][:, :2], values(trained)[-2][:, :2])


def test_fitting_weights_warn_of_nothing(tmp_path: Path) -> None:
    """All parameters are those of the file, and the record says where they came from."""
    path = tmp_path / "three.safetensors"
    trained = zoo.build("mnist_cnn", num_classes=3, seed=1)
    save_safetensors(trained, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = zoo.build("mnist_cnn", num_classes=3, weights=str(path))
    assert same(model, trained)
    assert "three.safetensors" in str(zoo.record_of(model).weights)


# === Preprocessing ===


def test_a_picture_size_reaches_the_preprocessing() -> None:
    """`input_shape` decides what pictures are resized to, and a preprocessing decides the input's shape."""
    small = zoo.record_of(zoo.build("cifar_cnn", input_shape=(24, 20, 3))).preprocessing
    assert isinstance(small, ImagePreprocessing)
    assert (small.height, small.width) == (24, 20)
    model = zoo.build("cifar_cnn", preprocessing=small)
    assert model.input_shape == (None, 24, 20, 3)
    assert zoo.record_of(model).preprocessing == small
    spec = zoo.info("cifar_cnn")
    assert preprocessing_of(spec, input_shape=(24, 20, 3)) == small
    assert preprocessing_of(spec) == spec.preprocessing


def test_published_weights_bring_their_own_preprocessing() -> None:
    """Without building, the preprocessing of a tag is known."""
    spec = zoo.info("resnet50")
    assert preprocessing_of(spec, weights="imagenet") == spec.weights[0].preprocessing


def test_a_vocabulary_and_a_table_decide_the_input() -> None:
    """Words and two reserved tokens are the vocabulary; the columns are the features."""
    model = zoo.build("rnn_text", preprocessing=TextPreprocessing(vocabulary=("a", "b", "c"), max_length=5))
    assert model.input_shape == (None, 5)
    assert zoo.record_of(model).arguments["vocabulary_size"] == 5
    table = TabularPreprocessing(columns=(Column(name="x"), Column(name="c", categories=("r", "g"))))
    width = sum(column.width for column in table.columns)
    assert zoo.build("mlp_binary", preprocessing=table).input_shape == (None, width)


@pytest.mark.parametrize(("name", "preprocessing", "arguments", "told"), [
    ("cifar_cnn", ImagePreprocessing(height=8, width=8, channels=3), {"input_shape": (9, 9, 3)}, "Leave `input_shape`"),
    ("mnist_cnn", TextPreprocessing(vocabulary=("a",), max_length=4), {},
     "must be ImagePreprocessing or TensorPreprocessing"),
    ("rnn_text", TabularPreprocessing(columns=(Column(name="x"),)), {}, "must be TextPreprocessing"),
    ("mlp_binary", ImagePreprocessing(height=8, width=8, channels=3), {}, "must be TabularPreprocessing"),
])
def test_a_preprocessing_that_does_not_fit_is_told(name: str, preprocessing: Preprocessing,
                                                   arguments: dict[str, object], told: str) -> None:
    """Another size than asked for, or another kind of data than the model reads."""
    with pytest.raises(zoo.ArgumentError, match=told):
        zoo.build(name, preprocessing=preprocessing, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("shape", "told"), [
    ((28, 28), r"must be \(height, width, channels\)"),
    ((None, None, 3), r"must be \(height, width, channels\)"),
    ((28, 28, 4), "makes 3 channels and `input_shape` has 4"),
])
def test_a_shape_that_is_no_picture_s_is_told(shape: tuple[int | None, ...], told: str) -> None:
    """Pictures have a fixed height, width and the channels that the preprocessing makes."""
    with pytest.raises(zoo.ArgumentError, match=told):
        zoo.build("cifar_cnn", input_shape=shape)


def test_tensors_as_they_are_fit_every_model() -> None:
    """Who prepares the input elsewhere says so with TensorPreprocessing."""
    model = zoo.build("mnist_cnn", preprocessing=TensorPreprocessing())
    assert zoo.record_of(model).preprocessing == TensorPreprocessing()


def test_the_record_says_how_to_build_it_again() -> None:
    """Its arguments give the same architecture, and it names the versions that computed it."""
    model = zoo.build("mnist_cnn", num_classes=3, filters=4, dtype="mixed_bfloat16")
    record = zoo.record_of(model)
    again = zoo.build(record.name, **record.arguments)
    assert names(again) == names(model)
    assert {"servable-zoo", "keras", "tensorflow", "numpy"} <= set(record.versions)
    assert record.weights["source"] == "random initialisation"
