"""What the zoo knows about a model, as pure data: frozen dataclasses that import no TensorFlow.

`ModelSpec` describes a model that can be built, `ModelRecord` one that was built. The record travels with the
Keras model (`record_of`), into the bundle that `zoo.save` writes and into the manifest of an export.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from zoo.errors import ArgumentError
from zoo.preprocessing_spec import (
    TEXT_PREPROCESSING,
    BytePairPreprocessing,
    Column,
    ImagePreprocessing,
    Preprocessing,
    StringPreprocessing,
    TabularPreprocessing,
    TensorPreprocessing,
    TextPreprocessing,
    WordPiecePreprocessing,
    from_fields,
    plain_data,
    preprocessing_from_dict,
    preprocessing_to_dict,
)

__all__ = ["BytePairPreprocessing", "Column", "FileRef", "INPUT_KINDS", "ImagePreprocessing", "InputKind",
           "ModelRecord", "ModelSpec", "Preprocessing", "StringPreprocessing", "TASKS", "TEXT_PREPROCESSING",
           "TabularPreprocessing", "Task", "TensorInfo", "TensorPreprocessing", "TextPreprocessing",
           "TrainingDefaults", "Tunable", "WeightsRef", "WordPiecePreprocessing", "attach_record",
           "preprocessing_from_dict", "preprocessing_to_dict", "record_of"]

InputKind = Literal["image", "text", "tabular", "sequence"]
Task = Literal["classification", "binary_classification", "regression", "features", "embedding",
               "token_classification", "masked_language_model", "language_model"]

INPUT_KINDS: tuple[str, ...] = ("image", "text", "tabular", "sequence")
TASKS: tuple[str, ...] = get_args(Task)


# === Tensors ===


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """One input or output of a model: its name, shape without the batch axis (None = any size) and dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"


# === Where parameters come from ===


@dataclass(frozen=True, kw_only=True)
class FileRef:
    """A file on the network: mirrors in order of preference, and what its content must be.

    `sha256` is always checked where it is known. `md5` is what some publishers give instead; then the sha256
    found at the first download is pinned beside the cached file.
    """

    file_name: str
    urls: tuple[str, ...]
    sha256: str = ""
    md5: str = ""
    size_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class WeightsRef:
    """One set of published parameters for a model, under a tag such as "imagenet".

    Those of the format "checkpoint" lie at `address` (such as "hf://org/repository@revision") and bring their
    architecture's configuration, vocabulary and labels along.
    """

    tag: str
    format: Literal["keras_h5", "safetensors", "keras_hub_preset", "checkpoint"]
    licence: str
    source: str
    num_classes: int
    file: FileRef | None = None
    headless_file: FileRef | None = None
    labels_file: FileRef | None = None
    preset: str = ""
    address: str = ""
    preprocessing: Preprocessing | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


# === What can be built ===


