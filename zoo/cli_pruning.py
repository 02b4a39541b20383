"""The command `zoo prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from zoo import cli_data as data_options
from zoo.bundle_index import require_bundle
from zoo.cli_data import source_of
from zoo.cli_options import IN_OPTIONS
from zoo.errors import ArgumentError


def register(app: typer.Typer) -> None:
    """Adds the command.

    Args:
        app: The command line.
    """
    app.command("prune")(prune_command)


def prune_command(
    run: Annotated[Path, typer.Argument(help="The folder of a trained model.")],
    data: Annotated[str | None, typer.Argument(help="Examples to recover on; the run's own if left out.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The new run's folder; RUN-pruned if left out.")]
    = None,
    method: Annotated[str, typer.Option(help="filters, units (of dense layers and feed-forward nets), heads, several "
                                             "of them joined by +, layers, or magnitude.")] = "filters",
    fraction: Annotated[float | None, typer.Option(help="Which part goes, in (0, 1); 0.3 if left out.")] = None,
    pattern: Annotated[str | None, typer.Option(help="For magnitude in place of --fraction: N:M, such as 2:4.")] = None,
    criterion: Annotated[str | None, typer.Option(help="What decides: l1, l2, batch_norm, or taylor, which asks the "
                                                       "data (the default).")] = None,
    scope: Annotated[str, typer.Option(help="group: that part of every group of layers; model: of all together.")]
    = "group",
    multiple: Annotated[int | None, typer.Option(min=1, help="Filters and units are left in multiples of this; 8 if "
                                                             "left out.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Cut and recover in so many rounds.")] = 1,
    epochs: Annotated[int | None, typer.Option(min=0, help="Epochs of recovery in each round; 3 if left out, 0 for "
                                                           "none.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate; 0.3 of the run's own if left "
                                                             "out.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples per step.")] = None,
    teacher: Annotated[Path | None, typer.Option(help="Folder of a trained model to learn from besides, such as RUN "
                                                      "itself.")] = None,
    teacher_weight: Annotated[float | None, typer.Option(help="Share of the teacher's answers in the loss; 0.5 if "
                                                              "left out.")] = None,
    temperature: Annotated[float | None, typer.Option(help="What both models' logits are divided by; 2 if left "
                                                           "out.")] = None,
    target: data_options.TargetOption = None,
    text_column: data_options.TextColumnOption = "",
    text_pair_column: data_options.TextPairColumnOption = "",
    label_column: data_options.LabelColumnOption = "",
    seed: Annotated[int | None, typer.Option(min=0, help="Decides the order of the examples.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Remove an earlier run in the folder first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Cut the least important parts out of a trained model and let it recover; the same command resumes it."""
    require_bundle(run)
    if teacher is not None:
        require_bundle(teacher)
    elif teacher_weight is not None or temperature is not None:
        raise ArgumentError("`--teacher-weight` and `--temperature` say how a teacher is used. Name one: --teacher "
                            "FOLDER.")
    from zoo.console import TrainingDisplay, load_tensorflow, naming_options, only_json

    with naming_options(IN_OPTIONS):
        load_tensorflow()
        from zoo.pruned_runs import PruningPlan, prune_run, recovery_config
        from zoo.retraining import known_source, saved_record

        record, known = saved_record(run), known_source(run)
        path = data or (known.path if known else None)
        if path is None:
            raise ArgumentError(f"{run} does not say which data its model was trained on. Name the data: zoo prune "
                                f"{run} DATA.")
        source = source_of(record, path, known=known, target=target, text_column=text_column,
                           text_pair_column=text_pair_column, label_column=label_column)
        plan = PruningPlan(method=method, fraction=0.3 if fraction is None and pattern is None else fraction,
                           pattern=pattern, criterion=criterion, scope=scope, multiple=multiple, rounds=rounds)
        given = {"epochs": epochs or None, "learning_rate": learning_rate, "batch_size": batch_size, "seed": seed}
        config = recovery_config(record, **{name: value for name, value in given.items() if value is not None})
        settings = {"weight": teacher_weight, "temperature": temperature}
        with only_json(as_json) as write_json, TrainingDisplay(quiet=as_json) as display:
            result = prune_run(run, output or run.with_name(f"{run.name}-pruned"), plan, source=source, config=config,
                               recover=epochs != 0, teacher=teacher, teacher_settings=settings, restart=restart,
                               progress=display.show, announce=display.announce)
    if as_json:
        write_json({"folder": str(result.folder), "before": result.before.to_dict(), "after": result.after.to_dict(),
                    "part": result.part, "measures": dict(result.measures)})
        return
    _show(result)


def _show(result: Any) -> None:
    from rich import box
    from rich.table import Table

    from zoo.compression.cost import comparison
    from zoo.console import output_console

    names = {"before": "before", "cut": "cut", "after": "recovered"}
    shown = [name for name in names if name in result.measures]
    table = Table(f"{result.part} part", *(names[name] for name in shown), box=box.SIMPLE)
    for measure in result.measures["before"]:
        values = [result.measures[name].get(measure) for name in shown]
        table.add_row(measure.replace("_", " "), *("undefined" if value is None else f"{value:.4f}"
                                                   for value in values))
    if result.measures["before"]:
        output_console().print(table)
    typer.echo(comparison(result.before, result.after))
    typer.echo(f"Saved in {result.folder}. Next: zoo export {result.folder} --root models")
