"""Parameters from a keras-hub preset into a zoo model that is built on the same backbone class.

A preset is a folder: `config.json` and `model.weights.h5` of the backbone, and `task.weights.h5` of the head if it
was saved with one. No class is made from the configuration; it is only compared with the backbone that is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from zoo.errors import WeightsError
from zoo.weights import hdf5
from zoo.weights.head import HeadRule, head_layer, head_rule
from zoo.weights.keras_file import load_keras3_weights
from zoo.weights.keras_layout import is_own_place
from zoo.weights.matching import Tensor, match
from zoo.weights.report import LoadReport

CONFIG = "config.json"
BACKBONE = "model.weights.h5"
TASK = "task.weights.h5"

# What may differ between the preset and the model without changing what a parameter means.
_FREE = frozenset({"name", "dtype", "trainable", "image_shape", "dropout", "dropout_rate", "attention_dropout",
                   "data_format"})


def preset_in(folder: Path) -> dict[str, Path]:
    """Returns the files of a local preset folder by name.

    Args:
        folder: The folder.

    Returns:
        The files that are there.

    Raises:
        WeightsError: The folder holds no preset, or one in pieces ("shards").
    """
    files = {name: folder / name for name in (CONFIG, BACKBONE, TASK) if (folder / name).is_file()}
    if CONFIG in files and BACKBONE not in files and (folder / "model.weights.json").is_file():
        raise WeightsError(f"The preset in {folder} is split into several files, which cannot be loaded. Save it again "
                           "as one: backbone.save_to_preset(folder, max_shard_size=None).")
    for name in (CONFIG, BACKBONE):
        if name not in files:
            raise WeightsError(f"{folder} is no keras-hub preset: it has no {name}. A weights folder is a preset or "
                               "a model that zoo.save wrote.")
    return files


def load_preset(model: keras.Model, files: Mapping[str, Path]) -> LoadReport:
    """Loads the backbone of a preset, and its head where both have one with the same number of classes.

    Args:
        model: A built zoo model with a keras-hub backbone, as one of its layers or laid out within it.
        files: "config.json", "model.weights.h5" and, if there is one, "task.weights.h5".

    Returns:
        What happened to each variable.

    Raises:
        WeightsError: The preset is of another class or of other sizes.
    """
    config = _read_config(files[CONFIG])
    backbone = _backbone(model, config)
    rule = head_rule(model) if backbone is model else HeadRule()
    report = load_keras3_weights(backbone, files[BACKBONE], rule=rule, origin="the preset's backbone")
    return _load_head(model, report, files.get(TASK))


def _backbone(model: keras.Model, config: Mapping[str, Any]) -> Any:
    wanted = str(config.get("class_name", ""))
    candidates = [layer for layer in model._flatten_layers() if type(layer).__name__ == wanted]
    if not candidates:
        classes = sorted({type(layer).__name__ for layer in model.layers if isinstance(layer, keras.Model)})
        raise WeightsError(f"The preset is for the class {wanted!r}, and the model {model.name!r} has no such part"
                           f"{f' (it has: {chr(44).join(classes)})' if classes else ''}. Choose a preset of this "
                           "model's family.")
    _compare_configs(config.get("config", {}), candidates[0])
    return candidates[0]


def _compare_configs(stored: Mapping[str, Any], backbone: Any) -> None:
    """Refuses a preset that computes something else with parameters of the same shapes."""
    own = json.loads(json.dumps(backbone.get_config(), default=str))
    different = [f"{name}: preset {stored[name]!r}, model {own[name]!r}" for name in sorted(stored)
                 if name in own and name not in _FREE and _plain(stored[name]) != _plain(own[name])]
    if different:
        raise WeightsError(f"The preset's {type(backbone).__name__} has other settings than the model's: "
                           f"{'; '.join(different)}. Build the model with the preset's settings.")


def _plain(value: Any) -> Any:
    """Writes a size for both axes as one number: older presets say 16 where newer ones say [16, 16]."""
    equal = isinstance(value, list) and value and all(item == value[0] for item in value)
    return value[0] if equal else value


def _load_head(model: keras.Model, report: LoadReport, task: Path | None) -> LoadReport:
    layer = head_layer(model)
    if layer is None:
        return report
    variables = {str(number): variable for number, variable in enumerate(layer.weights)}
    shapes = {variable.path: tuple(variable.shape) for variable in layer.weights}
    rest = LoadReport(assigned=report.assigned, unused=report.unused, missing=report.missing)
    if task is None:
        return rest.merged(LoadReport(reinitialised=shapes))
    with hdf5.opened(task) as file:
        stored = _head_datasets(file)
        tensors = {key: Tensor(dataset.name, tuple(dataset.shape)) for key, dataset in stored.items()}
        rule = HeadRule(head_ids=frozenset(id(variable) for variable in layer.weights))
        if _other_class_count(layer, stored):
            return rest.merged(LoadReport(reinitialised=shapes))
        found = match(variables, tensors, rule, "the preset's head")
        for key in found.keys:
            variables[key].assign(hdf5.values(stored[key]))
    return rest.merged(found.report)


def _other_class_count(layer: Any, stored: Mapping[str, Any]) -> bool:
    ours = [tuple(variable.shape) for variable in layer.weights]
    theirs = [tuple(dataset.shape) for dataset in stored.values()]
    return ours != theirs and [shape[:-1] for shape in ours] == [shape[:-1] for shape in theirs]


def _head_datasets(file: Any) -> dict[str, Any]:
    """Returns kernel and bias of the layer "predictions", or of the only layer that is there."""
    groups: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    for place, dataset in hdf5.datasets(file):
        if not is_own_place(place):  # a task is compiled from the start, so its file has an optimizer's counters
            continue
        above, _, number = place.rpartition("/")
        groups.setdefault(above, {})[number] = dataset
        names[above] = str(dataset.parent.attrs.get("name", ""))
    heads = [above for above in groups if names[above] == "predictions"]
    chosen = heads[0] if heads else next(iter(groups), "")
    extra = [above for above in groups if above != chosen]
    if extra:
        raise WeightsError(f"The preset's head has layers beside its last one ({', '.join(extra)}), which the model "
                           "does not have. Load the preset with include_top=False and train a head.")
    return groups.get(chosen, {})


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(f"The preset's configuration {path} cannot be read: {error}") from error
    if not isinstance(config, dict) or "class_name" not in config:
        raise WeightsError(f"{path} is no configuration of a keras-hub backbone: it names no class.")
    return config
