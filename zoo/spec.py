"""What the zoo knows about a model, as pure data: frozen dataclasses that import no TensorFlow.

`ModelSpec` describes a model that can be built, `ModelRecord` one that was built. The record travels with the
Keras model (`record_of`), into the bundle that `zoo.save` writes and into the manifest of an export.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, cast

from zoo.errors import ArgumentError

InputKind = Literal["image", "text", "tabular", "sequence"]
Task = Literal["classification", "binary_classification", "regression", "features"]

INPUT_KINDS: tuple[str, ...] = ("image", "text", "tabular", "sequence")
TASKS: tuple[str, ...] = ("classification", "binary_classification", "regression", "features")


# === Tensors ===


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """One input or output of a model: its name, shape without the batch axis (None = any size) and dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"


# === Preprocessing ===


@dataclass(frozen=True, kw_only=True)
class ImagePreprocessing:
    """How an encoded picture becomes the tensor [height, width, channels] that a model was trained on.

    The picture is decoded, turned upright (EXIF), resized, and each channel becomes
    `(pixel * scale - mean) / std` with pixels in [0, 255] in `channel_order`.

    resize: "stretch" ignores the aspect ratio; "crop" keeps it, resizes the short side to
    `size / crop_fraction` and cuts out the centre; "pad" keeps it and fills the rest with black.
    """

    kind: ClassVar[str] = "image"
    height: int
    width: int
    channels: int = 3
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    crop_fraction: float = 1.0
    interpolation: Literal["bilinear", "bicubic", "nearest", "area"] = "bilinear"
    antialias: bool = True
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    channel_order: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"`{name}` must be at least 1 pixel. Received: {getattr(self, name)}")
        if self.channels not in (1, 3):
            raise ArgumentError(f"`channels` must be 1 (grey) or 3 (colour). Received: {self.channels}")
        if not 0.0 < self.crop_fraction <= 1.0:
            raise ArgumentError(f"`crop_fraction` must be in (0, 1]. Received: {self.crop_fraction}")
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (0, self.channels):
                raise ArgumentError(f"`{name}` must be empty or have one value per channel ({self.channels}). "
                                    f"Received: {getattr(self, name)}")
        if any(value <= 0 for value in self.std):
            raise ArgumentError(f"`std` must be positive. Received: {self.std}")

    def resized(self, height: int, width: int) -> ImagePreprocessing:
        """Returns the same preprocessing for another picture size in pixels."""
        return dataclasses.replace(self, height=height, width=width)


@dataclass(frozen=True, kw_only=True)
class TextPreprocessing:
    """How a string becomes int32 word ids [max_length]: 0 is padding, 1 an unknown word, 2... the vocabulary."""

    kind: ClassVar[str] = "text"
    max_length: int
    vocabulary: tuple[str, ...] = ()
    lowercase: bool = True

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise ArgumentError(f"`max_length` must be at least 1 word. Received: {self.max_length}")
        if len(set(self.vocabulary)) != len(self.vocabulary):
            raise ArgumentError("`vocabulary` must not contain a word twice.")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table: numeric (standardised by mean and std) or categorical (one-hot over categories)."""

    name: str
    kind: Literal["numeric", "categorical"] = "numeric"
    mean: float = 0.0
    std: float = 1.0
    categories: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of features that the column becomes."""
        return 1 if self.kind == "numeric" else len(self.categories)


@dataclass(frozen=True, kw_only=True)
class TabularPreprocessing:
    """How the columns of one row become a float32 vector, reshaped to `shape` where it is given (sequences)."""

    kind: ClassVar[str] = "tabular"
    columns: tuple[Column, ...]
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TensorPreprocessing:
    """The model takes tensors as they are."""

    kind: ClassVar[str] = "tensor"


Preprocessing = ImagePreprocessing | TextPreprocessing | TabularPreprocessing | TensorPreprocessing

