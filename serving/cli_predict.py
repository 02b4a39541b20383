"""The command `zoo predict`: asks a running server, TensorFlow Serving or ours, and prints what came back.

It asks the server for the model's signatures and reads the words of the command line by them: pictures for
`serve_bytes`, texts for `serve_text`, `column=value,...` rows for `serve_columns`, a JSON file for any other.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serving.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    ServableNotFoundError,
    ServerUnavailableError,
    WireError,
)

if TYPE_CHECKING:
    from serving.protocol.signatures import Signature

DEFAULT_SERVER = "grpc://127.0.0.1:8500"
_PREFERRED = ("serve_bytes", "serve_text", "serve_columns", "serving_default")
_SHOWN_NUMBERS = 8
_PICTURE_STARTS = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM", b"RIFF")  # JPEG, PNG, GIF, BMP, WebP


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

    with _explained(server, model, version), PredictClient(server, timeout_seconds=timeout_seconds) as client:
        metadata = client.metadata(model, version=version)
        name = signature or choose_signature(metadata.signatures, inputs)
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
    typer.echo(f"{metadata.name} version {metadata.version}, {name}")
    _print_table(sources, plain)


@contextlib.contextmanager
def _explained(server: str, model: str, version: int | None) -> Iterator[None]:
    """Says what can be done where the bare answer of the network or of TensorFlow does not."""
    try:
        yield
    except (ServerUnavailableError, DeadlineExceededError) as error:
        raise type(error)(f"No answer from {server}: {_sentence(error)} Start a server with `zoo serve ROOT`, or name "
                          "another with `--server`.", error.code) from error
    except ServableNotFoundError as error:
        asked = f"{model!r}{f' version {version}' if version is not None else ''}"
        raise ServableNotFoundError(f"The server at {server} has no model {asked}: {_sentence(error)} It "
                                    "serves the folders under its ROOT by their names.", error.code) from error
    except InvalidRequestError as error:
        plain = re.sub(r"\s*\[\[\{\{.*", "", error.message, flags=re.DOTALL)  # names of nodes in the graph
        plain = re.sub(r"^assertion failed: \[(.*?)\] \[(.*?)\]$", r"\1 \2", plain)
        raise InvalidRequestError(plain, error.code) from error


def _sentence(error: WireError) -> str:
    return error.message if error.message.endswith((".", "?")) else f"{error.message}."


def choose_signature(signatures: Mapping[str, Signature], words: list[str]) -> str:
    """Chooses the signature for the words of a command line.

    Args:
        signatures: What the model has.
        words: Picture files, texts, rows, or one .json file.

    Returns:
        For a .json file the signature that takes just its names, else the friendliest that the model has.
    """
    if _is_json(words):
        names = set(_json_object(Path(words[0])))
        fitting = [name for name in ("serving_default", *sorted(signatures))
                   if name in signatures and set(signatures[name].inputs) == names]
        return fitting[0] if fitting else "serving_default"
    return next((name for name in _PREFERRED if name in signatures), min(signatures, default="serving_default"))


def _is_json(words: list[str]) -> bool:
    return len(words) == 1 and words[0].endswith(".json")


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
    if not _is_json(words):
        if name == "serve_bytes":
            return {next(iter(signature.inputs)): [_picture(Path(word)) for word in words]}, words
        if name == "serve_text":
            return {next(iter(signature.inputs)): words}, words
        if name == "serve_columns":
            return _columns(words, signature), words
        raise InvalidRequestError(f"The signature {name!r} takes {', '.join(sorted(signature.inputs))}. Give one .json "
                                  "file with an object of arrays by input name.")
    values = _json_object(Path(words[0]))
    foreign = sorted(set(values) - set(signature.inputs))
    if foreign:
        raise InvalidRequestError(f"The signature {name!r} has no input {foreign[0]!r}. It takes "
                                  f"{', '.join(sorted(signature.inputs))}.")
    count = len(next(iter(values.values()), ()))
    return values, [f"{words[0]}:{index}" for index in range(count)]


def _picture(path: Path) -> bytes:
    content = _content(path)
    if not content.startswith(_PICTURE_STARTS):
        raise InvalidRequestError(f"{path} is not a JPEG, PNG, GIF, BMP or WebP picture.")
    return content


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
        pairs = [part.partition("=") for part in word.split(",")]
        row = {name.strip(): text for name, equals, text in pairs if equals}
        if set(row) != set(columns) or len(pairs) != len(columns):
            raise InvalidRequestError(f"A row reads column=value,column=value with each of the columns "
                                      f"{', '.join(columns)} once (values with commas: in a .json file). "
                                      f"Received: {word!r}")
        for name, text in row.items():
            columns[name].append(text if signature.inputs[name].is_string else _number(name, text))
    return columns


def _number(name: str, text: str) -> float:
    try:
        return float(text) if text.strip() else math.nan  # missing, as in the tables that models learn from
    except ValueError:
        raise InvalidRequestError(f"The column {name!r} takes a number. Received: {text!r}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _print_table(sources: list[str], outputs: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    from zoo.console import output_console

    table = Table("input", *sorted(outputs), box=box.SIMPLE)
    for index, source in enumerate(sources):
        table.add_row(source, *(_cell(outputs[name][index]) for name in sorted(outputs)))
    output_console().print(table)


def _cell(value: Any) -> str:
    if not isinstance(value, list):
        return f"{value:.4f}" if isinstance(value, float) else str(value)
    shown = ", ".join(_cell(item) for item in value[:_SHOWN_NUMBERS])
    return shown + (", ..." if len(value) > _SHOWN_NUMBERS else "")
