from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pickle
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.zoo.weights.file_server import FileServer
from tests.zoo.weights.small_models import differing, picture_model, randomised, values, write_legacy
from zoo.errors import ChecksumError, DownloadError, WeightsError
from zoo.spec import FileRef, ModelSpec, TensorPreprocessing, TrainingDefaults, WeightsRef
from zoo.weights.apply import apply_weights, published_weights, read_labels
from zoo.weights.safetensors_file import save_safetensors
from zoo.weights.settings import DownloadSettings

# Keras 3.15 turns its variables into arrays in a way that NumPy 2 deprecates; here it writes the files to load.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

HEAD = {"predictions/kernel", "predictions/bias"}


@functools.cache
def build_mobilenet(classes: int, top: bool) -> keras.Model:
    image = keras.Input((32, 32, 3), name="image")
    return keras.applications.MobileNetV2(input_tensor=image, alpha=0.35, weights=None, include_top=top,
                                          classes=classes, name="mobilenet")


def mobilenet(classes: int = 1000, *, top: bool = True) -> keras.Model:
    """A small real network with new random parameters; building it anew for each test would take long."""
    return randomised(build_mobilenet(classes, top), seed=1)


def file_ref(path: Path, url: str) -> FileRef:
    content = path.read_bytes()
    return FileRef(file_name=path.name, urls=(url,), md5=hashlib.md5(content).hexdigest(), size_bytes=len(content))


@dataclasses.dataclass
class Publisher:
    """What keras.applications is for its models: weights with and without a head, and labels, on a server."""

    spec: ModelSpec
    server: FileServer
    model: keras.Model


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("published")
    model = randomised(build_mobilenet.__wrapped__(20, True))
    whole = write_legacy(model, folder / "mobilenet.h5")
    trunk = keras.Model(model.input, model.get_layer("out_relu").output)
    notop = write_legacy(trunk, folder / "mobilenet_notop.h5")
    labels = folder / "labels.json"
    labels.write_text(json.dumps({str(number): [f"n{number}", f"class {number}"] for number in range(20)}))
    with FileServer({f"/{path.name}": path.read_bytes() for path in (whole, notop, labels)}) as server:
        ref = WeightsRef(tag="imagenet", format="keras_h5", licence="Apache-2.0", source="A publisher", num_classes=20,
                         file=file_ref(whole, server.url(f"/{whole.name}")),
                         headless_file=file_ref(notop, server.url(f"/{notop.name}")),
                         labels_file=file_ref(labels, server.url(f"/{labels.name}")))
        spec = ModelSpec(name="mobilenet", builder="a:b", family="f", input_kind="image", task="classification",
                         description="d", inputs=(), outputs=(), parameters=1, licence="MIT", num_classes=20,
                         weights=(ref,), preprocessing=TensorPreprocessing(), training=TrainingDefaults(loss="mse"))
        yield Publisher(spec, server, model)


def test_published_weights_fill_the_whole_model(publisher: Publisher, settings: DownloadSettings) -> None:
    """The tag fetches, checks and assigns everything, and says where it came from."""
    model = mobilenet(20)
    report, provenance = apply_weights(model, "imagenet", publisher.spec, settings=settings)
    assert not differing(model, publisher.model)
    assert len(report.assigned) == len(model.weights)
    whole = publisher.server.files["/mobilenet.h5"]
    assert provenance == {"tag": "imagenet", "licence": "Apache-2.0", "publisher": "A publisher",
                          "source": publisher.server.url("/mobilenet.h5"), "file": "mobilenet.h5",
                          "sha256": hashlib.sha256(whole).hexdigest()}


def test_other_classes_get_all_but_the_head(publisher: Publisher, settings: DownloadSettings) -> None:
    """With another number of classes the head keeps its random start, and nothing else does."""
    report, _ = apply_weights(model := mobilenet(7), "imagenet", publisher.spec, settings=settings)
    assert set(report.reinitialised) == HEAD == differing(model, publisher.model)


def test_features_use_the_smaller_file(publisher: Publisher, settings: DownloadSettings) -> None:
    """Without a head the file without a head is fetched, and only that."""
    before = len(publisher.server.requests)
    report, _ = apply_weights(model := mobilenet(top=False), "default", publisher.spec, settings=settings)
    assert [path for path, _ in publisher.server.requests[before:]] == ["/mobilenet_notop.h5"]
    assert differing(model, publisher.model) == HEAD
    assert not report.unused


def test_features_from_a_file_with_a_head(publisher: Publisher, settings: DownloadSettings) -> None:
    """Where only the whole file is published, its head is left out and reported."""
    ref = dataclasses.replace(publisher.spec.weights[0], headless_file=None)
    spec = dataclasses.replace(publisher.spec, weights=(ref,))
    report, _ = apply_weights(model := mobilenet(top=False), "imagenet", spec, settings=settings)
    assert differing(model, publisher.model) == HEAD
    assert len(report.unused) == 2


