"""The commands `zoo tune status`, `stop`, `best` and `report`, and how results are shown."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuning.errors import SearchError
from tuning.folder import SearchFolder
from zoo.errors import ArgumentError

if TYPE_CHECKING:
    from tuning.final_score import FinalScore
    from tuning.study.state import SearchView
    from tuning.trial import Trial

_POLL_SECONDS = 0.2
_SHOWN = 10  # trials in a status
_MEASURES_SHOWN = 3  # of the final score, where no objective is among its measures

FolderArgument = Annotated[Path, typer.Argument(help="The search's folder, which `zoo tune --output` named.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def status_command(folder: FolderArgument, everything: Annotated[bool, typer.Option(
        "--all", help="Show every trial, not the best and the running ones alone.")] = False,
        as_json: JsonOption = False) -> None:
    """Show how far a search is, also while it runs elsewhere."""
    from tuning.study.state import read_search
    from zoo.console import output_console, print_json

    view = read_search(SearchFolder.at(folder))
    if as_json:
        print_json(_status(view))
        return
    typer.echo(_state_in_words(view))
    output_console().print(_table(view, None if everything else _SHOWN))
    for remark in view.remarks[-3:]:
        typer.echo(f"  {remark.text}")


def stop_command(folder: FolderArgument, wait: Annotated[bool, typer.Option(
        "--wait/--no-wait", help="Return when the search has stopped.")] = True) -> None:
    """Stop a search; saved epochs stay, and the same command or `zoo tune resume` goes on."""
    from tuning.study.state import read_search, request_stop

    place = SearchFolder.at(folder)
    if not request_stop(place):
        typer.echo(f"No process works on the search in {folder}.")
        return
    while wait and read_search(place).alive:
        time.sleep(_POLL_SECONDS)
    done = "has stopped" if wait else "was asked to stop"
    typer.echo(f"The search {done}. It goes on with: zoo tune resume {folder}")


def best_command(
    folder: FolderArgument,
    trial: Annotated[str | None, typer.Option(help="Another trial than the best.")] = None,
    pareto: Annotated[int | None, typer.Option(min=1, help="The N-th of the Pareto front, as this command numbers "
                                                           "it.")] = None,
    export: Annotated[Path | None, typer.Option(help="Publish its model in this model repository.")] = None,
    name: Annotated[str | None, typer.Option(help="Name to serve it under; the model's own if left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the best trial and the Pareto front, and publish a model of them."""
    from tuning.final_score import known_score
    from tuning.run import trial_dict
    from tuning.study.state import read_search
    from zoo.console import only_json

    if name is not None and export is None:
        raise ArgumentError("`--name` is for a model that is published. Name a repository: --export ROOT.")
    place = SearchFolder.at(folder)
    view = read_search(place)
    chosen = choose(view, trial, pareto)
    with only_json(as_json) as write_json:
        published = publish(view, chosen, export, name) if export is not None else None
        if as_json:
            final = known_score(place)
            write_json({"trial": trial_dict(chosen), "front": [one.id for one in view.front], "folder": str(place.path),
                        "run": str(place.execution(chosen.id)), "export": published,
                        "final": final.to_dict() if final is not None and final.trial == chosen.id else None})
            return
    show_trial(view, chosen)
    if len(view.config.objectives) > 1:
        typer.echo("Pareto front:")
        for number, one in enumerate(view.front, 1):
            typer.echo(f"  {number}. trial {one.id}: {_measures(view, one)}")
    show_final(view, known_score(place), chosen)
    if published is not None:
        show_export(published, export)
    else:
        show_next(view, chosen)


