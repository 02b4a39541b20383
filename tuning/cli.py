"""The command `zoo tune`: a search, and what can be asked of it afterwards.

`zoo tune MODEL DATA` searches; a first word that is a command (resume, worker, status, stop, best, report) is that.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from tuning import cli_results
from tuning.cli_results import FolderArgument, JsonOption
from tuning.cli_words import IN_OPTIONS, is_code, read_configuration, settings_of, size_in_bytes, values_of
from zoo import cli_data as data_options
from zoo.cli_data import building_of, complete_model, source_of
from zoo.cli_options import IN_OPTIONS as TRAINING_OPTIONS
from zoo.errors import ArgumentError
from zoo.registry import default_registry

if TYPE_CHECKING:
    from tuning.config import SearchConfig

_SEARCH = "search"
_HELP_WORDS = ("-h", "--help")


class SearchGroup(TyperGroup):
    """Takes a first word that is none of its commands as the model of a search."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the command in front where it was left out.

        Args:
            ctx: Of Typer.
            args: The words.

        Returns:
            The words that are left.
        """
        if args and args[0] not in self.commands and args[0] not in _HELP_WORDS:
            args = [_SEARCH, *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Adds the command to a command line.

    Args:
        app: The command line; the entry-point group "zoo.commands" calls this with the `zoo` command's.
    """
    tune = typer.Typer(cls=SearchGroup, no_args_is_help=True, rich_markup_mode="rich",
                       context_settings={"help_option_names": list(_HELP_WORDS)})
    tune.callback()(_tune)
    tune.command(_SEARCH)(search_command)
    tune.command("resume")(resume_command)
    tune.command("worker")(worker_command)
    tune.command("status")(cli_results.status_command)
    tune.command("stop")(cli_results.stop_command)
    tune.command("best")(cli_results.best_command)
    tune.command("report")(cli_results.report_command)
    app.add_typer(tune, name="tune")


def _tune() -> None:
    """Search for the hyperparameters of a model: zoo tune MODEL DATA (see: zoo tune search --help)."""


EngineOption = Annotated[str, typer.Option(help="Where trials run: local, ray, or keras-tuner (with workers on other "
                                                "hosts).")]
JobsOption = Annotated[int | None, typer.Option(min=1, help="Trials at once; as many as the machine has room for if "
                                                            "left out.")]
MemoryOption = Annotated[str | None, typer.Option(help="The most memory of a trial, such as 2G (local).")]
AddressOption = Annotated[str | None, typer.Option(help="HOST:PORT or auto of the Ray cluster (ray); HOST:PORT where "
                                                        "this host listens for workers (keras-tuner).")]
CpusOption = Annotated[float | None, typer.Option(help="CPUs of a trial (ray).")]
GpusOption = Annotated[float | None, typer.Option(help="Graphics cards of a trial, or a fraction of one (ray).")]
TrialsOption = Annotated[int | None, typer.Option(help="Largest number of trials; 20 if no bound is given.")]
TotalEpochsOption = Annotated[int | None, typer.Option(help="Largest number of epochs over all trials.")]
MinutesOption = Annotated[float | None, typer.Option(help="Largest number of minutes.")]
RetriesOption = Annotated[int | None, typer.Option(help="How often a trial that died is tried again; 1 if left out.")]
TrialMinutesOption = Annotated[float | None, typer.Option(help="Largest number of minutes of a trial.")]
ExportOption = Annotated[Path | None, typer.Option(help="Publish the best model in this model repository.")]
NameOption = Annotated[str | None, typer.Option(help="Name to serve it under; the model's own if left out.")]