def test_labels_come_with_the_weights(publisher: Publisher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The class names of the publisher are read through the same cache, by default that of the environment."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    ref = published_weights(publisher.spec, "imagenet")
    assert ref is not None
    assert read_labels(ref)[:2] == ("class 0", "class 1")
    assert list(tmp_path.rglob("labels.json"))
    assert published_weights(publisher.spec, None) is None
    assert published_weights(publisher.spec, publisher.server.url("/mobilenet.h5")) is None


def test_offline_the_error_says_which_file_to_put_where(publisher: Publisher, settings: DownloadSettings) -> None:
    """Without the network the message names file, address, hash and place, and the place then works."""
    settings = dataclasses.replace(settings, offline=True)
    with pytest.raises(DownloadError, match="Put the file from") as caught:
        apply_weights(mobilenet(20), "imagenet", publisher.spec, settings=settings)
    place = Path(str(caught.value).partition(" at ")[2].partition(" (md5")[0])
    place.parent.mkdir(parents=True)
    place.write_bytes(publisher.server.files["/mobilenet.h5"])
    apply_weights(model := mobilenet(20), "imagenet", publisher.spec, settings=settings)
    assert not differing(model, publisher.model)


def test_an_address_may_be_pinned(publisher: Publisher, settings: DownloadSettings) -> None:
    """The user's own address is loaded; a pin is checked, and the found sha256 is recorded either way."""
    url = publisher.server.url("/mobilenet.h5")
    found = hashlib.sha256(publisher.server.files["/mobilenet.h5"]).hexdigest()
    for text in (f"{url}?key=secret", f"{url}#sha256={found}"):
        _, provenance = apply_weights(model := mobilenet(20), text, publisher.spec, settings=settings)
        assert not differing(model, publisher.model)
        assert provenance == {"source": url, "file": "mobilenet.h5", "sha256": found}
    with pytest.raises(ChecksumError):
        apply_weights(mobilenet(20), f"{url}#sha256={'0' * 64}", publisher.spec, settings=settings)


def test_local_files_of_every_kind(tmp_path: Path, settings: DownloadSettings) -> None:
    """A path is loaded by what it holds; the provenance has its name and content, not its folder."""
    source = randomised(picture_model())
    legacy = write_legacy(source, tmp_path / "legacy.h5")
    tensors = save_safetensors(source, tmp_path / "own.safetensors")
    for path in (legacy, tensors):
        _, provenance = apply_weights(model := picture_model(), str(path), settings=settings)
        assert not differing(model, source)
        assert provenance == {"source": f"file:{path.name}", "file": path.name,
                              "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    with pytest.raises(ChecksumError, match="not the pinned file"):
        apply_weights(picture_model(), f"file:{tensors}#sha256={'0' * 64}", settings=settings)


def test_the_folder_of_a_saved_model(tmp_path: Path, settings: DownloadSettings) -> None:
    """The folder that zoo.save wrote gives its parameters to another model of the same architecture."""
    source = randomised(picture_model())
    save_safetensors(source, tmp_path / "weights-1.safetensors")
    (tmp_path / "bundle.json").write_text(json.dumps({"files": {"weights": {"name": "weights-1.safetensors"}}}))
    report, _ = apply_weights(model := picture_model(classes=9), tmp_path, settings=settings)
    assert differing(model, source) == HEAD == set(report.reinitialised)
    (tmp_path / "weights-1.safetensors").unlink()
    with pytest.raises(WeightsError, match="is missing"):
        apply_weights(picture_model(), tmp_path, settings=settings)
    (tmp_path / "bundle.json").write_text("[]")
    with pytest.raises(WeightsError, match="not the index of a saved model"):
        apply_weights(picture_model(), tmp_path, settings=settings)


class Explosive:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, ("/nonexistent/exploded",))


def test_pickles_are_never_opened(tmp_path: Path, settings: DownloadSettings) -> None:
    """A pickled checkpoint is refused with the reason, and its code does not run."""
    (tmp_path / "model.bin").write_bytes(pickle.dumps(Explosive()))
    with pytest.raises(WeightsError, match="Pickled files are never opened"):
        apply_weights(picture_model(), tmp_path / "model.bin", settings=settings)


def test_weights_of_another_model_leave_the_model_alone(publisher: Publisher, settings: DownloadSettings) -> None:
    """If the published file does not fit, nothing is assigned."""
    model = picture_model()
    before = values(model)
    with pytest.raises(WeightsError, match="do not fit the model"):
        apply_weights(model, "imagenet", publisher.spec, settings=settings)
    assert all(np.array_equal(before[path], value) for path, value in values(model).items())


def test_progress_is_passed_on(publisher: Publisher, settings: DownloadSettings) -> None:
    """The command line can draw a bar."""
    heard: list[int] = []
    apply_weights(mobilenet(20), "imagenet", publisher.spec, settings=settings,
                  progress=lambda done, total: heard.append(done))
    assert heard[-1] == len(publisher.server.files["/mobilenet.h5"])


def test_a_tag_without_a_file_is_explained(publisher: Publisher, settings: DownloadSettings) -> None:
    """An incomplete spec is an error of its own, not a crash."""
    ref = dataclasses.replace(publisher.spec.weights[0], file=None)
    with pytest.raises(WeightsError, match="name no file"):
        apply_weights(mobilenet(20), "imagenet", dataclasses.replace(publisher.spec, weights=(ref,)),
                      settings=settings)
