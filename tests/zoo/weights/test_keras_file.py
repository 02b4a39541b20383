from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from tests.zoo.weights.small_models import differing, picture_model, randomised, values, write_legacy
from zoo.errors import WeightsError
from zoo.weights.head import STRICT, head_rule
from zoo.weights.keras_file import load_keras_file
from zoo.weights.report import LoadReport

# Keras 3.15 turns its variables into arrays in a way that NumPy 2 deprecates; here it writes the files to load.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

HEAD = {"predictions/kernel", "predictions/bias"}
KINDS = ("a.weights.h5", "a.keras", "legacy.h5", "whole.h5")


@pytest.fixture(scope="module")
def source() -> keras.Model:
    return randomised(picture_model())


@pytest.fixture(scope="module")
def files(source: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same parameters in every format; the archive and one .h5 hold an optimizer's state too."""
    folder = tmp_path_factory.mktemp("files")
    write_legacy(source, folder / "legacy.h5")
    write_legacy(source, folder / "whole.h5", "model_weights")
    with h5py.File(folder / "whole.h5", "a") as file:
        file.attrs["model_config"] = b'{"class_name": "Lambda", "config": {"function": "os.system"}}'
        file["optimizer_weights/x"] = np.zeros(3)
    source.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    source.train_on_batch(np.zeros((2, 8, 8, 3)), np.eye(3)[:2])
    randomised(source)
    source.save_weights(folder / "a.weights.h5")
    source.save(folder / "a.keras")
    return {path.name: path for path in folder.iterdir()}


def load(model: keras.Model, path: Path) -> LoadReport:
    return load_keras_file(model, path, rule=head_rule(model))


@pytest.mark.parametrize("kind", KINDS)
def test_all_parameters_come_back(kind: str, files: dict[str, Path], source: keras.Model) -> None:
    """Each format fills every variable, and the model computes the same, Normalization included."""
    report = load(model := picture_model(), files[kind])
    assert not differing(model, source)
    assert len(report.assigned) == len(source.weights)
    x = np.random.default_rng(0).random((2, 8, 8, 3), dtype=np.float32)
    load_keras_file(again := picture_model(), files["a.weights.h5"])
    np.testing.assert_array_equal(model.predict_on_batch(x), again.predict_on_batch(x))


@pytest.mark.parametrize("kind", KINDS)
def test_another_class_count_keeps_the_random_head(kind: str, files: dict[str, Path], source: keras.Model) -> None:
    """Everything but the head is loaded, and the head's variables are listed."""
    model = picture_model(classes=7)
    before = values(model)
    report = load(model, files[kind])
    assert set(report.reinitialised) == HEAD
    assert differing(model, source) == HEAD
    assert all(np.array_equal(values(model)[path], before[path]) for path in HEAD)
    with pytest.raises(WeightsError, match="predictions/kernel expected"):
        load_keras_file(picture_model(classes=7), files[kind], rule=STRICT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_headless_model_leaves_the_head_in_the_file(kind: str, files: dict[str, Path], source: keras.Model) -> None:
    """The file's head is unused, and said to be."""
    report = load(model := picture_model(top=False), files[kind])
    assert differing(model, source) == HEAD
    assert len(report.unused) == 2
    assert not report.reinitialised


@pytest.mark.parametrize("legacy", [True, False])
def test_a_headless_file_leaves_the_model_its_head(legacy: bool, tmp_path: Path) -> None:
    """A file without a head fits a model with one; the head keeps its random start and is listed."""
    headless = randomised(picture_model(top=False))
    path = tmp_path / ("a.h5" if legacy else "a.weights.h5")
    if legacy:
        write_legacy(headless, path)
    else:
        headless.save_weights(path)
    report = load(model := picture_model(), path)
    assert set(report.reinitialised) == HEAD == differing(model, headless)


@pytest.mark.parametrize("legacy", [True, False])
def test_heads_made_of_a_convolution(legacy: bool, tmp_path: Path) -> None:
    """The head of MobileNet V3 stands before the activation "predictions", and is told by that."""
    path = tmp_path / ("a.h5" if legacy else "a.weights.h5")
    model = randomised(picture_model(pointwise=True))
    write_legacy(model, path) if legacy else model.save_weights(path)
    report = load(picture_model(classes=5, pointwise=True), path)
    assert set(report.reinitialised) == {"logits/kernel", "logits/bias"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_model_changes_nothing(kind: str, files: dict[str, Path]) -> None:
    """What does not fit is listed by name, and no variable is touched, also none of those that would fit."""
    model = picture_model(width=5)
    before = values(model)
    with pytest.raises(WeightsError, match=r"nothing was loaded[\s\S]*stem/kernel expected \[3, 3, 3, 5\]"):
        load(model, files[kind])
    assert all(np.array_equal(before[path], value) for path, value in values(model).items())


@pytest.mark.parametrize("legacy", [True, False])
def test_a_file_with_more_layers_is_refused(legacy: bool, tmp_path: Path) -> None:
    """Parameters that the model has no place for mean that the file is of another model."""
    image = keras.Input((8, 8, 3), name="image")
    longer = keras.Model(image, keras.layers.Dense(3, name="predictions")(
        keras.layers.Dense(4, name="more")(picture_model(top=False)(image))))
    inner = keras.Model(image, keras.layers.Dense(3, name="predictions")(picture_model(top=False)(image)))
    path = tmp_path / ("a.h5" if legacy else "a.weights.h5")
    write_legacy(longer, path) if legacy else longer.save_weights(path)
    with pytest.raises(WeightsError, match="no place for"):
        load(inner, path)


def test_the_name_of_a_file_does_not_matter(files: dict[str, Path], source: keras.Model, tmp_path: Path) -> None:
    """The content tells the format: a Keras 3 file called .h5, or without any ending, is read as what it is."""
    for name in ("renamed.h5", "plain"):
        (tmp_path / name).write_bytes(files["a.weights.h5"].read_bytes())
        load(model := picture_model(), tmp_path / name)
        assert not differing(model, source)


def test_old_integer_types_are_taken(files: dict[str, Path], tmp_path: Path) -> None:
    """Keras 2 counted in int64 what Keras 3 counts in int32; the published EfficientNet files are of that kind."""
    path = tmp_path / "a.h5"
    path.write_bytes(files["legacy.h5"].read_bytes())
    with h5py.File(path, "a") as file:
        layer = file["normalization"]
        name = next(name.decode() if isinstance(name, bytes) else name for name in layer.attrs["weight_names"]
                    if "count" in str(name))
        del layer[name]
        layer[name] = np.int64(12)
    load(model := picture_model(), path)
    assert values(model)["normalization/count"] == 12


def test_nothing_but_arrays_is_taken_from_an_archive(files: dict[str, Path], source: keras.Model,
                                                     tmp_path: Path) -> None:
    """The configuration in a .keras file is not even looked at, so that it cannot run code."""
    path = tmp_path / "evil.keras"
    with zipfile.ZipFile(files["a.keras"]) as original, zipfile.ZipFile(path, "w") as copy:
        copy.writestr("model.weights.h5", original.read("model.weights.h5"))
        copy.writestr("config.json", json.dumps({"class_name": "Lambda", "config": "not even valid"}))
        copy.writestr("../../outside", "x")
    load(model := picture_model(), path)
    assert not differing(model, source)
    assert not (tmp_path.parent.parent / "outside").exists()


def test_archives_that_are_no_models_are_refused(tmp_path: Path) -> None:
    """A zip without weights, and one that unpacks to far more than the model, are named."""
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(WeightsError, match=r"archive without model.weights.h5.*readme.txt"):
        load(picture_model(), tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "b.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(80 << 20))
    with pytest.raises(WeightsError, match="were not unpacked"):
        load(picture_model(), tmp_path / "b.keras")
    (tmp_path / "c.keras").write_bytes((tmp_path / "a.keras").read_bytes()[:-30])
    with pytest.raises(WeightsError, match="cannot be read"):
        load(picture_model(), tmp_path / "c.keras")


def test_hdf5_files_without_weights_are_refused(tmp_path: Path) -> None:
    """An HDF5 file of data is told apart, with what it has inside."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["measurements"] = np.zeros(3)
    with pytest.raises(WeightsError, match=r"not one with Keras weights.*measurements"):
        load(picture_model(), tmp_path / "a.h5")


def test_a_claimed_giant_is_refused_by_its_shape(files: dict[str, Path], tmp_path: Path) -> None:
    """A dataset that claims to be huge is never read, because its shape is compared first."""
    path = tmp_path / "a.h5"
    path.write_bytes(files["legacy.h5"].read_bytes())
    with h5py.File(path, "a") as file:
        name = next(str(name.decode() if isinstance(name, bytes) else name)
                    for name in file["stem"].attrs["weight_names"] if "kernel" in str(name))
        del file["stem"][name]
        file["stem"].create_dataset(name, (10**6, 10**6), "float32", chunks=(1000, 1000))
    with pytest.raises(WeightsError, match="1000000, 1000000"):
        load(picture_model(), path)
