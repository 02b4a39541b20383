"""How raw content becomes what a model takes, as pure data: frozen dataclasses that import no TensorFlow.

`zoo.preprocessing` runs them, the same in training and inside an export.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

from zoo.errors import ArgumentError


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
class WordPiecePreprocessing:
    """How strings become the ids of BERT: the word pieces of a text, or of two, between special tokens.

    A text becomes `[CLS] a [SEP]`, a pair `[CLS] a [SEP] b [SEP]`; the position of a piece in `vocabulary` is its id.
    Without a vocabulary it is learnt from the training texts.

    max_length: Tokens that the model reads, with the special ones.
    lowercase: Whether capitals become small letters and accents are dropped ("uncased").
    pair: Whether each example has two texts.
    truncation: What a pair that is too long loses: the end of the longer text, token by token, or of one of them.
    special_tokens_in_text: Whether "[MASK]" and its like in a user's text mean the special token.
    """

    kind: ClassVar[str] = "wordpiece"
    max_length: int
    vocabulary: tuple[str, ...] = ()
    lowercase: bool = True
    pair: bool = False
    truncation: Literal["longest_first", "only_first", "only_second"] = "longest_first"
    special_tokens_in_text: bool = False
    unknown_token: str = "[UNK]"
    classify_token: str = "[CLS]"
    separator_token: str = "[SEP]"
    padding_token: str = "[PAD]"
    mask_token: str = "[MASK]"

    def __post_init__(self) -> None:
        if self.max_length < 4:
            raise ArgumentError(f"`max_length` must be at least 4 tokens. Received: {self.max_length}")
        if self.truncation not in ("longest_first", "only_first", "only_second"):
            raise ArgumentError("`truncation` must be 'longest_first', 'only_first' or 'only_second'. "
                                f"Received: {self.truncation!r}")
        for name in ("unknown", "classify", "separator", "padding"):
            token = getattr(self, f"{name}_token")
            if self.vocabulary and token not in self.vocabulary:
                raise ArgumentError(f"The vocabulary lacks the {name} token {token!r}. Give the vocabulary that the "
                                    "model was trained with.")


@dataclass(frozen=True, kw_only=True)
class BytePairPreprocessing:
    """How strings become the ids of GPT-2: bytes that are merged in the order of a learnt list.

    `vocabulary` and `merges` are written in GPT-2's alphabet, which has a visible character for every byte; the
    position of a token in `vocabulary` is its id, and a merge is "left right". Without merges every byte is a token.

    max_length: Tokens that the model reads.
    end_of_text: The token that separates texts; it also pads.
    add_end_of_text: Whether each text ends with it (for classification and training, not for prompts).
    truncation: Which end of a text that is too long is dropped: "right" keeps its start, "left" its end.
    special_tokens_in_text: Whether `end_of_text` in a user's text means the special token.
    """

    kind: ClassVar[str] = "byte_pair"
    max_length: int
    vocabulary: tuple[str, ...] = ()
    merges: tuple[str, ...] = ()
    end_of_text: str = "<|endoftext|>"
    add_end_of_text: bool = False
    truncation: Literal["left", "right"] = "right"
    special_tokens_in_text: bool = False

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise ArgumentError(f"`max_length` must be at least 1 token. Received: {self.max_length}")
        if self.truncation not in ("left", "right"):
            raise ArgumentError(f"`truncation` must be 'left' or 'right'. Received: {self.truncation!r}")
        if self.vocabulary and self.end_of_text not in self.vocabulary:
            raise ArgumentError(f"The vocabulary lacks the token {self.end_of_text!r}. Give the vocabulary that the "
                                "model was trained with.")


@dataclass(frozen=True, kw_only=True)
class StringPreprocessing:
    """The model takes texts as they are and cuts them up itself, as the text embeddings of TF Hub do."""

    kind: ClassVar[str] = "string"
    vocabulary: ClassVar[tuple[str, ...]] = ()  # it is inside the model; there is nothing to learn


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


Preprocessing = (ImagePreprocessing | TextPreprocessing | WordPiecePreprocessing | BytePairPreprocessing
                 | StringPreprocessing | TabularPreprocessing | TensorPreprocessing)
# The kinds that read texts.
TEXT_PREPROCESSING = (TextPreprocessing, WordPiecePreprocessing, BytePairPreprocessing, StringPreprocessing)

_PREPROCESSING: dict[str, type[Any]] = {
    cls.kind: cls for cls in (ImagePreprocessing, *TEXT_PREPROCESSING, TabularPreprocessing, TensorPreprocessing)
}


def preprocessing_to_dict(preprocessing: Preprocessing) -> dict[str, Any]:
    """Returns the preprocessing as JSON-ready data with its kind under "kind"."""
    return {"kind": preprocessing.kind, **cast(dict[str, Any], plain_data(dataclasses.asdict(preprocessing)))}


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
        values["columns"] = tuple(from_fields(Column, column) for column in values.get("columns", ()))
    return cast(Preprocessing, from_fields(_PREPROCESSING[kind], values))


# === Plain data ===


def plain_data(value: Any) -> Any:
    """Turns tuples into lists and mappings into dicts, all the way down."""
    if isinstance(value, Mapping):
        return {str(key): plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(item) for item in value]
    return value


def _frozen(value: Any) -> Any:
    """Turns lists back into tuples, all the way down."""
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    return value


def from_fields(cls: type[Any], values: Mapping[str, Any]) -> Any:
    """Makes a dataclass of JSON data.

    Args:
        cls: The dataclass.
        values: Its fields by name; lists become tuples.

    Returns:
        The instance.

    Raises:
        ArgumentError: An unknown or missing field.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ArgumentError(f"{cls.__name__} has no field {unknown[0]!r}. It has: {', '.join(sorted(fields))}.")
    missing = sorted(name for name, f in fields.items() if name not in values
                     and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING)
    if missing:
        raise ArgumentError(f"{cls.__name__} needs the field {missing[0]!r}, which is missing.")
    return cls(**{name: _frozen(value) for name, value in values.items()})