@dataclass(frozen=True, kw_only=True)
class Tunable:
    """The range of one builder argument for a search: choices, or low to high (log = logarithmic)."""

    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainingDefaults:
    """The training arguments that the model's own source uses; `zoo.training` starts from them."""

    loss: str
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    batch_size: int = 32
    epochs: int = 10


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Everything the zoo knows about a model before it is built.

    `builder` is "package.module:function"; the function takes keyword-only options and returns an uncompiled
    functional `keras.Model`. `arguments` are passed to it unless the user gives others. `parameters` counts those
    of the default build. `num_classes` is 0 where the model has no class axis. `tasks` are those that the argument
    `task=` of the build may name, where there are several; `task` is the default.
    """

    name: str
    builder: str
    family: str
    input_kind: InputKind
    task: Task
    description: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    parameters: int
    licence: str
    preprocessing: Preprocessing
    training: TrainingDefaults
    paper: str = ""
    num_classes: int = 0
    weights: tuple[WeightsRef, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    tunable: Mapping[str, Tunable] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or not all(c.isalnum() or c in "_-" for c in self.name):
            raise ArgumentError(f"A model's name has letters, digits, '_' and '-' only. Received: {self.name!r}")
        if self.builder.count(":") != 1:
            raise ArgumentError(f"`builder` must read 'package.module:function'. Received: {self.builder!r}")
        if self.input_kind not in INPUT_KINDS:
            raise ArgumentError(f"`input_kind` must be one of {INPUT_KINDS}. Received: {self.input_kind!r}")
        if self.task not in TASKS:
            raise ArgumentError(f"`task` must be one of {TASKS}. Received: {self.task!r}")
        if self.tasks and (self.task not in self.tasks or not set(self.tasks) <= set(TASKS)):
            raise ArgumentError(f"`tasks` must name {self.task!r} and others of {TASKS}. Received: {self.tasks}")

    @property
    def top1(self) -> float | None:
        """The best published ImageNet top-1 accuracy in [0, 1] over the weights, or None."""
        return max((w.metrics["top1"] for w in self.weights if "top1" in w.metrics), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Returns the spec as JSON-ready data."""
        data = cast(dict[str, Any], plain_data(dataclasses.asdict(self)))
        data["preprocessing"] = preprocessing_to_dict(self.preprocessing)
        for entry, ref in zip(data["weights"], self.weights, strict=True):
            entry["preprocessing"] = preprocessing_to_dict(ref.preprocessing) if ref.preprocessing else None
        return data


# === What was built ===

_RECORD_ATTRIBUTE = "zoo_record"


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """What belongs to a built model besides its parameters.

    Attributes:
        name: The registry name, or the user's own for a model from elsewhere.
        registered: Whether `zoo.build(name, **arguments)` builds the same architecture again.
        arguments: The arguments of that build, JSON-ready.
        labels: Class names in the order of the last axis; empty where there are none.
        threshold: Probability in [0, 1] from which a binary classifier says `labels[1]`.
        weights: Where the parameters came from: tag, source, sha256, licence.
        training: The training configuration and the fingerprint of its data, empty if untrained.
        metrics: Measured results, such as {"test": {"accuracy": 0.98}}.
        versions: Versions of the packages that built it.
    """

    name: str
    input_kind: InputKind
    task: Task
    preprocessing: Preprocessing
    family: str = ""
    registered: bool = True
    arguments: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    threshold: float = 0.5
    weights: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    licence: str = ""
    paper: str = ""

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise ArgumentError(f"`threshold` must be a probability in [0, 1]. Received: {self.threshold}")

    def replace(self, **changes: Any) -> ModelRecord:
        """Returns a copy with other values in the named fields."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Returns the record as JSON-ready data."""
        data = cast(dict[str, Any], plain_data({f.name: getattr(self, f.name) for f in dataclasses.fields(self)
                                            if f.name != "preprocessing"}))
        return data | {"preprocessing": preprocessing_to_dict(self.preprocessing)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelRecord:
        """Reads what `to_dict` wrote; raises ArgumentError for unknown or missing fields."""
        values = dict(data)
        if "preprocessing" not in values:
            raise ArgumentError("The record has no `preprocessing`.")
        values["preprocessing"] = preprocessing_from_dict(values["preprocessing"])
        return cast(ModelRecord, from_fields(cls, values))


def attach_record(model: Any, record: ModelRecord) -> None:
    """Makes `record` travel with a Keras model, in place of one that it has."""
    setattr(model, _RECORD_ATTRIBUTE, record)


def record_of(model: Any) -> ModelRecord:
    """Returns the record that travels with a Keras model.

    Args:
        model: A model from `zoo.build`, `zoo.load` or `zoo.adopt`.

    Returns:
        Its record.

    Raises:
        ArgumentError: The model has none, because it was not made by the zoo.
    """
    record = getattr(model, _RECORD_ATTRIBUTE, None)
    if not isinstance(record, ModelRecord):
        raise ArgumentError(f"The model {getattr(model, 'name', model)!r} carries no zoo record (its preprocessing, "
                            "labels and provenance). Build it with zoo.build or zoo.load, or give it one with "
                            "zoo.adopt(model, ...).")
    return record
