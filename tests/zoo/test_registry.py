"""Models are found by name, pattern, filter and description; nothing is guessed, nothing is swallowed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from zoo.errors import ArgumentError, DuplicateNameError, UnknownNameError
from zoo.name_search import natural_key
from zoo.registry import Registry, default_registry
from zoo.spec import FileRef, ModelSpec, TensorInfo, TensorPreprocessing, TrainingDefaults, WeightsRef


def spec(name: str, **changes: object) -> ModelSpec:
    values: dict[str, object] = {
        "name": name, "builder": "tests.zoo.test_registry:tiny", "family": "tiny", "input_kind": "tabular",
        "task": "regression", "description": "A tiny model for this test.", "parameters": 2, "licence": "Apache-2.0",
        "inputs": (TensorInfo(name="features", shape=(1,)),), "outputs": (TensorInfo(name="predictions", shape=(1,)),),
        "preprocessing": TensorPreprocessing(), "training": TrainingDefaults(loss="mse")}
    return ModelSpec(**(values | changes))  # type: ignore[arg-type]


def tiny(*, units: int = 1) -> object:
    import keras

    inputs = keras.Input((1,), name="features")
    return keras.Model(inputs, keras.layers.Dense(units)(inputs))  # unnamed on purpose


PUBLISHED = WeightsRef(tag="seed", format="keras_h5", licence="MIT", source="A Publisher", num_classes=2,
                       file=FileRef(file_name="x.h5", urls=("https://example.invalid/x.h5",)), metrics={"top1": 0.7})


@pytest.fixture
def registry() -> Registry:
    return Registry([spec("net_b10", parameters=10), spec("net_b2", parameters=30, weights=(PUBLISHED,)),
                     spec("other", family="odd", input_kind="image", tags=("mobile",))])


def test_names_sort_naturally(registry: Registry) -> None:
    """b2 comes before b10."""
    assert registry.names() == ("net_b2", "net_b10", "other")
    assert natural_key("b2") < natural_key("b10") < natural_key("c1")


def test_filters_combine(registry: Registry) -> None:
    """Patterns, families, tags, weights, sizes and accuracy narrow the list; sorts order it."""
    assert registry.select("NET*") == ["net_b2", "net_b10"]
    assert registry.select("*", exclude="*b2") == ["net_b10", "other"]
    assert registry.select(tags="mobile") == registry.select(input_kind="image") == ["other"]
    assert registry.select(weights=True) == registry.select(weights="seed") == ["net_b2"]
    assert registry.select(weights=False) == ["net_b10", "other"]
    assert registry.select(source="publisher", min_top1=0.6, max_params=30) == ["net_b2"]
    assert registry.select(min_top1=0.8) == []
    assert registry.select(sort="parameters") == ["other", "net_b10", "net_b2"]
    assert registry.select(sort="top1")[0] == "net_b2"


@pytest.mark.parametrize(("filters", "words"), [
    ({"family": "tini"}, "Unknown family 'tini'. Did you mean 'tiny'"), ({"task": "regresion"}, "'regression'"),
    ({"input_kind": "images"}, "'image'"), ({"sort": "size"}, "Unknown sort key 'size'"),
])
def test_impossible_filters_are_refused(registry: Registry, filters: dict[str, str], words: str) -> None:
    """A filter value that no model could have is an error, not an empty list."""
    with pytest.raises(UnknownNameError, match=words):
        registry.select(**filters)  # type: ignore[arg-type]


def test_near_names_are_suggested(registry: Registry) -> None:
    """A typing error gets the name that was meant."""
    with pytest.raises(UnknownNameError, match="Did you mean 'other'") as caught:
        registry.spec("othr")
    assert "other" in caught.value.suggestions


def test_tags_are_resolved_and_checked(registry: Registry) -> None:
    """`model.tag` names published weights; an unknown tag lists the known ones."""
    assert registry.resolve("net_b2.seed")[1] == "seed"
    with pytest.raises(UnknownNameError, match="It has: seed"):
        registry.resolve("net_b2.sead")
    with pytest.raises(UnknownNameError, match="It has no published weights"):
        registry.resolve("other.seed")
    with pytest.raises(ArgumentError, match="names the weights 'seed'"):
        registry.build("net_b2.seed", weights="imagenet")


@pytest.mark.parametrize("name", ["hf://org/net_b2", "models/net_b2", "C:\\net_b2", "tfhub:x"])
def test_addresses_are_not_names(registry: Registry, name: str) -> None:
    """A path or address as a name is refused with both ways out, never cut down to a known name."""
    with pytest.raises(ArgumentError, match=r"weights='file:PATH'.*zoo\.load"):
        registry.build(name)


def test_a_duplicate_is_refused_unless_meant(registry: Registry) -> None:
    """The second registration of a name is an error; override=True replaces it."""
    with pytest.raises(DuplicateNameError, match="override=True"):
        registry.register(spec("other"))
    registry.register(spec("other", parameters=99), override=True)
    assert registry.spec("other").parameters == 99


def test_search_reads_descriptions_and_forgives_spelling(registry: Registry) -> None:
    """Words match name, family, tags and description; nonsense matches nothing."""
    assert registry.search("mobile image") == ["other"]
    assert registry.search("mobil")[0] == "other"
    assert registry.search("zzzzzz") == []
    assert zoo.search("mobile image network")[0].startswith("mobilenet")


def test_unknown_arguments_are_refused_by_name(registry: Registry) -> None:
    """A misspelled option is never swallowed; the message lists what the model takes."""
    with pytest.raises(ArgumentError, match=r"'unit'. Did you mean 'units'.*It takes:.*units"):
        registry.build("other", unit=3)


def test_aliases_that_users_know_are_accepted() -> None:
    """`classes=` is Keras's word for num_classes, `pretrained=True` timm's for the default weights."""
    model = zoo.build("mnist_cnn", classes=3)
    assert model.output_shape == (None, 3)
    with pytest.raises(ArgumentError, match="they differ"):
        zoo.build("mnist_cnn", classes=3, num_classes=4)
    with pytest.raises(zoo.ZooError, match="mnist_cnn"):
        zoo.build("mnist_cnn", pretrained=True)


def test_a_function_can_be_registered_without_an_import_path(registry: Registry) -> None:
    """A notebook's own function builds a model like any other, with its record."""
    registry.register(spec("mine", builder="nowhere:to_be_found"), builder=tiny)
    model = registry.build("mine", units=4)
    assert model.output_shape == (None, 4)
    assert zoo.record_of(model).arguments == {"units": 4}


