"""The commands `zoo train` and `zoo evaluate`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo import cli_data as data_options
from zoo.bundle_index import is_bundle, require_bundle
from zoo.cli_data import building_of, complete_model, source_of
from zoo.cli_options import IN_OPTIONS
from zoo.data_source import DataSource
from zoo.errors import ArgumentError
from zoo.registry import default_registry
from zoo.search_winner import SearchWinner, read_winner
from zoo.spec import TrainingDefaults

if TYPE_CHECKING:
    from zoo.training import TrainingConfig


def register(app: typer.Typer) -> None:
    """Adds the commands of this file.

    Args:
        app: The command line.
    """
    app.command("train")(train_command)
    app.command("evaluate")(evaluate_command)


def train_command(
    model: Annotated[str | None, typer.Argument(help="The model's name (`zoo list` shows all), or the folder of a "
                                                     "trained one, which goes on learning.",
                                                autocompletion=complete_model)] = None,
    data: Annotated[str | None, typer.Argument(help=data_options.DATA_HELP)] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The run's folder; runs/MODEL if left out.")]
    = None,
    from_search: Annotated[Path | None, typer.Option(help="Train what a search found: its folder gives model, data and "
                                                          "settings; what is given here wins.")] = None,
    trial: Annotated[str | None, typer.Option(help="Trial of the search; its best one if left out.")] = None,
    weights: data_options.WeightsOption = None,
    size: data_options.SizeOption = None,
    task: data_options.TaskOption = None,
    option: Annotated[list[str] | None, typer.Option("--option", "--set", help="Builder option NAME=VALUE; may be "
                                                                                "repeated.")] = None,
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
    epochs: Annotated[int | None, typer.Option(help="Passes over the training examples.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples per step.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd, momentum, adam, adamw or rmsprop.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    schedule: Annotated[str | None, typer.Option(help="constant, step, exponential, cosine, linear, "
                                                      "reduce_on_plateau.")] = None,
    warmup_epochs: Annotated[float | None, typer.Option(help="Epochs in which the rate rises from 0.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Decoupled decay of the weights.")] = None,
    l1: Annotated[float | None, typer.Option(help="Penalty on absolute kernel values.")] = None,
    l2: Annotated[float | None, typer.Option(help="Penalty on squared kernel values.")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="Share of a target spread over all classes.")] = None,
    clip_norm: Annotated[float | None, typer.Option(help="Largest norm of a gradient.")] = None,
    clip_global_norm: Annotated[float | None, typer.Option(help="Largest norm of all gradients together.")] = None,
    frozen_epochs: Annotated[int | None, typer.Option(help="First epochs in which only the head learns.")] = None,
    frozen_layers: Annotated[int | None, typer.Option(help="First blocks of a network that never learn, nor does what "
                                                           "lies in front of them.")] = None,
    unfreeze_every: Annotated[int | None, typer.Option(help="Epochs after which one more block learns, from the last "
                                                            "to the first; after the --frozen-epochs.")] = None,
    layerwise_decay: Annotated[float | None, typer.Option(help="Factor of the learning rate from each block to the "
                                                               "one in front of it, such as 0.9.")] = None,
    lora_rank: Annotated[int | None, typer.Option(help="Train low-rank adapters of the attention in place of its "
                                                       "kernels; they are merged at the end.")] = None,
    similarity_scale: Annotated[float | None, typer.Option(help="Factor of the cosines of pairs without a score; "
                                                                "20 if left out.")] = None,
    symmetric_pairs: Annotated[bool | None, typer.Option(help="Let the second text of a pair find the first, too.")]
    = None,
    augment: Annotated[list[str] | None, typer.Option(help="flip, rotate, zoom, contrast, randaugment, mixup; "
                                                           "NAME or NAME:STRENGTH; may be repeated.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, mixed_bfloat16 or mixed_float16.")] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many epochs without improvement.")] = None,
    monitor: Annotated[str | None, typer.Option(help="Measure that decides which epoch is best.")] = None,
    restore_best: Annotated[bool | None, typer.Option(help="End with the parameters of the best epoch, or of the "
                                                           "last.")] = None,
    class_weights: Annotated[bool | None, typer.Option(help="Let rare classes count for more.")] = None,
    tensorboard: Annotated[bool | None, typer.Option(help="Write TensorBoard event files.")] = None,
    teacher: Annotated[Path | None, typer.Option(help="Folder of a trained model for the same labels to learn from, "
                                                      "too.")] = None,
    teacher_weight: Annotated[float | None, typer.Option(help="Share of the teacher's answers in the loss; 0.5 if "
                                                              "left out.")] = None,
    temperature: Annotated[float | None, typer.Option(help="What the teacher's and the student's logits are divided "
                                                           "by; 2 if left out.")] = None,
    hidden: Annotated[float | None, typer.Option(help="Weight of the distance between the states inside teacher and "
                                                      "student; 0 if left out.")] = None,
    teacher_layers: Annotated[bool, typer.Option("--teacher-layers", help="Begin with every second block of the "
                                                 "teacher.")] = False,
    quantization_aware: Annotated[bool, typer.Option("--quantization-aware", help="Learn with numbers rounded to "
                                                     "eight bits, for an int8 export.")] = False,
    config: Annotated[Path | None, typer.Option(help="JSON file with any field of TrainingConfig; options given here "
                                                     "win over it.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Decides parameters, order, split and augmentation; 0 if left "
                                                         "out.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Remove an earlier run in the folder first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Train a model on your data; the same command goes on where a run was interrupted."""
    winner = _winner_of(from_search, trial, model)
    name = model if model is not None else winner.model if winner else None
    path = data if data is not None else winner.data.path if winner else None
    if name is None or (path is None and not is_bundle(name)):
        raise ArgumentError("Name a model and its data, a trained model, or a search: zoo train MODEL DATA, zoo train "
                            "RUN, or zoo train --from-search FOLDER.")
    reading: dict[str, Any] = {
        "target": target, "column": column, "shape": shape, "text_column": text_column,
        "text_pair_column": text_pair_column, "label_column": label_column, "max_length": max_length,
        "max_words": max_words, "validation_fraction": validation_fraction, "test_fraction": test_fraction,
        "keep_duplicates": keep_duplicates}
    changes = {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "learning_rate": learning_rate,
               "schedule": schedule, "warmup_epochs": warmup_epochs, "weight_decay": weight_decay, "l1": l1, "l2": l2,
               "label_smoothing": label_smoothing, "clip_norm": clip_norm,
               "clip_global_norm": clip_global_norm, "frozen_epochs": frozen_epochs, "frozen_layers": frozen_layers,
               "unfreeze_every": unfreeze_every, "layerwise_decay": layerwise_decay,
               "lora_rank": lora_rank, "similarity_scale": similarity_scale, "symmetric_pairs": symmetric_pairs,
               "augmentation": tuple(augment) if augment else None, "mixed_precision": precision,
               "early_stopping_patience": patience, "monitor": monitor, "restore_best": restore_best,
               "class_weights": class_weights, "tensorboard": tensorboard, "seed": seed}
    given = {name: value for name, value in changes.items() if value is not None}
    lessons = _Lessons(teacher, {"weight": teacher_weight, "temperature": temperature, "hidden": hidden,
                                 "take_layers": teacher_layers or None}, quantization_aware)
    if path is None or is_bundle(name):
        _refuse_for_trained(name, {"weights": weights, "size": size, "task": task, "option": option,
                                   "from_search": from_search, "teacher_layers": teacher_layers})
        _go_on(Path(name), path, reading, output, config, given, lessons, restart, as_json)
        return
    spec, _ = default_registry().resolve(name)
    source = source_of(spec, path, known=winner.data if winner else None, size=size, **reading)
    build = {**(winner.build if winner else {}),
             **building_of(spec, option=option, weights=weights, task=task, size=size)}
    from zoo.console import load_tensorflow, naming_options

    with naming_options(IN_OPTIONS):
        settings = _configuration(spec.training, config, given, winner.training if winner else {})
        load_tensorflow()
        if winner is None:
            source = dataclasses.replace(source, seed=settings.seed)
        _train(name, source, output or Path("runs") / spec.name, settings, build, lessons, restart, as_json)


