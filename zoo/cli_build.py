"""The command `zoo build`: a model by name, or one that a search found, as a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo import cli_data as data_options
from zoo.bundle_index import is_bundle
from zoo.cli_data import building_of, complete_model
from zoo.cli_options import IN_OPTIONS
from zoo.errors import ArgumentError
from zoo.registry import default_registry
from zoo.search_winner import SearchWinner, read_winner

if TYPE_CHECKING:
    import keras


def register(app: typer.Typer) -> None:
    """Adds the command of this file.

    Args:
        app: The command line.
    """
    app.command("build")(build_command)


def build_command(
    model: Annotated[str | None, typer.Argument(help="The model's name; `zoo list` shows all.",
                                                autocompletion=complete_model)] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The saved model's folder; built/MODEL if left "
                                                                       "out.")] = None,
    weights: data_options.WeightsOption = None,
    size: data_options.SizeOption = None,
    task: data_options.TaskOption = None,
    option: Annotated[list[str] | None, typer.Option("--option", "--set", help="Builder option NAME=VALUE; may be "
                                                                                "repeated.")] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="Number of classes.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Name of a class, in order; repeated.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Decides random parameters.")] = None,
    from_search: Annotated[Path | None, typer.Option(help="Build the best model that a search found, from its folder: "
                                                          "the same architecture with fresh parameters.")] = None,
    trial: Annotated[str | None, typer.Option(help="Trial of the search; its best one if left out.")] = None,
    trained: Annotated[bool, typer.Option("--trained", help="With the parameters that the search trained.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a saved model in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Build a model and save it, untrained or with published weights, or as a search found it."""
    given = {"model": model, "weights": weights, "size": size, "task": task, "option": option, "classes": classes,
             "label": label}
    if from_search is None:
        if trial is not None or trained:
            raise ArgumentError("`--trial` and `--trained` belong to a search. Name its folder: --from-search FOLDER.")
        if model is None:
            raise ArgumentError("Name a model, or a search: zoo build MODEL, or zoo build --from-search FOLDER.")
        winner, name = None, default_registry().resolve(model)[0].name
    else:
        _refuse(given, seed if trained else None)
        winner = read_winner(from_search, trial)
        name = default_registry().resolve(winner.model)[0].name
    folder = output or Path("built") / name
    if is_bundle(folder) and not overwrite:
        raise ArgumentError(f"{folder} holds a saved model. Name another folder with --output, or give --overwrite.")
    from zoo.console import load_tensorflow, naming_options, only_json

    with naming_options({**IN_OPTIONS, "num_classes": "--classes", "labels": "--label"}), only_json(as_json) as write:
        load_tensorflow()
        from zoo.bundle import load, save

        if winner is None:
            built = _build(str(model), given, seed)
        else:
            built = load(winner.run) if trained else _build_again(winner, seed)
        save(built, folder)
        if as_json:
            write(_description(built, folder, winner))
    if not as_json:
        found = f" of trial {winner.trial}" if winner else ""
        typer.echo(f"{name}{found} with {built.count_params():,} parameters, saved in {folder}")
        typer.echo(f"Next: zoo export {folder} --root models")


def _refuse(given: dict[str, Any], seed: int | None) -> None:
    names = [name for name, value in given.items() if value] + (["seed"] if seed is not None else [])
    if names:
        words = ", ".join("MODEL" if name == "model" else f"--{name}" for name in names)
        raise ArgumentError(f"The search decides what is built; {words} would contradict it. Leave it out, or leave "
                            "--from-search out.")


def _build(name: str, given: dict[str, Any], seed: int | None) -> keras.Model:
    spec, _ = default_registry().resolve(name)
    arguments = building_of(spec, option=given["option"], weights=given["weights"], task=given["task"],
                            size=given["size"])
    if given["classes"] is not None:
        arguments["num_classes"] = given["classes"]
    if given["label"]:
        arguments["labels"] = tuple(given["label"])
    return default_registry().build(name, **arguments, **({"seed": seed} if seed is not None else {}))


def _build_again(winner: SearchWinner, seed: int | None) -> keras.Model:
    """The trial's architecture for its data, from fresh parameters or those that the search started from."""
    record = winner.record()
    arguments: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value
                                 for name, value in record.arguments.items()}
    arguments |= {name: winner.build[name] for name in ("weights", "task", "seed") if name in winner.build}
    if seed is not None:
        arguments["seed"] = seed
    if record.labels:
        arguments["labels"] = record.labels
    return default_registry().build(winner.model, **arguments, preprocessing=record.preprocessing)


def _description(model: keras.Model, folder: Path, winner: SearchWinner | None) -> dict[str, Any]:
    from zoo.spec import record_of

    record = record_of(model)
    return {"folder": str(folder), "model": record.name, "parameters": model.count_params(),
            "arguments": dict(record.arguments), "labels": list(record.labels),
            "search": None if winner is None else {"folder": str(winner.search), "trial": winner.trial,
                                                   "values": dict(winner.values), "measures": dict(winner.measures)}}
