"""What a module of TF Hub decides about the model around it: its input, the preprocessing, and what is recorded."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import ArgumentError, ChecksumError
from zoo.layers.hub_callable import HubCallable
from zoo.spec import (
    ImagePreprocessing,
    InputKind,
    ModelSpec,
    Preprocessing,
    StringPreprocessing,
    TensorInfo,
    TensorPreprocessing,
)
from zoo.weights.checkpoint_folder import fetch_folder, recorded_handle
from zoo.weights.refs import FolderSource, parse_weights
from zoo.weights.saved_model import load_saved_model
from zoo.weights.saved_model_check import read_graphs
from zoo.weights.saved_model_folder import content_sha256

FAMILY = "hub"
_ANY_SIZE = 224  # pixels a side, for modules that take pictures of any size
_TF1_MESSAGES = "hub_module_attachments"
# A message in protobuf's coding: the key "image_module_info", and the value {size {height, width}}. No package here
# knows its definition.
_TF1_SIZE = re.compile(rb"\x0a\x11image_module_info\x12.\x0a.\x08([\x80-\xff]{0,3}[\x00-\x7f])"
                       rb"\x10([\x80-\xff]{0,3}[\x00-\x7f])", re.DOTALL)
_PREPROCESSOR_HINT = ("Give the module that makes them as preprocessor=\"tfhub:...\", or build a BERT encoder as "
                      "'bert', which trains and serves faster")


def hub_spec(spec: ModelSpec, weights: str | os.PathLike[str] | None, options: Mapping[str, Any],
             preprocessing: Preprocessing | None = None) -> ModelSpec:
    """Returns the description of a model with its module filled in; any other model's as it is.

    Args:
        spec: The model's description.
        weights: The module, as `zoo.build` takes it.
        options: The builder's arguments; a saved model has `handle` there, and no `weights`.
        preprocessing: What the caller gave; it chooses the size of pictures where the module leaves it open.

    Returns:
        The spec of the family "hub" with the module's input kind, preprocessing and arguments.

    Raises:
        ArgumentError: No module is named, or one that takes something else than one picture, text or vector.
        ChecksumError: The module is not the one that the model was saved with.
        WeightsError: The module cannot be fetched, is not whole or is refused.
    """
    if spec.family != FAMILY or "input_kind" in spec.arguments:
        return spec
    handle = weights if weights is not None else options.get("handle")
    if not handle:
        raise ArgumentError("The model `hub` is built around a module. Name it: weights=\"tfhub:PUBLISHER/MODEL/"
                            "VERSION\", a folder or an archive.")
    first, arguments = _module(handle, "handle", "sha256", options)
    if options.get("preprocessor"):
        first, further = _module(options["preprocessor"], "preprocessor", "preprocessor_sha256", options)
        arguments |= further
    signature, tags = (None, None) if options.get("preprocessor") else (options.get("signature"), options.get("tags"))
    expected = HubCallable(load_saved_model(first, tags), signature=signature).expected
    given = options.get("input_shape")
    if isinstance(preprocessing, ImagePreprocessing) and given is None:
        given = (preprocessing.height, preprocessing.width, preprocessing.channels)
    kind, shape, preprocessing = _input_of(expected, first, given)
    arguments |= {"input_kind": "tensor" if kind == "tabular" else kind, "input_shape": shape}
    taken = TensorInfo(name={"image": "image", "text": "text"}.get(kind, "features"), shape=shape,
                       dtype="string" if kind == "text" else "float32")
    return dataclasses.replace(spec, input_kind=kind, preprocessing=preprocessing, inputs=(taken,),
                               arguments={**spec.arguments, **arguments})


def hub_provenance(spec: ModelSpec) -> dict[str, Any]:
    """Returns where a module came from, for the record of the model around it.

    Args:
        spec: What `hub_spec` returned.
    """
    handle = spec.arguments["handle"]
    source = parse_weights(handle)
    address = source.address if isinstance(source, FolderSource) else f"file:{Path(handle).name}"
    return {"source": address, "sha256": spec.arguments["sha256"], "format": "saved_model"}


def _module(handle: str | os.PathLike[str], name: str, pin: str, options: Mapping[str, Any]
            ) -> tuple[Path, dict[str, Any]]:
    """Fetches a module, and returns its folder and the builder's arguments that name it and its content."""
    folder = fetch_folder(handle)
    recorded, found, expected = recorded_handle(handle, folder), content_sha256(folder), options.get(pin)
    if expected and expected != found:
        raise ChecksumError(f"{recorded!r} now leads to another module than the one that the model was made with: "
                            f"its content has the sha256 {found}, expected {expected}. Put the right one there.")
    return folder, {name: recorded, pin: found}