def search_command(
    model: Annotated[str | None, typer.Argument(help="The model's name, or file.py:name of a KerasTuner HyperModel or "
                                                     "build(hp) function.", autocompletion=complete_model)] = None,
    data: Annotated[str | None, typer.Argument(help=data_options.DATA_HELP + " For file.py:name, the same of a "
                                                    "function that returns what model.fit takes.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The search's folder; searches/MODEL if left "
                                                                       "out.")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="Search NAME=log:1e-5..1e-2, 0.1..0.5, "
                                                      "16..256 step 16, or 16,32,64; may be repeated.")] = None,
    fix: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of what is not searched; may be repeated.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Search this alone; may be repeated.")] = None,
    space: Annotated[Path | None, typer.Option(help="YAML or JSON file of settings as for --set.")] = None,
    objective: Annotated[list[str] | None, typer.Option(help="What gets better: val_accuracy, min:latency_ms, size_mb "
                                                             "...; may be repeated, the first counts most.")] = None,
    constraint: Annotated[list[str] | None, typer.Option(help="What must hold: 'latency_ms<=5'; may be "
                                                              "repeated.")] = None,
    oracle: Annotated[str | None, typer.Option(help="bayesian (if left out), random, grid or hyperband.")] = None,
    oracle_option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of KerasTuner's oracle.")] = None,
    stopper: Annotated[str | None, typer.Option(help="Stop bad trials early: asha or median; none if left out.")]
    = None,
    stopper_option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the rule.")] = None,
    trials: TrialsOption = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of a whole training; the model's own if left out.")] = None,
    total_epochs: TotalEpochsOption = None,
    minutes: MinutesOption = None,
    executions: Annotated[int | None, typer.Option(help="Trainings per trial, each from another seed.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Decides trials, parameters and the split; 0 if left "
                                                         "out.")] = None,
    retries: RetriesOption = None,
    trial_minutes: TrialMinutesOption = None,
    config: Annotated[Path | None, typer.Option(help="YAML or JSON file of any fields of SearchConfig; options given "
                                                     "here win over it.")] = None,
    weights: data_options.WeightsOption = None,
    size: data_options.SizeOption = None,
    task: data_options.TaskOption = None,
    option: Annotated[list[str] | None, typer.Option(help="Builder option NAME=VALUE of every trial.")] = None,
    target: data_options.TargetOption = None,
    column: data_options.ColumnOption = None,
    shape: data_options.ShapeOption = None,
    text_column: data_options.TextColumnOption = "",
    text_pair_column: data_options.TextPairColumnOption = "",
    label_column: data_options.LabelColumnOption = "",
    max_length: data_options.MaxLengthOption = None,
    max_words: data_options.MaxWordsOption = None,
    validation_fraction: data_options.ValidationFractionOption = None,
    test_fraction: data_options.TestFractionOption = None,
    keep_duplicates: data_options.KeepDuplicatesOption = None,
    engine: EngineOption = "local",
    jobs: JobsOption = None,
    memory: MemoryOption = None,
    address: AddressOption = None,
    cpus: CpusOption = None,
    gpus: GpusOption = None,
    restart: Annotated[bool, typer.Option("--restart", help="Remove an earlier search in the folder first.")] = False,
    export: ExportOption = None,
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search for the best hyperparameters; the same command goes on where a search was interrupted."""
    given = {"trials": trials, "epochs": epochs, "total_epochs": total_epochs, "minutes": minutes,
             "executions": executions, "seed": seed, "retries": retries, "trial_minutes": trial_minutes,
             "oracle": oracle, "oracle_options": values_of(oracle_option, "--oracle-option") or None,
             "stopper": stopper, "stopper_options": values_of(stopper_option, "--stopper-option") or None,
             "objectives": tuple(objective or ()) or None, "constraints": tuple(constraint or ()) or None}
    fields = (read_configuration(config) if config is not None else {}) | {
        key: value for key, value in given.items() if value is not None}
    wishes: dict[str, Any] = {"settings": settings_of(setting, "--set"), "fixed": values_of(fix, "--fix"),
                              "only": tuple(only or ()), "file": space}
    named = fields.pop("model", ""), fields.pop("hypermodel", "")
    word = model or named[0] or named[1]
    if not word:
        raise ArgumentError("Name a model and its data: zoo tune MODEL DATA. `zoo list` shows all models.")
    machine = _engine_options(engine, jobs, memory, address, cpus, gpus)
    from zoo.console import load_tensorflow, naming_options

    with naming_options({**TRAINING_OPTIONS, **IN_OPTIONS}):
        load_tensorflow()
        if is_code(word):
            planned = _plan_code(word, data, fields, wishes, building={
                "--weights": weights, "--size": size, "--task": task, "--option": option, "--target": target})
        else:
            build = building_of(default_registry().resolve(word)[0], option=option, weights=weights, task=task,
                                size=size)
            reading = {"target": target, "column": column, "shape": shape, "text_column": text_column,
                       "text_pair_column": text_pair_column, "label_column": label_column, "max_length": max_length,
                       "max_words": max_words, "validation_fraction": validation_fraction,
                       "test_fraction": test_fraction, "keep_duplicates": keep_duplicates, "size": size}
            planned = _plan_model(word, data, fields, wishes, build, reading)
        folder = output or Path("searches") / (planned.model.partition(".")[0] or Path(word.rpartition(":")[0]).stem)
        _run(planned, folder, engine, machine, export, name, as_json, restart=restart)


def resume_command(
    folder: FolderArgument,
    trials: TrialsOption = None,
    total_epochs: TotalEpochsOption = None,
    minutes: MinutesOption = None,
    retries: RetriesOption = None,
    trial_minutes: TrialMinutesOption = None,
    engine: EngineOption = "local",
    jobs: JobsOption = None,
    memory: MemoryOption = None,
    address: AddressOption = None,
    cpus: CpusOption = None,
    gpus: GpusOption = None,
    export: ExportOption = None,
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a search, within the same or other bounds, on the same or another engine."""
    from tuning.folder import SearchFolder
    from tuning.study.state import read_search
    from zoo.console import load_tensorflow, naming_options

    machine = _engine_options(engine, jobs, memory, address, cpus, gpus)
    changes = {"trials": trials, "total_epochs": total_epochs, "minutes": minutes, "retries": retries,
               "trial_minutes": trial_minutes}
    with naming_options({**TRAINING_OPTIONS, **IN_OPTIONS}):
        known = read_search(SearchFolder.at(folder)).config
        load_tensorflow()
        _run(known.replace(**{key: value for key, value in changes.items() if value is not None}), folder, engine,
             machine, export, name, as_json)


