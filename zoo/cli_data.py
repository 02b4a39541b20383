"""The options that say which examples are used and what model is built for them: the same in every command."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from zoo.cli_options import options_of, require_fitting, size_of, whole_numbers
from zoo.data_source import DataSource
from zoo.registry import default_registry
from zoo.spec import ModelRecord, ModelSpec


def complete_model(incomplete: str) -> list[str]:
    """Returns the models whose names begin so, for shell completion.

    Args:
        incomplete: What was typed of the name.

    Returns:
        Names.
    """
    return [name for name in default_registry().names() if name.startswith(incomplete)]


# === What is built ===

WeightsOption = Annotated[str | None, typer.Option(help="Start from: default, a tag, a file, or SCHEME:ADDRESS.")]
SizeOption = Annotated[str | None, typer.Option(help="Size of pictures in pixels: one number, or HEIGHTxWIDTH.")]
TaskOption = Annotated[str | None, typer.Option(help="What to build it for, of several: classification, regression, "
                                                     "embedding, token_classification, language_model, "
                                                     "masked_language_model.")]

# === Which examples ===

DATA_HELP = ("Folder of class folders, CSV/TSV/JSONL file, plain text for language models, CoNLL file for tags, or "
             "keras:NAME, tfds:NAME.")
TargetOption = Annotated[list[str] | None, typer.Option(help="Column of a table to predict; may be repeated.")]
ColumnOption = Annotated[list[str] | None, typer.Option(help="Column to predict from; all others if left out.")]
ShapeOption = Annotated[str | None, typer.Option(help="STEPS,FEATURES of a series that a row holds.")]
TextColumnOption = Annotated[str, typer.Option(help="Column of the text, if it cannot be guessed.")]
TextPairColumnOption = Annotated[str, typer.Option(help="Column of the second text of pairs.")]
LabelColumnOption = Annotated[str, typer.Option(help="Column of the label, if it cannot be guessed.")]
MaxLengthOption = Annotated[int | None, typer.Option(
    min=1, help="Words or tokens kept of each text, or in a block of running text; what the model reads if left out.")]
MaxWordsOption = Annotated[int | None, typer.Option(
    min=1, help="Size of the learnt vocabulary; 20,000 words, 8,000 word pieces, or for GPT-2 the bytes alone if left "
                "out.")]
ValidationFractionOption = Annotated[float | None, typer.Option(help="Fraction held out to choose by; 0.15 if left "
                                                                     "out.")]
TestFractionOption = Annotated[float | None, typer.Option(help="Fraction held out to judge by; 0.15 if left out.")]
KeepDuplicatesOption = Annotated[bool | None, typer.Option(help="Use examples of equal content.")]


def source_of(spec: ModelSpec | ModelRecord, data: str, *, known: DataSource | None = None, size: str | None = None,
              shape: str | None = None, target: list[str] | None = None, column: list[str] | None = None,
              **given: Any) -> DataSource:
    """Returns the data that the options name.

    Args:
        spec: The model that reads them.
        data: Path or name.
        known: Data that were read before in a way that holds where nothing else is said.
        size: As typed, to be refused where the model reads no pictures.
        shape: As typed.
        target: Columns to predict.
        column: Columns to predict from.
        **given: Further fields of `DataSource`; None and "" were not given.

    Returns:
        The data; their split has the seed of `known`, or 0.

    Raises:
        ArgumentError: An option is of another form or does not fit the kind of data.
    """
    reading: dict[str, Any] = {
        "target": tuple(target or ()), "columns": tuple(column or ()),
        "shape": tuple(whole_numbers("--shape", shape, ",")) if shape is not None else (),
        **{name: value for name, value in given.items() if value not in (None, "")}}
    require_fitting(spec, data, {**reading, "input_shape": size})
    base = DataSource(path=data) if known is None else dataclasses.replace(known, path=data)
    return dataclasses.replace(base, **{name: value for name, value in reading.items() if value != ()})


def building_of(spec: ModelSpec, *, option: list[str] | None = None, weights: str | None = None,
                task: str | None = None, size: str | None = None) -> dict[str, Any]:
    """Returns the arguments of `zoo.build` that the options name.

    Args:
        spec: The model.
        option: NAME=VALUE each.
        weights: Where the parameters come from.
        task: What it is built for.
        size: Of pictures, as typed.

    Returns:
        Arguments by name.

    Raises:
        ArgumentError: One is of another form.
    """
    build: dict[str, Any] = options_of(option or [])
    if weights is not None:
        build["weights"] = weights
    if task is not None:
        build["task"] = task
    if size is not None:
        build["input_shape"] = (*size_of(size), getattr(spec.preprocessing, "channels", 3))
    return build
