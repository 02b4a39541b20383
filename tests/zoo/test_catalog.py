from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from typing import Any

import pytest

from tests.zoo.symbolic import without_values
from zoo.catalog import all_specs
from zoo.spec import ModelSpec

# `hub` is nothing without a module from elsewhere; tests/zoo/test_hub.py builds it around some.
SPECS = {spec.name: spec for spec in all_specs() if spec.family != "hub"}


# Laying out their many layers takes seconds even without memory for the parameters; smaller siblings are tested always.
LARGE = {"efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_m",
         "efficientnet_v2_l", "vit_large_patch16_224"}
BUILT = [pytest.param(spec, id=name, marks=[pytest.mark.slow] if name in LARGE else []) for name, spec in SPECS.items()]


def builder_of(spec: ModelSpec) -> Any:
    module, _, function = spec.builder.partition(":")
    return getattr(importlib.import_module(module), function)


def test_names_are_unique_and_snake_case() -> None:
    """No two models share a name, and each can be typed as a Python identifier; small BERTs keep their L and H."""
    names = [spec.name for spec in all_specs()]
    assert len(names) == len(set(names)) == len({name.lower() for name in names}) == len(SPECS) + 1
    assert all(name.isidentifier() for name in names)
    assert all(name == name.lower() for name in names if not name.startswith("small_bert_L"))


def test_the_issue_s_models_are_there() -> None:
    """Every model that the project promises is in the catalog."""
    promised = {
        "linear_regression", "mlp_binary", "softmax_1000", "mnist_cnn", "cifar_cnn", "imagenet_cnn", "transformer",
        "rnn", "rnn_regression", "rnn_text", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
        "inception_v3", "xception", "vgg16", "vgg19", "vit_base_patch16_224", "vit_large_patch16_224",
        *(f"resnet{depth}{version}" for depth in (50, 101, 152) for version in ("", "_v2")),
        *(f"efficientnet_b{number}" for number in range(8)),
        *(f"efficientnet_v2_{variant}" for variant in ("b0", "b1", "b2", "b3", "s", "m", "l")),
        *(f"convnext_{size}" for size in ("tiny", "small", "base", "large", "xlarge")),
        *(f"densenet{depth}" for depth in (121, 169, 201)),
        "bert", *(f"bert_{size}_{letters}" for size in ("base", "large") for letters in ("cased", "uncased")),
        *(f"small_bert_L{layers}_H{width}" for layers in (2, 4, 6, 8, 10, 12) for width in (128, 256, 512, 768)),
        "minilm_l6_h384", "minilm_l12_h384", "gpt2", "gpt2_medium", "gpt2_large", "gpt2_xl", "transformer_text",
    }
    assert promised == set(SPECS)
    assert "hub" in {spec.name for spec in all_specs()}


def test_the_catalog_is_light() -> None:
    """Importing the catalog loads neither TensorFlow nor Keras nor NumPy."""
    program = ("import sys; from zoo.catalog import all_specs; all_specs(); "
               "print([name for name in ('tensorflow', 'keras', 'numpy', 'keras_hub') if name in sys.modules])")
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("spec", BUILT)
def test_the_default_build_is_what_the_spec_says(spec: ModelSpec) -> None:
    """Inputs, outputs and the number of parameters of the default build are those of the spec."""
    with without_values():
        model = builder_of(spec)(**spec.arguments)
        assert model.count_params() == spec.parameters
    assert [(t.name, tuple(t.shape[1:]), t.dtype) for t in model.inputs] == \
        [(info.name, info.shape, info.dtype) for info in spec.inputs]
    assert [tuple(t.shape[1:]) for t in model.outputs] == [info.shape for info in spec.outputs]
    head = "embedding" if spec.task == "embedding" else "predictions"
    assert [layer.name for layer in model.layers].count(head) == 1
    assert model.output.dtype == spec.outputs[0].dtype


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_tunable_arguments_exist(spec: ModelSpec) -> None:
    """What a search may change is an argument of the builder, and its range is either choices or an interval."""
    known = inspect.signature(builder_of(spec)).parameters
    assert spec.tunable, f"{spec.name} offers nothing to search over"
    for name, tunable in spec.tunable.items():
        assert name in known and known[name].kind is inspect.Parameter.KEYWORD_ONLY
        if tunable.choices:
            assert (tunable.low, tunable.high) == (None, None) and len(set(tunable.choices)) == len(tunable.choices)
        else:
            assert tunable.low is not None and tunable.high is not None and tunable.low < tunable.high


OWN = [spec for spec in SPECS.values() if not spec.weights and spec.name not in ("imagenet_cnn", "transformer")]


@pytest.mark.parametrize("spec", OWN, ids=[spec.name for spec in OWN])
def test_every_end_of_a_range_builds(spec: ModelSpec) -> None:
    """The first and last choice and both ends of each interval are arguments that the builder accepts."""
    for name, tunable in spec.tunable.items():
        ends = tunable.choices[:1] + tunable.choices[-1:] if tunable.choices else (tunable.low, tunable.high)
        for value in ends:
            whole = tunable.step == 1 or name.endswith("units")
            with without_values():
                assert builder_of(spec)(**{name: int(value) if whole else value}).count_params() > 0


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_parts_of_a_spec_agree(spec: ModelSpec) -> None:
    """Class count, loss, preprocessing and papers fit the task and the inputs."""
    losses = {"classification": "sparse_categorical_crossentropy", "binary_classification": "binary_crossentropy",
              "regression": "mean_squared_error", "embedding": "cosine_similarity",
              "language_model": "sparse_categorical_crossentropy"}
    assert spec.training.loss == losses[spec.task]
    assert (spec.num_classes == 0) == (spec.task in ("regression", "embedding", "language_model"))
    assert spec.paper == "" or spec.paper.startswith(("https://arxiv.org/abs/", "https://doi.org/",
                                                      "https://cdn.openai.com/"))
    assert not spec.tasks or inspect.signature(builder_of(spec)).parameters["task"].default in spec.tasks
    if spec.preprocessing.kind == "image":
        assert spec.inputs[0].shape == (
            spec.preprocessing.height, spec.preprocessing.width, spec.preprocessing.channels)
    assert len(spec.description.split()) >= 8