def evaluate_command(
    run: Annotated[Path, typer.Argument(help="The folder that `zoo train` or zoo.save wrote.")],
    data: Annotated[str | None, typer.Option(help="Judge by these examples, not by the held-out part.")] = None,
    target: Annotated[list[str] | None, typer.Option(help="Column of a table to predict; may be repeated.")] = None,
    text_column: Annotated[str, typer.Option(help="Column of the text, if it cannot be guessed.")] = "",
    text_pair_column: Annotated[str, typer.Option(help="Column of the second text of pairs.")] = "",
    label_column: Annotated[str, typer.Option(help="Column of the label, if it cannot be guessed.")] = "",
    report: Annotated[Path | None, typer.Option(help="Folder of the report; RUN/report if left out.")] = None,
    threshold: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Probability from which a binary model "
                                                                         "says the second label.")] = None,
    choose_threshold: Annotated[str | None, typer.Option(help="f1 or youden: choose the threshold on the validation "
                                                              "part and keep it.")] = None,
    bootstrap_samples: Annotated[int, typer.Option(min=0, help="Resamples for the intervals, 100 or more; 0 for "
                                                               "none.")] = 1000,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples per step.")] = 32,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Judge a trained model on held-out data and write a report with pictures."""
    from zoo.console import counted_progress, load_tensorflow, naming_options, only_json

    require_bundle(run)
    if data is None and (target or text_column or text_pair_column or label_column):
        raise ArgumentError("`--target`, `--text-column`, `--text-pair-column` and `--label-column` say how to read "
                            "other examples, which `--data` names.")
    load_tensorflow()
    from zoo.runs import REPORT, evaluate_run

    source = DataSource(path=data, target=tuple(target or ()), text_column=text_column,
                        text_pair_column=text_pair_column, label_column=label_column) if data is not None else None
    with (naming_options(IN_OPTIONS), only_json(as_json) as write_json,
          counted_progress("evaluating", quiet=as_json) as progress):
        result = evaluate_run(run, source, report_folder=report, threshold=threshold,
                              threshold_rule=choose_threshold, bootstrap_samples=bootstrap_samples,
                              batch_size=batch_size, progress=progress)
    if as_json:
        write_json(result.to_dict())
        return
    from rich import box
    from rich.table import Table

    from zoo.console import output_console

    table = Table("measure", "value", "95% interval", box=box.SIMPLE)
    for name, metric in result.metrics.items():
        value = "undefined" if metric.value is None else f"{metric.value:.4f}"
        interval = "" if metric.low is None or metric.high is None else f"{metric.low:.4f} to {metric.high:.4f}"
        table.add_row(name.replace("_", " "), value, interval)
    typer.echo(f"{run} on {result.examples} examples")
    output_console().print(table)
    typer.echo(f"{result.summary}\nReport: {(report or run / REPORT) / 'report.md'}")