def _input_of(expected: Any, folder: Path, given: tuple[int | None, ...] | None
              ) -> tuple[InputKind, tuple[int | None, ...], Preprocessing]:
    """Returns the kind of input, its shape without the batch axis, and what makes it from raw content."""
    spec = expected
    if isinstance(spec, Mapping) and len(spec) == 1:
        (spec,) = spec.values()
    shape = getattr(spec, "shape", None)
    if shape is None or shape.rank is None:
        names = ", ".join(expected) if isinstance(expected, Mapping) else f"{expected}"
        raise ArgumentError(f"The module {folder.name!r} takes {names}, and `hub` feeds one picture, text or vector. "
                            f"{_PREPROCESSOR_HINT}; anything else can be built with zoo.layers.HubLayer.")
    if spec.dtype.name == "string" and shape.rank == 1:
        return "text", (), StringPreprocessing()
    if shape.rank == 4 and shape[3] in (1, 3):
        height, width, channels = _picture_size(shape.as_list()[1:], folder, given)
        scale = 1.0 / 255.0 if spec.dtype.is_floating else 1.0  # whole numbers mean pixels as they are
        return "image", (height, width, channels), ImagePreprocessing(height=height, width=width, channels=channels,
                                                                      scale=scale)
    if shape.rank == 2 and spec.dtype.name != "string":
        numbers = tuple(shape.as_list()[1:]) if given is None else tuple(given)
        return "tabular", numbers, TensorPreprocessing()
    raise ArgumentError(f"The module {folder.name!r} takes {spec.dtype.name} {shape}, and `hub` feeds one picture "
                        "[N, height, width, channels], one text [N] or one vector [N, D]. Build the model with "
                        "zoo.layers.HubLayer.")


def _picture_size(shape: list[int | None], folder: Path, given: tuple[int | None, ...] | None
                  ) -> tuple[int, int, int]:
    height, width, channels = shape
    wanted = tuple(given) if given is not None else _tf1_size(folder) or (_ANY_SIZE, _ANY_SIZE)
    size = (height or wanted[0] or _ANY_SIZE, width or wanted[1] or _ANY_SIZE)
    if given is not None and (*size, channels) != tuple(given):
        raise ArgumentError(f"The module {folder.name!r} takes pictures of {height or 'any'} x {width or 'any'} x "
                            f"{channels}. Received: input_shape={tuple(given)}.")
    return (*size, int(channels or 3))


def _tf1_size(folder: Path) -> tuple[int, int] | None:
    """Reads the picture size that a module in the format of TensorFlow 1 was trained for, where it tells."""
    for graph in read_graphs(folder):
        attached = graph.collection_def[_TF1_MESSAGES].bytes_list.value if _TF1_MESSAGES in graph.collection_def else ()
        for message in attached:
            found = _TF1_SIZE.match(message)
            if found:
                return _whole_number(found[1]), _whole_number(found[2])
    return None


def _whole_number(encoded: bytes) -> int:
    """Decodes a protobuf varint: seven bits per byte, the low ones first."""
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded))