PLUGIN = '''
from zoo.spec import ModelSpec, TensorInfo, TensorPreprocessing, TrainingDefaults

SPEC = ModelSpec(
    name="guest_net", builder="guest_models:guest", family="guest", input_kind="tabular", task="regression",
    description="A model of another package.", parameters=4, licence="MIT",
    inputs=(TensorInfo(name="features", shape=(3,)),), outputs=(TensorInfo(name="predictions", shape=(1,)),),
    preprocessing=TensorPreprocessing(), training=TrainingDefaults(loss="mse"))


def guest(*, width: int = 3):
    import keras

    features = keras.Input((width,), name="features")
    return keras.Model(features, keras.layers.Dense(1, name="predictions")(features), name="guest_net")
'''

PLUGIN_PROJECT = '''
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "guest-models"
version = "1.0"

[project.entry-points."zoo.models"]
guest = "guest_models:SPEC"
broken = "guest_models:MISSING"
'''


def test_models_of_an_installed_package_appear(tmp_path: Path) -> None:
    """A package installed by pip offers a model through "zoo.models"; its broken entry warns and harms nothing."""
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    (source / "guest_models.py").write_text(PLUGIN)
    (source / "pyproject.toml").write_text(PLUGIN_PROJECT)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
                    "--no-build-isolation", "--target", str(site), str(source)], check=True, timeout=300)
    code = ("import json, warnings\nwith warnings.catch_warnings(record=True) as seen:\n"
            "    warnings.simplefilter('always')\n    import zoo\n    names = zoo.list('guest*')\n"
            "model = zoo.build('guest_net', width=5)\n"
            "print(json.dumps([names, [str(w.message) for w in seen if 'Plugin' in w.category.__name__],"
            " model.input_shape[1]]))")
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300,
                            env=os.environ | {"PYTHONPATH": str(site)})
    assert answer.returncode == 0, answer.stderr
    names, warned, width = json.loads(answer.stdout.splitlines()[-1])
    assert (names, width) == (["guest_net"], 5)
    assert len(warned) == 1
    assert "'broken' of guest-models" in warned[0]


def test_models_of_several_tasks_are_found_by_each() -> None:
    """A filter on the task lists every model that can be built for it, and words find it too."""
    registry = default_registry()
    assert {"bert", "minilm_l6_h384"} <= set(registry.select(task="embedding"))
    assert {"bert", "gpt2", "mnist_cnn"} <= set(registry.select(task="classification"))
    assert "bert" not in registry.select(task="language_model")
    assert registry.search("sentence embedding vectors", limit=2) == ["minilm_l6_h384", "minilm_l12_h384"]
    assert registry.search("write text on", limit=1)[0].startswith("gpt2")
