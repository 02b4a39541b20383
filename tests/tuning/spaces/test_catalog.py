"""Every registered model has a space, and its points can be trained."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import keras_tuner
import pytest

import zoo
from tests.zoo.symbolic import without_values
from tuning.errors import SpaceError
from tuning.spaces import Dimension, SearchSpace, check_space, space_of
from zoo.errors import UnknownNameError
from zoo.registry import default_registry
from zoo.spec import ModelSpec, TensorInfo, TensorPreprocessing, TrainingDefaults, Tunable
from zoo.training import TrainingConfig

NAMES = default_registry().names()
SAMPLES = 20


@pytest.mark.parametrize("pretrained", [False, True], ids=["scratch", "pretrained"])
@pytest.mark.parametrize("name", NAMES)
def test_every_point_of_every_model_can_be_trained(name: str, pretrained: bool) -> None:
    """20 random points of each model's space, and every choice and end of it, are a valid TrainingConfig and
    arguments that the registry accepts; the space is the same after a way through data."""
    space = space_of(name, pretrained=pretrained, data_rows=500, epochs=5)
    check_space(space, training={"epochs": 5})
    assert SearchSpace.from_dict(space.to_dict()) == space
    for seed in range(SAMPLES):
        build, training, data = space.split(space.sample(random.Random(seed)))
        config = TrainingConfig.for_spec(zoo.info(name).training, **{**training, "epochs": 5})
        assert {field: getattr(config, field) for field in training if field != "augmentation"} == \
            {field: value for field, value in training.items() if field != "augmentation"}
        zoo.registry.default_registry().check(name, **build)
        assert data == {}


@pytest.mark.parametrize("name", NAMES)
def test_keras_tuner_takes_every_space(name: str) -> None:
    """Each space can be declared in KerasTuner, and what that draws can be trained."""
    space = space_of(name, data_rows=500, epochs=5)
    hp = keras_tuner.HyperParameters()
    space.register(hp)
    assert [registered.name for registered in hp.space] == list(space.names)
    values = {r.name: r.random_sample(7) for r in hp.space if not r.conditions}
    build, training, _ = space.split(values)
    TrainingConfig.for_spec(zoo.info(name).training, **{**training, "epochs": 5})
    default_registry().check(name, **build)


@pytest.mark.parametrize("name", ["linear_regression", "mlp_binary", "mnist_cnn", "rnn", "rnn_text",
                                  "transformer_text", "small_bert_L2_H128"])
def test_points_can_be_built(name: str) -> None:
    """Random points and the corners of small models' spaces build models."""
    space = space_of(name)
    for values in space.corners()[-6:] + [space.sample(random.Random(seed)) for seed in range(3)]:
        with without_values():
            assert zoo.build(name, **space.split(values)[0]).count_params() > 0


@pytest.mark.parametrize(("name", "options"), [("resnet50.imagenet", {}), ("resnet50", {"build": {"weights": "x.h5"}}),
                                               ("resnet50", {"pretrained": True}),
                                               ("resnet50", {"build": {"pretrained": True}})])
def test_given_parameters_are_noticed(name: str, options: Mapping[str, Any]) -> None:
    """A tag, `weights` or `pretrained` makes a space for fine-tuning."""
    assert "frozen_layers" in space_of(name, **options)
    assert "frozen_layers" not in space_of("resnet50")


def test_given_parameters_keep_their_shapes() -> None:
    """With published parameters the sizes of a network are not searched, its dropout is."""
    assert {"layers", "hidden_size"} <= set(space_of("bert").names)
    names = space_of("bert", build={"weights": "hf://google-bert/bert-base-uncased"}).names
    assert not {"layers", "hidden_size"} & set(names)
    assert "dropout" in names


def test_what_is_fixed_is_not_searched() -> None:
    """Arguments that every trial shares leave the space, and settle what depends on them."""
    space = space_of("mlp_binary", build={"hidden_units": 32, "l2": 0.0},
                     training={"optimizer": "momentum", "batch_size": 16, "epochs": 7, "seed": 3})
    assert not {"hidden_units", "l2", "optimizer", "batch_size", "learning_rate", "weight_decay"} & set(space.names)
    assert space["sgd_learning_rate"].parent == ""
    assert max(space["warmup_epochs"].choices) == 1.4


def test_a_task_decides_what_is_searched() -> None:
    """A model that is built for another task than its own gets that task's space."""
    assert "label_smoothing" in space_of("minilm_l6_h384", build={"task": "classification"})
    assert "label_smoothing" not in space_of("minilm_l6_h384")


@pytest.mark.parametrize(("changes", "message"), [
    ({"batch_size": "0.5..0.9"}, r"such as .*batch_size=0\.\d.*`batch_size` must be a whole number"),
    ({"learning_rate": [1e-3, -1.0]}, r"learning_rate=-1\.0.*`learning_rate` must be a number"),
    ({"augmentation": ["none", "sepia"]}, r"augmentation=sepia.*sepia"),
    ({"schedule": "cosine,quick"}, r"schedule=quick")])
def test_points_that_cannot_be_trained_are_found_before_a_trial(changes: Mapping[str, Any], message: str) -> None:
    """A space whose points the training would refuse is refused with one of them."""
    with pytest.raises(SpaceError, match=message):
        check_space(space_of("mnist_cnn").changed(changes))


def test_arguments_that_no_builder_takes_are_found() -> None:
    """A dimension made by hand is checked against the builder."""
    space = SearchSpace((Dimension(name="untis", choices=(1, 2)),), "mnist_cnn")
    with pytest.raises(SpaceError, match="untis"):
        check_space(space)


def test_a_plug_in_s_model_has_a_space() -> None:
    """A model that another package registers is searched by its own tunable arguments."""
    spec = ModelSpec(name="guest", builder="zoo.tabular.perceptron:mlp_binary", family="guest", input_kind="tabular",
                     task="binary_classification", description="A guest.",
                     inputs=(TensorInfo(name="features", shape=(2,)),), num_classes=2,
                     outputs=(TensorInfo(name="predictions", shape=(1,)),), parameters=41, licence="MIT",
                     preprocessing=TensorPreprocessing(), training=TrainingDefaults(loss="binary_crossentropy"),
                     tunable={"hidden_units": Tunable(low=2, high=8, step=2), "dropout": Tunable()})
    registry = default_registry()
    registry.register(spec, override=True)
    try:
        with pytest.raises(SpaceError, match="'dropout' of guest needs `choices`, or `low` and `high`"):
            space_of("guest")
        whole = ModelSpec(**{**{f: getattr(spec, f) for f in spec.__dataclass_fields__},
                             "tunable": {"hidden_units": Tunable(low=2, high=8, step=2)}})
        registry.register(whole, override=True)
        space = space_of("guest")
        assert space["hidden_units"].size == 4
        check_space(space)
    finally:
        registry._known().pop("guest")


def test_an_unknown_model_is_named() -> None:
    """The registry's own error says which names are near."""
    with pytest.raises(UnknownNameError, match="mlp_binary"):
        space_of("mlp_binry")
