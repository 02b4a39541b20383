"""The `zoo` command: list, info, search here, the rest in cli_*.py; more through "zoo.commands".

Heavy imports stand inside the commands that need them, so that `zoo --help` and `zoo list` are quick.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from typing import Annotated, Any

import typer

from zoo import cli_build, cli_pruning, cli_training
from zoo.cli_data import complete_model
from zoo.registry import default_registry
from zoo.spec import ModelSpec

ENTRY_POINT_GROUP = "zoo.commands"
_WIDTH_FOR_DESCRIPTIONS = 130  # characters of a terminal line

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


class CommandPluginWarning(UserWarning):
    """A package that offers commands through an entry point could not be used."""


def application() -> typer.Typer:
    """Returns the whole command line: our commands and those of installed packages."""
    app = typer.Typer(name="zoo", help="From a Keras model's name to a container that answers requests.",
                      no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich",
                      context_settings={"help_option_names": ["-h", "--help"]})
    app.callback()(_general)
    app.command("list")(list_command)
    app.command("info")(info_command)
    app.command("search")(search_command)
    cli_build.register(app)
    cli_training.register(app)
    cli_pruning.register(app)
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        try:
            entry_point.load()(app)
        except Exception as error:  # a broken foreign package must not take the other commands away
            warnings.warn(f"The commands of {entry_point.value!r} are left out: {error}", CommandPluginWarning,
                          stacklevel=2)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        from zoo import __version__

        typer.echo(f"servable-zoo {__version__}")
        raise typer.Exit


def _general(version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True,
                                                   help="Print the version and exit.")] = False) -> None:
    """From a Keras model's name to a container that answers requests."""


def list_command(
    pattern: Annotated[str, typer.Argument(help="Shell-style pattern over the name, such as '*resnet*'.",
                                            autocompletion=complete_model)] = "*",
    exclude: Annotated[list[str] | None, typer.Option(help="Pattern to leave out; may be repeated.")] = None,
    family: Annotated[str | None, typer.Option(help="Architecture family, such as resnet.")] = None,
    input_kind: Annotated[str | None, typer.Option("--input", help="image, text, tabular or sequence.")] = None,
    task: Annotated[str | None, typer.Option(help="classification, regression, embedding, language_model...")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Tag that must be there; may be repeated.")] = None,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Only models with published weights.")] = False,
    max_params: Annotated[int | None, typer.Option(help="Largest number of parameters.")] = None,
    min_top1: Annotated[float | None, typer.Option(help="Smallest ImageNet top-1 accuracy in 0..1.")] = None,
    sort: Annotated[str, typer.Option(help="name, parameters or top1.")] = "name",
    as_json: JsonOption = False,
) -> None:
    """List the models that can be built."""
    registry = default_registry()
    names = registry.select(pattern, exclude=exclude or (), family=family, input_kind=input_kind, task=task,
                            tags=tag or (), weights=True if pretrained else None, max_params=max_params,
                            min_top1=min_top1, sort=sort)  # type: ignore[arg-type]
    _print_models([registry.spec(name) for name in names], as_json, f"no model fits {pattern!r} and the filters")


def search_command(
    words: Annotated[list[str], typer.Argument(help="Words that describe the model.")],
    limit: Annotated[int, typer.Option(min=1, help="Largest number of models.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Find models by a description in words, best first."""
    registry = default_registry()
    names = registry.search(" ".join(words), limit=limit)
    _print_models([registry.spec(name) for name in names], as_json, f"no model fits the words {' '.join(words)!r}")


def info_command(
    name: Annotated[str, typer.Argument(help="The model's name.", autocompletion=complete_model)],
    as_json: JsonOption = False,
) -> None:
    """Show everything that is known about one model."""
    spec = default_registry().spec(name)
    data = spec.to_dict()
    if as_json:
        from zoo.console import print_json

        print_json(data)
        return
    from rich.table import Table

    from zoo.console import output_console

    table = Table(title=spec.name, show_header=False, title_justify="left")
    for field, text in _info_rows(spec, data):
        table.add_row(field, text)
    output_console().print(table)


def _info_rows(spec: ModelSpec, data: dict[str, Any]) -> list[tuple[str, str]]:
    tensors = {side: "\n".join(f"{t.name} {t.dtype} {_shape(t.shape)}" for t in getattr(spec, side))
               for side in ("inputs", "outputs")}
    weights = "\n".join(f"{ref.tag}: {ref.source}, {ref.address or f'{ref.num_classes} classes'}, licence {ref.licence}"
                        + "".join(f", {name} {value:.3f}" for name, value in ref.metrics.items())
                        for ref in spec.weights)
    options = "\n".join(f"{name} = {value!r}" for name, value in spec.arguments.items())
    tunable = "\n".join(f"{name}: {_range(entry)}" for name, entry in data["tunable"].items())
    training = ", ".join(f"{name} {value}" for name, value in data["training"].items())
    tasks = ", ".join(task for task in spec.tasks if task != spec.task)
    rows = [("description", spec.description), ("family", spec.family), ("task", f"{spec.input_kind} {spec.task}"),
            ("other tasks", tasks),
            ("parameters", f"{spec.parameters:,}"), ("inputs", tensors["inputs"]), ("outputs", tensors["outputs"]),
            ("preprocessing", _settings(data["preprocessing"])), ("options", options), ("tunable", tunable),
            ("weights", weights or "none published"), ("training", training), ("licence", spec.licence),
            ("paper", spec.paper), ("builder", spec.builder)]
    return [(field, text) for field, text in rows if text]


def _settings(data: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in data.items() if value not in ("", [], None))


def _range(entry: dict[str, Any]) -> str:
    if entry["choices"]:
        return ", ".join(str(choice) for choice in entry["choices"])
    return f"{entry['low']} to {entry['high']}{' (logarithmic)' if entry['log'] else ''}"


def _shape(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join(["N", *("?" if size is None else str(size) for size in shape)]) + "]"


def _print_models(specs: list[ModelSpec], as_json: bool, nothing: str) -> None:
    if as_json:
        from zoo.console import print_json

        print_json([{"name": s.name, "family": s.family, "input_kind": s.input_kind, "task": s.task,
                     "tasks": s.tasks or (s.task,), "parameters": s.parameters, "top1": s.top1,
                     "weights": [ref.tag for ref in s.weights], "description": s.description} for s in specs])
        return
    if not specs:
        typer.echo(nothing)
        return
    from rich import box
    from rich.table import Table

    from zoo.console import output_console

    console = output_console()
    table = Table("name", "input", "task", "params", "top-1", "weights", box=box.SIMPLE_HEAD, pad_edge=False,
                  padding=0, show_edge=False)
    table.columns[3].justify = table.columns[4].justify = "right"
    described = console.width >= _WIDTH_FOR_DESCRIPTIONS
    if described:
        table.add_column("description")
    for column in table.columns:
        column.no_wrap = True
    for spec in specs:
        row = [spec.name, spec.input_kind, spec.task.replace("_", " "), _short_count(spec.parameters),
               f"{spec.top1:.3f}" if spec.top1 is not None else "", _short_tags(spec)]
        table.add_row(*row, *([spec.description] if described else []))
    console.print(table)


def _short_tags(spec: ModelSpec) -> str:
    """The first tag, which is the default, and how many others there are: all of them are too wide for a table."""
    more = len(spec.weights) - 1
    return (spec.weights[0].tag if spec.weights else "") + (f"+{more}" if more > 0 else "")


def _short_count(count: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return str(count)