def worker_command(
    address: Annotated[str, typer.Argument(help="HOST:PORT where the chief listens; it says so when it begins.")],
    folder: FolderArgument,
    jobs: JobsOption = None,
    memory: MemoryOption = None,
    called: Annotated[str, typer.Option("--name", help="What the worker is called in the search's remarks.")] = "",
) -> None:
    """Work on this host for a search that another host leads (engine keras-tuner)."""
    from tuning.executors.keras_tuner_worker import run_worker
    from zoo.console import EXIT_INTERRUPTED

    memory_bytes = size_in_bytes(memory) if memory is not None else None
    if not run_worker(address, folder, name=called, jobs=jobs, memory_bytes=memory_bytes, say=typer.echo):
        raise typer.Exit(EXIT_INTERRUPTED)
    typer.echo("The search is over.")


# === Details ===


def _engine_options(engine: str, jobs: int | None, memory: str | None, address: str | None, cpus: float | None,
                    gpus: float | None) -> dict[str, Any]:
    options: dict[str, Any] = {"address": address, "cpus_per_trial": cpus, "gpus_per_trial": gpus,
                               "memory_bytes": size_in_bytes(memory) if memory is not None else None}
    options["max_concurrent" if engine == "ray" else "jobs"] = jobs
    return {name: value for name, value in options.items() if value is not None}


def _plan_model(model: str, data: str | None, fields: dict[str, Any], wishes: dict[str, Any], build: dict[str, Any],
                reading: dict[str, Any]) -> SearchConfig:
    import dataclasses

    from tuning.plan import SpaceWishes, plan
    from zoo.data_source import DataSource

    known = fields.pop("data", None)
    fields.pop("data_function", None)
    known = DataSource.from_dict(known) if isinstance(known, dict) else known
    if isinstance(known, str):
        known = DataSource(path=known)
    if data is None and known is None:
        raise ArgumentError(f"Name the data that {model} is trained on: zoo tune {model} DATA.")
    source = source_of(default_registry().resolve(model)[0], data if data is not None else known.path, known=known,
                       **reading)
    if known is None:
        source = dataclasses.replace(source, seed=fields.get("seed", 0))
    return plan(model, source, wishes=SpaceWishes(**wishes), build={**fields.pop("build", {}), **build},
                training=fields.pop("training", {}), **fields)


def _plan_code(hypermodel: str, data: str | None, fields: dict[str, Any], wishes: dict[str, Any],
               building: dict[str, Any]) -> SearchConfig:
    from tuning.plan import plan_hypermodel

    named = {"--set": wishes["settings"], "--fix": wishes["fixed"], "--only": wishes["only"], "--space": wishes["file"]}
    for option, value in {**named, **building}.items():
        if value:
            raise ArgumentError(f"`{option}` is for registered models; a hypermodel of your own says itself what is "
                                "searched. Leave it out.")
    function = fields.pop("data_function", "")
    for field in ("data", "build", "training", "space"):
        fields.pop(field, None)
    return plan_hypermodel(hypermodel, data or function, **fields)


def _run(config: SearchConfig, folder: Path, engine: str, machine: dict[str, Any], export: Path | None,
         name: str | None, as_json: bool, *, restart: bool = False) -> None:
    from tuning.folder import SearchFolder
    from tuning.live import LiveSearch
    from tuning.run import make_engine, run_search
    from tuning.study.state import read_search
    from zoo.console import EXIT_INTERRUPTED, only_json

    if name is not None and export is None:
        raise ArgumentError("`--name` is for a model that is published. Name a repository: --export ROOT.")
    place = SearchFolder.at(folder)
    before = read_search(place) if place.config.exists() and not restart else None
    with only_json(as_json) as write_json:
        with LiveSearch(config, before, quiet=as_json) as live:
            result = run_search(config, folder, engine=make_engine(engine, **machine), listener=live, restart=restart,
                                tell=live.say)
        view = read_search(place)
        published = None
        if export is not None and result.finished:
            published = cli_results.publish(view, cli_results.choose(view, None, None), export, name)
        if as_json:
            write_json(result.to_dict() | {"export": published})
    if not as_json:
        _show(view, result, published, export, folder)
    if not result.finished and not place.stop_request.exists():  # Ctrl-C, which the engine took in order
        raise typer.Exit(EXIT_INTERRUPTED)


def _show(view: Any, result: Any, published: dict[str, Any] | None, export: Path | None, folder: Path) -> None:
    if not result.finished:
        typer.echo(f"stopped after {view.progress.ended} trials; nothing that was saved is lost. Go on with: "
                   f"zoo tune resume {folder}")
    if result.best is None:
        if result.finished or view.progress.ended:
            typer.echo("No trial has a result that meets the constraints.")
        return
    cli_results.show_trial(view, result.best)
    if result.final is not None:
        cli_results.show_final(view, result.final, result.best)
    if len(view.front) > 1:
        typer.echo(f"The Pareto front has {len(view.front)} trials: zoo tune best {folder}")
    if published is not None:
        cli_results.show_export(published, export)
    elif result.finished:
        cli_results.show_next(view, result.best)