_PREPROCESSING: dict[str, type[Any]] = {
    cls.kind: cls for cls in (ImagePreprocessing, TextPreprocessing, TabularPreprocessing, TensorPreprocessing)
}


def preprocessing_to_dict(preprocessing: Preprocessing) -> dict[str, Any]:
    """Returns the preprocessing as JSON-ready data with its kind under "kind"."""
    return {"kind": preprocessing.kind, **cast(dict[str, Any], _plain(dataclasses.asdict(preprocessing)))}


def preprocessing_from_dict(data: Mapping[str, Any]) -> Preprocessing:
    """Reads what `preprocessing_to_dict` wrote.

    Raises:
        ArgumentError: An unknown kind or field.
    """
    values = dict(data)
    kind = values.pop("kind", None)
    if kind not in _PREPROCESSING:
        raise ArgumentError(f"Unknown preprocessing kind {kind!r}. Expected one of {sorted(_PREPROCESSING)}.")
    if kind == "tabular":
        values["columns"] = tuple(_from_fields(Column, column) for column in values.get("columns", ()))
    return cast(Preprocessing, _from_fields(_PREPROCESSING[kind], values))


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
    """One set of published parameters for a model, under a tag such as "imagenet"."""

    tag: str
    format: Literal["keras_h5", "safetensors", "keras_hub_preset"]
    licence: str
    source: str
    num_classes: int
    file: FileRef | None = None
    headless_file: FileRef | None = None
    labels_file: FileRef | None = None
    preset: str = ""
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
    of the default build. `num_classes` is 0 where the model has no class axis.
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

    def __post_init__(self) -> None:
        if not self.name or not all(c.isalnum() or c in "_-" for c in self.name):
            raise ArgumentError(f"A model's name has letters, digits, '_' and '-' only. Received: {self.name!r}")
        if self.builder.count(":") != 1:
            raise ArgumentError(f"`builder` must read 'package.module:function'. Received: {self.builder!r}")
        if self.input_kind not in INPUT_KINDS:
            raise ArgumentError(f"`input_kind` must be one of {INPUT_KINDS}. Received: {self.input_kind!r}")
        if self.task not in TASKS:
            raise ArgumentError(f"`task` must be one of {TASKS}. Received: {self.task!r}")

    @property
    def top1(self) -> float | None:
        """The best published ImageNet top-1 accuracy in [0, 1] over the weights, or None."""
        return max((w.metrics["top1"] for w in self.weights if "top1" in w.metrics), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Returns the spec as JSON-ready data."""
        data = cast(dict[str, Any], _plain(dataclasses.asdict(self)))
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
        data = cast(dict[str, Any], _plain({f.name: getattr(self, f.name) for f in dataclasses.fields(self)
                                            if f.name != "preprocessing"}))
        return data | {"preprocessing": preprocessing_to_dict(self.preprocessing)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelRecord:
        """Reads what `to_dict` wrote; raises ArgumentError for unknown or missing fields."""
        values = dict(data)
        if "preprocessing" not in values:
            raise ArgumentError("The record has no `preprocessing`.")
        values["preprocessing"] = preprocessing_from_dict(values["preprocessing"])
        return cast(ModelRecord, _from_fields(cls, values))


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


# === Plain data ===


def _plain(value: Any) -> Any:
    """Turns tuples into lists and mappings into dicts, all the way down."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _frozen(value: Any) -> Any:
    """Turns lists back into tuples, all the way down."""
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    return value


def _from_fields(cls: type[Any], values: Mapping[str, Any]) -> Any:
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ArgumentError(f"{cls.__name__} has no field {unknown[0]!r}. It has: {', '.join(sorted(fields))}.")
    missing = sorted(name for name, f in fields.items() if name not in values
                     and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING)
    if missing:
        raise ArgumentError(f"{cls.__name__} needs the field {missing[0]!r}, which is missing.")
    return cls(**{name: _frozen(value) for name, value in values.items()})
