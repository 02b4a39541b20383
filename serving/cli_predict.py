"""The command `zoo predict`: asks a running server, TensorFlow Serving or ours, and prints what came back.

It asks the server for the model's signatures and reads the words of the command line by them: pictures for
`serve_bytes`, texts for `serve_text`, `column=value,...` rows for `serve_columns`, a JSON file for any other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serving.errors import InvalidRequestError

if TYPE_CHECKING:
    from serving.client import ModelMetadata
    from serving.protocol.signatures import Signature

DEFAULT_SERVER = "grpc://127.0.0.1:8500"
_PREFERRED = ("serve_bytes", "serve_text", "serve_columns", "serving_default")
_SHOWN_NUMBERS = 8


def predict_command(
    model: Annotated[str, typer.Argument(help="The model's name on the server.")],
    inputs: Annotated[list[str], typer.Argument(help="Picture files; texts; rows as column=value,column=value; or a "
                                                     ".json file with the signature's inputs.")],
    server: Annotated[str, typer.Option(help="grpc://HOST:PORT or http://HOST:PORT.")] = DEFAULT_SERVER,
    signature: Annotated[str | None, typer.Option(help="The signature; chosen by the inputs if left out.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Version number; the latest if left out.")] = None,
    timeout_seconds: Annotated[float, typer.Option(help="Longest wait for the answer.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Ask a running server and print its answer."""
    from serving.client import PredictClient

    with PredictClient(server, timeout_seconds=timeout_seconds) as client:
        metadata = client.metadata(model, version=version)
        name = signature or _choose(metadata, inputs)
        if name not in metadata.signatures:
            raise InvalidRequestError(f"{model} has no signature {name!r}. It has: "
                                      f"{', '.join(sorted(metadata.signatures))}.")
        arrays, sources = read_inputs(inputs, name, metadata.signatures[name])
        answer = client.predict(model, arrays, signature_name=name, version=version)
    plain = {key: _plain(value.tolist()) for key, value in answer.items()}
    if as_json:
        from zoo.console import print_json

        print_json({"model": metadata.name, "version": metadata.version, "signature": name, "inputs": sources,
                    "outputs": plain})
        return
    _print_table(f"{metadata.name} version {metadata.version}, {name}", sources, plain)


def _choose(metadata: ModelMetadata, inputs: list[str]) -> str:
    if len(inputs) == 1 and inputs[0].endswith(".json") and "serving_default" in metadata.signatures:
        return "serving_default"
    for name in _PREFERRED:
        if name in metadata.signatures:
            return name
    return min(metadata.signatures, default="serving_default")


def read_inputs(words: list[str], name: str, signature: Signature) -> tuple[dict[str, Any], list[str]]:
    """Turns the words of a command line into the inputs of a signature.

    Args:
        words: Picture files, texts, rows, or one .json file.
        name: The signature's name.
        signature: What it takes.

    Returns:
        Arrays or lists by input name, and a readable source of each example.

    Raises:
        InvalidRequestError: A file that is missing or not readable, or a row that lacks a column.
    """
    if name == "serve_bytes":
        return {next(iter(signature.inputs)): [_content(Path(word)) for word in words]}, words
    if name == "serve_text":
        return {next(iter(signature.inputs)): words}, words
    if name == "serve_columns" and not (len(words) == 1 and words[0].endswith(".json")):
        return _columns(words, signature), words
    if len(words) != 1 or not words[0].endswith(".json"):
        raise InvalidRequestError(f"The signature {name!r} takes {', '.join(sorted(signature.inputs))}. Give one .json "
                                  "file with an object of arrays by input name.")
    values = _json_object(Path(words[0]))
    count = len(next(iter(values.values()), ()))
    return values, [f"{words[0]}:{index}" for index in range(count)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error.strerror}.") from error


def _json_object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(_content(path))
    except ValueError as error:
        raise InvalidRequestError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(value, list) for value in values.values()):
        raise InvalidRequestError(f"{path} must hold an object of arrays by input name, with the batch axis first.")
    return values


def _columns(words: list[str], signature: Signature) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in signature.inputs}
    for word in words:
        row = dict(part.partition("=")[::2] for part in word.split(","))
        if set(row) != set(columns):
            raise InvalidRequestError(f"A row reads column=value,column=value with the columns "
                                      f"{', '.join(sorted(columns))}. Received: {word!r}")
        for name, text in row.items():
            columns[name].append(text if signature.inputs[name].is_string else _number(name, text))
    return columns


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidRequestError(f"The column {name!r} takes a number. Received: {text!r}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _print_table(title: str, sources: list[str], outputs: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("input", *sorted(outputs), title=title, title_justify="left", box=box.SIMPLE)
    for index, source in enumerate(sources):
        table.add_row(Text(source), *(Text(_cell(outputs[name][index])) for name in sorted(outputs)))
    Console().print(table)


def _cell(value: Any) -> str:
    if not isinstance(value, list):
        return f"{value:.4f}" if isinstance(value, float) else str(value)
    shown = ", ".join(_cell(item) for item in value[:_SHOWN_NUMBERS])
    return shown + (", ..." if len(value) > _SHOWN_NUMBERS else "")