def report_command(
    folder: FolderArgument,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of the report; FOLDER/report if left "
                                                                       "out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write tables, plots and TensorBoard's HParams of a search, also while it runs."""
    from tuning.report.search_report import SearchReport
    from tuning.study.state import read_search
    from zoo.console import print_json

    place = SearchFolder.at(folder)
    report = SearchReport.of(read_search(place))
    target = output or place.report
    files = report.save(target)
    if as_json:
        print_json(report.to_dict() | {"files": [str(path) for path in files]})
        return
    for path in files:
        typer.echo(str(near(path)))
    typer.echo(f"TensorBoard: tensorboard --logdir {near(target / 'tensorboard')}")


# === What the commands share ===


def choose(view: SearchView, trial: str | None, pareto: int | None) -> Trial:
    """Returns the trial that is meant.

    Args:
        view: The search.
        trial: A trial's id, with or without leading zeros, or None.
        pareto: Its number on the Pareto front, from 1, or None.

    Returns:
        The trial; the best one where nothing is said.

    Raises:
        ArgumentError: There is no such one.
    """
    if trial is not None and pareto is not None:
        raise ArgumentError("`--trial` and `--pareto` both choose a trial. Give one of them.")
    if pareto is not None:
        if pareto > len(view.front):
            raise ArgumentError(f"The Pareto front holds {len(view.front)} of the trials. Received: --pareto {pareto}")
        return view.front[pareto - 1]
    if trial is not None:
        found = view.trials.get(trial) or next((one for name, one in view.trials.items() if trial.isdigit()
                                                and name.isdigit() and int(name) == int(trial)), None)
        if found is None:
            raise ArgumentError(f"The search has no trial {trial!r}. `zoo tune status --all` lists them.")
        return found
    if view.best is None:
        raise ArgumentError(f"The search in {view.folder.path} has no best trial yet: of {len(view.trials)} trials "
                            "none has finished and met the constraints.")
    return view.best


def publish(view: SearchView, trial: Trial, root: Path, name: str | None) -> dict[str, Any]:
    """Publishes a trial's model as a version of a model repository.

    Args:
        view: The search.
        trial: The trial.
        root: The repository.
        name: Name to serve it under, or None.

    Returns:
        Name, version and path, JSON-ready.

    Raises:
        SearchError: The trial has no model that can be exported.
    """
    from zoo.bundle_index import is_bundle
    from zoo.console import load_tensorflow

    run = view.folder.execution(trial.id)
    if not view.config.model and not is_bundle(run):
        raise SearchError("A hypermodel's models are no zoo models, so they cannot be exported from here. Open one "
                          "with KerasTuner's tuner.get_best_models(), and give it to zoo.adopt and "
                          "serving.export.export_model.")
    if not is_bundle(run):
        raise SearchError(f"Trial {trial.id} ({trial.status}) has no trained model: {run} holds none.")
    load_tensorflow()
    from tuning import handover

    published = handover.publish(run, root, name=name)
    return {"name": published.name, "version": published.version, "path": str(published.path)}


def show_trial(view: SearchView, trial: Trial) -> None:
    """Prints a trial's hyperparameters and measures.

    Args:
        view: The search.
        trial: The trial.
    """
    word = "the best" if view.best is not None and trial.id == view.best.id else trial.status
    typer.echo(f"trial {trial.id}, {word} of {len(view.trials)}: {_measures(view, trial)}")
    for name, value in trial.searched.items():
        typer.echo(f"  {name} = {f'{value:.6g}' if isinstance(value, float) else value}")


def show_final(view: SearchView, final: FinalScore | None, trial: Trial) -> None:
    """Prints how a trial does on the test part, if it was judged.

    Args:
        view: The search.
        final: The last judgement.
        trial: The trial.
    """
    if final is None or final.trial != trial.id:
        return
    wanted = [objective.name.removeprefix("val_") for objective in view.config.objectives]
    names = [name for name in wanted if name in final.measures] or list(final.measures)[:_MEASURES_SHOWN]
    measures = ", ".join(f"{name} {final.measures[name]:.4g}" for name in names)
    typer.echo(f"on the test part, which the search never saw ({final.examples} examples): {measures}; more in "
               f"{near(view.folder.execution(trial.id) / 'report' / 'report.md')}")


def show_export(published: Mapping[str, Any], root: Path | None) -> None:
    """Prints where a model was published.

    Args:
        published: What `publish` returned.
        root: The repository.
    """
    typer.echo(f"published: {published['name']} version {published['version']} in {published['path']}")
    typer.echo(f"Next: zoo serve {root}")


def near(path: Path) -> Path:
    """Returns a path as it is seen from the working directory, if it lies below it.

    Args:
        path: An absolute path.
    """
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def show_next(view: SearchView, trial: Trial) -> None:
    """Prints what can be done with a trial.

    Args:
        view: The search.
        trial: The trial.
    """
    folder = near(view.folder.path)
    if view.config.model:
        best = view.best is not None and trial.id == view.best.id
        which = f"{folder}" if best else f"{folder} --trial {trial.id}"
        typer.echo(f"Its model is in {near(view.folder.execution(trial.id))}. Next: zoo tune report {folder}; "
                   f"zoo tune best {which} --export models; zoo train --from-search {which}")
    else:
        typer.echo(f"Next: zoo tune report {folder}; KerasTuner's tuner.reload() reads the folder")


# === Details ===


def _status(view: SearchView) -> dict[str, Any]:
    from tuning.run import trial_dict

    progress = view.progress
    return {"folder": str(view.folder.path), "running": view.alive, "stopping": view.stopping, "reason": view.reason,
            "owner": None if view.owner is None else {"pid": view.owner.pid, "host": view.owner.host},
            "best": view.best.id if view.best else None, "front": [trial.id for trial in view.front],
            "statuses": dict(Counter(trial.status for trial in view.trials.values())),
            "progress": {"trials": progress.ended, "of_trials": progress.trials, "epochs": progress.epochs,
                         "of_epochs": progress.total_epochs, "seconds": progress.seconds,
                         "of_seconds": progress.total_seconds, "seconds_left": progress.seconds_left},
            "trials": [trial_dict(trial) for trial in view.trials.values()],
            "remarks": [remark.text for remark in view.remarks]}


def _state_in_words(view: SearchView) -> str:
    from tuning.live import duration

    progress = view.progress
    if view.alive and view.owner is not None:
        state = f"{'stopping' if view.stopping else 'running'} (process {view.owner.pid} on {view.owner.host})"
    else:
        state = {"finished": "finished", "asked": "stopped, and can go on"}.get(view.reason,
                                                                                "interrupted, and can go on")
    said = [f"{progress.ended}{f' of {progress.trials}' if progress.trials is not None else ''} trials",
            f"{progress.epochs}{f' of {progress.total_epochs}' if progress.total_epochs is not None else ''} epochs",
            duration(progress.seconds)
            + (f" of {duration(progress.total_seconds)}" if progress.total_seconds is not None else "")]
    if view.alive and progress.seconds_left is not None:
        said.append(f"about {duration(progress.seconds_left)} left")
    return f"{view.config.model or view.config.hypermodel}: {state}; {', '.join(said)}"


def _table(view: SearchView, rows: int | None) -> Any:
    from rich import box
    from rich.table import Table

    from tuning.live import settings_of
    from tuning.study.pareto import measure_of

    objective = view.config.objectives[0]
    running = [trial for trial in view.trials.values() if not trial.has_ended]
    ended = [trial for trial in view.trials.values() if trial.has_ended]
    ended.sort(key=lambda trial: (not trial.measures, objective.loss(measure_of(trial, objective))))
    table = Table("trial", "status", *view.config.measured, "epochs", "hyperparameters", box=box.SIMPLE_HEAD,
                  pad_edge=False)
    for trial in running + ended[:rows]:
        measures = [f"{trial.measures[name]:.4g}" if name in trial.measures else "" for name in view.config.measured]
        best = view.best is not None and trial.id == view.best.id
        table.add_row(trial.id, "best" if best else trial.status, *measures, str(trial.epochs),
                      settings_of(trial) if not trial.error else f"{settings_of(trial)}: {trial.error}")
    left_out = len(ended) - len(ended[:rows])
    if left_out:
        table.caption = f"{left_out} more with --all"
    return table


def _measures(view: SearchView, trial: Trial) -> str:
    from tuning.live import measures_of

    return measures_of(trial, view.config.measured) or trial.error or "nothing measured yet"
