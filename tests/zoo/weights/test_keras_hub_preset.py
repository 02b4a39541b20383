from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.zoo.weights.small_models import differing, randomised, values
from zoo.errors import WeightsError
from zoo.weights.keras_hub_preset import BACKBONE, CONFIG, TASK, load_preset, preset_in

keras_hub = pytest.importorskip("keras_hub")

# Keras 3.15 turns its variables into arrays in a way that NumPy 2 deprecates; here it writes the files to load.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def backbone(**changes: Any) -> Any:
    return keras_hub.models.ViTBackbone(**{
        "image_shape": (16, 16, 3), "patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 12,
        "name": "backbone", **changes})


def vit(classes: int = 5, *, top: bool = True, flat: bool = False, **changes: Any) -> keras.Model:
    """A model as zoo.vision.vit builds them, with the backbone as a layer, or laid out in the model."""
    image = keras.Input((16, 16, 3), name="image")
    part = backbone(**changes)
    tokens = part.output if flat else part(image)
    x = keras.layers.Flatten(name="features")(tokens) if not top else keras.layers.Dense(
        classes, activation="softmax", name="predictions")(tokens[:, 0])
    return keras.Model(part.input if flat else image, x, name="vit")


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, keras.Model]:
    """A preset folder with a head of five classes, as keras-hub writes it, and the model that it came from."""
    folder = tmp_path_factory.mktemp("preset")
    task = keras_hub.models.ViTImageClassifier(backbone=backbone(), num_classes=5, name="task")
    randomised(task)
    task.save_to_preset(folder)
    return folder, task


def test_backbone_and_head_are_loaded(preset: tuple[Path, keras.Model]) -> None:
    """Every parameter comes from the preset, and the model computes what keras-hub's own task computes."""
    folder, task = preset
    report = load_preset(model := vit(), preset_in(folder))
    assert len(report.assigned) == len(model.weights) == len(task.weights)
    assert not report.reinitialised
    x = np.random.default_rng(0).random((2, 16, 16, 3), dtype=np.float32)
    expected = keras.ops.softmax(task.predict_on_batch(x))
    np.testing.assert_allclose(model.predict_on_batch(x), expected, atol=1e-6)


@pytest.mark.parametrize("classes", [5, 9])
def test_without_a_fitting_head_the_random_one_stays(classes: int, preset: tuple[Path, keras.Model],
                                                     tmp_path: Path) -> None:
    """With another number of classes, or a preset of a backbone alone, the head is listed as reinitialised."""
    files = preset_in(preset[0])
    if classes == 5:
        files.pop(TASK)
    model = vit(classes)
    before = values(model)
    report = load_preset(model, files)
    assert set(report.reinitialised) == {"predictions/kernel", "predictions/bias"}
    assert all(np.array_equal(before[path], values(model)[path]) for path in report.reinitialised)
    assert len(report.assigned) == len(model.weights) - 2


def test_features_need_no_head(preset: tuple[Path, keras.Model]) -> None:
    """A model that ends in features takes the backbone and leaves the preset's head."""
    report = load_preset(model := vit(top=False), preset_in(preset[0]))
    assert len(report.assigned) == len(model.weights)
    assert not report.reinitialised


@pytest.mark.parametrize(("changes", "message"), [
    ({"num_heads": 4}, "num_heads: preset 2, model 4"), ({"layer_norm_epsilon": 1e-3}, "layer_norm_epsilon"),
    ({"num_layers": 1}, "num_layers: preset 2, model 1")])
def test_other_settings_are_refused(changes: dict[str, Any], message: str, preset: tuple[Path, keras.Model]) -> None:
    """Settings that no shape shows, such as an epsilon, must be the preset's too."""
    with pytest.raises(WeightsError, match=message):
        load_preset(vit(**changes), preset_in(preset[0]))


def test_a_size_for_both_axes_may_be_one_number(preset: tuple[Path, keras.Model], tmp_path: Path) -> None:
    """Older presets say 8 where newer ones say [8, 8]; that is no difference."""
    files = preset_in(preset[0])
    config = json.loads(files[CONFIG].read_text())
    assert config["config"]["patch_size"] == [8, 8]
    config["config"]["patch_size"] = 8
    files[CONFIG] = tmp_path / "config.json"
    files[CONFIG].write_text(json.dumps(config))
    assert load_preset(vit(), files).assigned


def test_another_picture_size_is_refused_by_name(preset: tuple[Path, keras.Model]) -> None:
    """The position embeddings belong to one picture size; the error names them."""
    image = keras.Input((32, 32, 3), name="image")
    larger = keras.Model(image, backbone(image_shape=(32, 32, 3))(image))
    with pytest.raises(WeightsError, match=r"position_embedding.* expected \[17, 8\] float32, found \[5, 8\]"):
        load_preset(larger, preset_in(preset[0]))


def test_a_preset_of_another_family_is_refused(preset: tuple[Path, keras.Model], tmp_path: Path) -> None:
    """The class in the configuration must be a part of the model; nothing is made from the configuration."""
    files = preset_in(preset[0])
    config = json.loads(files[CONFIG].read_text())
    config["class_name"] = "BertBackbone"
    files[CONFIG] = tmp_path / "config.json"
    files[CONFIG].write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=r"for the class 'BertBackbone'.*it has: ViTBackbone"):
        load_preset(vit(), files)
    files[CONFIG].write_text("{}")
    with pytest.raises(WeightsError, match="names no class"):
        load_preset(vit(), files)


def test_folders_that_are_no_presets_are_refused(tmp_path: Path) -> None:
    """The missing file is named, and a split preset gets the way to join it."""
    with pytest.raises(WeightsError, match=f"it has no {CONFIG}"):
        preset_in(tmp_path)
    (tmp_path / CONFIG).write_text("{}")
    with pytest.raises(WeightsError, match=f"it has no {BACKBONE}"):
        preset_in(tmp_path)
    (tmp_path / "model.weights.json").write_text("{}")
    with pytest.raises(WeightsError, match="max_shard_size=None"):
        preset_in(tmp_path)


def test_a_second_load_gives_the_same(preset: tuple[Path, keras.Model]) -> None:
    """Loading does not depend on what the model held before."""
    one, other = vit(), randomised(vit(), 7)
    load_preset(one, preset_in(preset[0]))
    load_preset(other, preset_in(preset[0]))
    assert not differing(one, other)
