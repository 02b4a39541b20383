"""How the specs of networks with ImageNet weights are put together: preprocessing modes, files, labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.preprocessing.image_modes import image_mode
from zoo.spec import (
    FileRef,
    ImagePreprocessing,
    ModelSpec,
    Preprocessing,
    TensorInfo,
    TrainingDefaults,
    Tunable,
    WeightsRef,
)

KERAS_SOURCE = "Keras Applications (published by the Keras project)"
KERAS_FILES = "https://storage.googleapis.com/tensorflow/keras-applications/"

_SHA256_DIGITS = 64

# The order of the 1000 classes in every file below; name and md5 as in keras/src/applications/imagenet_utils.py.
LABELS = FileRef(
    file_name="imagenet_class_index.json", md5="c2c37ea517e94d9795004a39431a14cb",
    urls=("https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json",))


def preprocessing(mode: str, size: int, **options: Any) -> ImagePreprocessing:
    """Returns the preprocessing of a Keras mode for square pictures.

    The default is the protocol behind the published accuracies, a single centre crop of 7/8 of the resized short side.
    (The examples in Keras's documentation squash the picture instead: resize="stretch".)

    Args:
        mode: "caffe" (BGR, mean subtracted), "tf" ([-1, 1]), "torch" (mean and standard deviation of ImageNet) or
            "raw" ([0, 255], for networks that normalise inside).
        size: Height and width in pixels.
        **options: Other fields of `ImagePreprocessing`.
    """
    return image_mode(mode, size, size, **{"resize": "crop", "crop_fraction": 0.875, **options})


def keras_file(folder: str, file_name: str, digest: str = "") -> FileRef:
    """Returns a file of Keras Applications.

    Args:
        folder: Address of its folder, relative to the usual one, or whole.
        file_name: Its name, which is also that in Keras's own cache.
        digest: md5 or sha256 as in Keras's source; "" where that has none.
    """
    address = folder if folder.startswith("https://") else KERAS_FILES + folder
    is_sha256 = len(digest) == _SHA256_DIGITS
    return FileRef(file_name=file_name, urls=(f"{address.rstrip('/')}/{file_name}",),
                   md5="" if is_sha256 else digest, sha256=digest if is_sha256 else "")


def accuracy(top1: float | None, top5: float | None = None) -> dict[str, float]:
    """Returns published ImageNet accuracies, given in percent, as fractions; None is left out."""
    return {name: round(value / 100, 4) for name, value in (("top1", top1), ("top5", top5)) if value is not None}


def keras_weights(*, file: FileRef, headless: FileRef, licence: str, expects: Preprocessing,
                  metrics: Mapping[str, float]) -> WeightsRef:
    """Returns the "imagenet" weights of a network of Keras Applications.

    Args:
        file: Parameters with the head of 1000 classes.
        headless: Parameters without it.
        licence: Licence of the parameters, as their publisher states it.
        expects: The preprocessing that they were trained with.
        metrics: ImageNet accuracies from the table at https://keras.io/api/applications/.
    """
    return WeightsRef(tag="imagenet", format="keras_h5", licence=licence, source=KERAS_SOURCE, num_classes=1000,
                      file=file, headless_file=headless, labels_file=LABELS, preprocessing=expects, metrics=metrics)


def imagenet_spec(name: str, *, builder: str, family: str, description: str, size: int, parameters: int, paper: str,
                  weights: WeightsRef, expects: ImagePreprocessing, tags: tuple[str, ...] = (),
                  training: TrainingDefaults | None = None) -> ModelSpec:
    """Returns the spec of a network for 1000 ImageNet classes.

    Args:
        name: Registry name.
        builder: "package.module:function".
        family: Architecture family.
        description: What it is, in words that a search can find.
        size: Default height and width in pixels.
        parameters: Number of all parameters of the default build.
        paper: Address of the paper.
        weights: Its published weights.
        expects: Its preprocessing.
        tags: Further tags.
        training: Training arguments to start from; Adam at 0.001 by default.
    """
    default = TrainingDefaults(loss="sparse_categorical_crossentropy", optimizer="adam", learning_rate=1e-3,
                               batch_size=32, epochs=10)
    return ModelSpec(
        name=name, builder=builder, family=family, input_kind="image", task="classification", description=description,
        inputs=(TensorInfo(name="image", shape=(size, size, 3)),),
        outputs=(TensorInfo(name="predictions", shape=(1000,)),),
        parameters=parameters, licence="Apache-2.0", preprocessing=expects, training=training or default, paper=paper,
        num_classes=1000, weights=(weights,), tunable={"dropout": Tunable(low=0.0, high=0.5, step=0.1)}, tags=tags)
