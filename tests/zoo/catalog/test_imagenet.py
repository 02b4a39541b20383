from __future__ import annotations

import dataclasses
import importlib
import inspect
import re

import numpy as np
import pytest

from zoo.catalog import all_specs
from zoo.catalog.imagenet import LABELS, accuracy, keras_file, preprocessing
from zoo.errors import UnknownNameError
from zoo.preprocessing.transform import transform_for
from zoo.spec import ModelSpec, WeightsRef

# The module of keras.applications that a model's weights come from, by the beginning of its name.
MODULES = {"resnet50_v2": "resnet_v2", "resnet101_v2": "resnet_v2", "resnet152_v2": "resnet_v2", "resnet": "resnet",
           "densenet": "densenet", "mobilenet_v2": "mobilenet_v2", "mobilenet_v3": "mobilenet_v3",
           "efficientnet_v2": "efficientnet_v2", "efficientnet_b": "efficientnet", "convnext": "convnext",
           "inception": "inception_v3", "xception": "xception", "vgg16": "vgg16", "vgg19": "vgg19"}
KERAS = [spec for spec in all_specs() if spec.weights and spec.weights[0].format == "keras_h5"]
HUB = [spec for spec in all_specs() if spec.weights and spec.weights[0].format == "keras_hub_preset"]


def weights_of(spec: ModelSpec) -> WeightsRef:
    (reference,) = spec.weights
    return reference


def keras_module(spec: ModelSpec) -> str:
    return next(module for start, module in MODULES.items() if spec.name.startswith(start))


def source_of(module: str) -> str:
    return inspect.getsource(importlib.import_module(f"keras.src.applications.{module}"))


@pytest.mark.parametrize("spec", KERAS, ids=[spec.name for spec in KERAS])
def test_pixels_become_what_keras_makes_of_them(spec: ModelSpec) -> None:
    """The preprocessing gives the numbers of the `preprocess_input` that belongs to the weights."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype("uint8")
    expected = importlib.import_module(f"keras.applications.{keras_module(spec)}").preprocess_input(
        pixels.astype("float32"))
    as_it_is = dataclasses.replace(weights_of(spec).preprocessing, height=8, width=8, resize="stretch")
    ours = transform_for(as_it_is).from_pixels(pixels)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize("spec", KERAS, ids=[spec.name for spec in KERAS])
def test_files_are_those_of_the_installed_keras(spec: ModelSpec) -> None:
    """Digest and address of both files stand in the Keras source that would download them."""
    reference = weights_of(spec)
    module = "resnet" if keras_module(spec) == "resnet_v2" else keras_module(spec)
    source = source_of(module)
    joined = re.sub(r'"\s*\n\s*f?"', "", source)  # addresses are split over lines there
    digests = []
    for file in (reference.file, reference.headless_file):
        assert file is not None and len(file.urls) == 1
        folder, _, name = file.urls[0].rpartition("/")
        assert name == file.file_name
        assert f'"{folder}/' in joined
        digests.append(file.sha256 or file.md5)
    if spec.name == "mobilenet_v2":
        assert digests == ["", ""] and "file_hash" not in source
        return
    assert len(set(digests)) == 2
    assert all(f'"{digest}"' in source for digest in digests)
    assert source.index(digests[0]) < source.index(digests[1])  # with the head first


@pytest.mark.parametrize("spec", KERAS, ids=[spec.name for spec in KERAS])
def test_the_digests_belong_to_this_variant(spec: ModelSpec) -> None:
    """Of all digests in Keras's tables, the spec has the pair under its own variant's key."""
    table = getattr(importlib.import_module(f"keras.src.applications.{keras_module(spec).removesuffix('_v2')}"),
                    "WEIGHTS_HASHES", None) if "efficientnet" not in spec.name else \
        importlib.import_module(f"keras.src.applications.{keras_module(spec)}").WEIGHTS_HASHES
    if table is None or spec.name == "mobilenet_v2":
        return
    variant = spec.name.removeprefix("efficientnet_v2_").removeprefix("efficientnet_")
    keys = {spec.name, spec.name.replace("_v2", "v2"), variant, f"-{variant}",
            f"{variant.removeprefix('mobilenet_v3_')}_224_1.0_float"}
    (key,) = keys & set(table)
    reference = weights_of(spec)
    assert tuple(f.sha256 or f.md5 for f in (reference.file, reference.headless_file) if f) == table[key]


@pytest.mark.parametrize("spec", KERAS, ids=[spec.name for spec in KERAS])
def test_keras_knows_the_file_names(spec: ModelSpec) -> None:
    """File names follow the pattern that the installed Keras asks for."""
    reference = weights_of(spec)
    assert reference.file is not None and reference.headless_file is not None
    with_head, without = reference.file.file_name, reference.headless_file.file_name
    assert with_head.endswith(".h5") and re.sub(r"_no_?top(_v2)?", "", without) == with_head


def test_the_labels_are_those_of_keras() -> None:
    """Address and md5 of the class names stand in Keras's source."""
    source = re.sub(r'"\s*\n\s*"', "", source_of("imagenet_utils"))
    assert f'"{LABELS.urls[0]}"' in source and f'file_hash="{LABELS.md5}"' in source
    assert all(weights_of(spec).labels_file == LABELS for spec in [*KERAS, *HUB])


@pytest.mark.parametrize("spec", [*KERAS, *HUB], ids=[spec.name for spec in [*KERAS, *HUB]])
def test_the_default_preprocessing_is_that_of_the_weights(spec: ModelSpec) -> None:
    """A model that is trained anew sees pictures as its published weights did."""
    reference = weights_of(spec)
    assert reference.tag == "imagenet" and reference.num_classes == spec.num_classes == 1000
    assert reference.preprocessing == spec.preprocessing
    assert reference.licence and reference.source
    assert all(0.5 < value < 1.0 for value in reference.metrics.values())
    if {"top1", "top5"} <= set(reference.metrics):
        assert reference.metrics["top1"] < reference.metrics["top5"]


@pytest.mark.parametrize("spec", HUB, ids=[spec.name for spec in HUB])
def test_presets_are_those_of_keras_hub(spec: ModelSpec) -> None:
    """The handle with its version is the one that the installed keras-hub lists."""
    keras_hub = importlib.import_module("keras_hub")
    presets = {preset["kaggle_handle"]: preset for preset in keras_hub.models.ViTBackbone.presets.values()}
    preset = presets[weights_of(spec).preset]
    width = 768 if "base" in spec.name else 1024
    assert preset["metadata"]["params"] + width * 1000 + 1000 == spec.parameters


def test_a_missing_digest_or_mode_is_seen() -> None:
    """Digests go to the field of their kind, accuracies that nobody published stay out, unknown modes are refused."""
    assert keras_file("x", "a.h5", "0" * 32).md5 == "0" * 32
    assert keras_file("x", "a.h5", "0" * 64).sha256 == "0" * 64
    assert keras_file("https://host/y/", "a.h5").urls == ("https://host/y/a.h5",)
    assert accuracy(75.6) == {"top1": 0.756}
    with pytest.raises(UnknownNameError, match="tensorflow"):
        preprocessing("tensorflow", 224)