def _winner_of(search: Path | None, trial: str | None, model: str | None) -> SearchWinner | None:
    if search is None:
        if trial is not None:
            raise ArgumentError("`--trial` chooses a trial of a search. Name its folder: --from-search FOLDER.")
        return None
    winner = read_winner(search, trial)
    if model is not None and default_registry().resolve(model)[0].name != winner.model.partition(".")[0]:
        raise ArgumentError(f"The search in {search} was for {winner.model}, whose settings say nothing of {model}. "
                            "Leave the model out, or leave --from-search out.")
    return winner


def _configuration(defaults: TrainingDefaults, path: Path | None, changes: dict[str, Any],
                   found: Any) -> TrainingConfig:
    from zoo.training.config import TrainingConfig

    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = json.loads(path.read_text())
        except FileNotFoundError:
            raise ArgumentError(f"The configuration file {path} does not exist.") from None
        except ValueError as error:
            raise ArgumentError(f"The configuration file {path} is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise ArgumentError(f"The configuration file {path} must hold a JSON object of TrainingConfig fields.")
    return TrainingConfig.for_spec(defaults, **{**found, **values, **changes})


@dataclasses.dataclass(frozen=True)
class _Lessons:
    """What was typed of a teacher and of eight bits."""

    teacher: Path | None
    settings: dict[str, Any]
    quantization_aware: bool

    def __post_init__(self) -> None:
        lonely = next((name for name, value in self.settings.items() if value is not None), None)
        if self.teacher is None and lonely is not None:
            option = {"weight": "--teacher-weight", "take_layers": "--teacher-layers"}.get(lonely, f"--{lonely}")
            raise ArgumentError(f"`{option}` says how a teacher is used. Name one: --teacher FOLDER.")
        if self.teacher is not None:
            require_bundle(self.teacher)

    def techniques(self, *, trained: bool) -> tuple[list[Any], Any]:
        """Returns what takes part in the training, and the teacher's record or None."""
        from zoo.compression.quantization_aware import QuantizationAware
        from zoo.spec import record_of
        from zoo.teaching import teacher_in

        found: list[Any] = [teacher_in(self.teacher, **self.settings)] if self.teacher is not None else []
        like = record_of(found[0].teacher) if found else None
        eight_bits = [QuantizationAware(statistics="kept" if trained else "learned")] if self.quantization_aware else []
        return [*found, *eight_bits], like


def _refuse_for_trained(name: str, given: dict[str, Any]) -> None:
    wrong = next((option for option, value in given.items() if value), None)
    if wrong is not None:
        raise ArgumentError(f"`--{wrong.replace('_', '-')}` says how a model is built, and the one in {name} is there "
                            "already. Leave it out, or name a model of `zoo list`.")


def _go_on(start: Path, data: str | None, reading: dict[str, Any], output: Path | None, config: Path | None,
           changes: dict[str, Any], lessons: _Lessons, restart: bool, as_json: bool) -> None:
    from zoo.console import load_tensorflow, naming_options

    folder = output or start.with_name(f"{start.name}-{'int8' if lessons.quantization_aware else 'again'}")
    with naming_options(IN_OPTIONS):
        load_tensorflow()
        from zoo.retraining import gentle_config, known_source, retrain, saved_record

        record, known = saved_record(start), known_source(start)
        path = data or (known.path if known else None)
        if path is None:
            raise ArgumentError(f"{start} does not say which data its model was trained on. Name the data: zoo train "
                                f"{start} DATA.")
        source = source_of(record, path, known=known, **reading)
        settings = _configuration(TrainingDefaults(loss=""), config, changes, gentle_config(record).to_dict())
        techniques, _ = lessons.techniques(trained=True)
        _shown(folder, as_json, lambda display: retrain(
            start, folder, settings, source=source, techniques=techniques, restart=restart,
            announce=display.announce, progress=display.show))


def _train(model: str, source: DataSource, folder: Path, settings: TrainingConfig, build: dict[str, Any],
           lessons: _Lessons, restart: bool, as_json: bool) -> None:
    from zoo.compression.teacher_layers import student_arguments
    from zoo.runs import train
    from zoo.spec import record_of
    from zoo.weights.report import report_of

    def tell_import(built: Any) -> None:
        """Shows what became of every parameter of a checkpoint, before hours are spent on it."""
        if not as_json and "report" in record_of(built).weights:
            typer.echo(f"weights: {record_of(built).weights['source']}\n{report_of(built).to_text()}", err=True)

    techniques, like = lessons.techniques(trained=build.get("weights") is not None)
    if lessons.settings["take_layers"]:
        build = student_arguments(like, default_registry().resolve(model)[0].name, build)
    _shown(folder, as_json, lambda display: train(
        model, source, folder, settings, build=build, restart=restart, announce=display.announce, built=tell_import,
        progress=display.show, techniques=techniques, like=like))


def _shown(folder: Path, as_json: bool, run: Callable[[Any], Any]) -> None:
    from zoo.console import TrainingDisplay, only_json

    with only_json(as_json) as write_json, TrainingDisplay(quiet=as_json) as display:
        result = run(display)
    if as_json:
        write_json({"folder": str(folder), "training": result.report.to_dict(),
                    "labels": list(result.data.labels), "cleaning": result.data.report.to_dict()})
        return
    typer.echo(result.report.summary())
    typer.echo(f"Saved in {folder}. Next: zoo evaluate {folder}; zoo export {folder} --root models")
