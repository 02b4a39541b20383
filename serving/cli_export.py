"""The command `zoo export`: a trained model as a version, at the speed that was asked for or chosen by measuring.

Heavy imports stand inside the functions that need them, so that `zoo --help` is quick.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

DEFAULT_ROOT = Path("models")
DEFAULT_TARGET = "2.20"
EXPORT_OPTIONS = MappingProxyType(
    {"batch_sizes": "--batch-size", "samples": "--sample", "batches": "--batch", "candidates": "--candidate"}
    | {name: f"--{name.replace('_', '-')}" for name in (
        "name", "version", "top_k", "warmup_from", "optimize", "optimized_weights", "calibration", "validation",
        "tolerance", "agreement", "objective", "metric", "report", "cores",
        "tune_threads")})
# What `--optimize auto` and `max` compare; the exporter checks the words.
_COMPARING = ("auto", "max")
_LEARNING_NOTHING = ("none", "safe", "bfloat16", "int8_weights", "int4_weights")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def export_command(
    run: Annotated[Path, typer.Argument(help="The folder that `zoo train` or zoo.save wrote.")],
    root: Annotated[Path, typer.Option(help="The model repository; made if missing.")] = DEFAULT_ROOT,
    name: Annotated[str | None, typer.Option(help="Name to serve it under; the model's own if left out.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Version number; the next free one if left out.")] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Labels in an answer.")] = 5,
    batch_size: Annotated[list[int] | None, typer.Option(min=1, help="Batch size to warm up; may be repeated.")] = None,
    sample: Annotated[list[Path] | None, typer.Option(help="Picture to use as a warm-up request; may be repeated. It "
                                                           "is stored in the version.")] = None,
    warmup_from: Annotated[Path | None, typer.Option(help="Request log of a server, a file or folder; its requests to "
                                                          "this model become warm-up requests as well.")] = None,
    target_serving: Annotated[str, typer.Option(help="TensorFlow Serving release that must load it.")]
    = DEFAULT_TARGET,
    check: Annotated[bool, typer.Option("--validate/--no-validate", help="Check in a clean process first.")] = True,
    optimize: Annotated[str, typer.Option(help="none: as Keras computes it; safe: a faster graph, as exact as float32 "
                                               "rounds; bfloat16: 16 bits in convolutions and products as well; int8, "
                                               "int8_weights, int4_weights: 8 or 4 bits; auto: these compared, the "
                                               "best kept; max: all compared.")]
    = "none",
    optimized_weights: Annotated[str, typer.Option(help="Weights of a faster graph as variables (once in memory; fast "
                                                        "with the version's server.env) or constants (fast without, "
                                                        "many times in memory).")] = "variables",
    calibration: Annotated[str | None, typer.Option(help="Examples to learn the ranges of int8 from; the run's "
                                                         "training part if left out.")] = None,
    validation: Annotated[str | None, typer.Option(help="Examples that auto and max judge by; the run's validation "
                                                        "part if left out.")] = None,
    tolerance: Annotated[float, typer.Option(help="Share of the metric that may be lost.")] = 0.005,
    agreement: Annotated[float, typer.Option(help="Least share of examples whose best label stays.")] = 0.98,
    objective: Annotated[str, typer.Option(help="What auto and max choose for: latency, throughput or size.")]
    = "latency",
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Examples in the calls that are timed; may be "
                                                                "repeated; 1 and 8 if left out.")] = None,
    metric: Annotated[str, typer.Option(help="Measure that may not become worse; the task's first if left out.")] = "",
    candidate: Annotated[list[Path] | None, typer.Option(help="Another run for the same task that competes, such as a "
                                                              "pruned or distilled one; may be repeated.")] = None,
    retrain: Annotated[int | None, typer.Option(min=1, help="Train candidates first, each for so many epochs, in "
                                                            "RUN-candidates: pruned, pruned with a teacher, for "
                                                            "int8.")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for a JSON and a picture of what was compared.")] = None,
    cores: Annotated[int | None, typer.Option(min=1, max=64, help="Processors of the server that it is for; those of "
                                                                  "this machine if left out.")] = None,
    tune_threads: Annotated[bool, typer.Option("--tune-threads", help="Time calls with one thread for each operation "
                                                                      "and with all, and write the faster into "
                                                                      "server.flags; auto and max always do.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a trained model as a version that TensorFlow Serving loads."""
    from zoo.bundle_index import require_bundle
    from zoo.console import load_tensorflow, naming_options, only_json

    for folder in (run, *(candidate or ())):
        require_bundle(folder)
    _require_use(optimize, {"--validation": validation, "--candidate": candidate, "--report": report,
                            "--retrain": retrain, "--batch": batch, "--metric": metric})
    load_tensorflow()
    from serving.export.export import export_model
    from zoo.bundle import load

    with naming_options(EXPORT_OPTIONS), only_json(as_json) as write_json:
        model = load(run)
        others = [*(candidate or ()), *(_retrained(run, retrain, quiet=as_json) if retrain else ())]
        learned, judged = _examples(model, run, optimize, calibration, validation)
        result = export_model(model, root, name=name, version=version, top_k=top_k,
                              batch_sizes=tuple(batch_size) if batch_size else (1, 2, 4, 8),
                              target_serving=target_serving, validate=check,
                              samples=[str(path) for path in sample] if sample else None, warmup_from=warmup_from,
                              optimize=optimize, optimized_weights=optimized_weights,
                              tolerance=tolerance, agreement=agreement, objective=objective,
                              batches=tuple(batch or (1, 8)), metric=metric,
                              candidates=others, report=report, cores=cores, tune_threads=tune_threads,
                              progress=None if as_json else _tell,
                              calibration=learned, validation=judged)
    if as_json:
        write_json(_document(result))
        return
    for line in _lines(result):
        typer.echo(line)
    if "selection" in result.manifest.optimization:
        _show_candidates(result.manifest.optimization["selection"], report)
    typer.echo(f"Next: zoo serve {root}")


def _require_use(optimize: str, given: Mapping[str, Any]) -> None:
    """Refuses options that say how to compare where nothing is compared."""
    from zoo.errors import ArgumentError

    idle = next((option for option, value in given.items() if value), None)
    if idle is not None and optimize not in _COMPARING:
        raise ArgumentError(f"`{idle}` is for comparing exports: --optimize auto or max. Leave it out.")


def _retrained(run: Path, epochs: int, *, quiet: bool) -> list[Path]:
    from serving.export.candidates.retraining import retrained

    folder = run.absolute()
    return retrained(run, folder.with_name(f"{folder.name}-candidates"), epochs, (lambda _: None) if quiet else _tell)


def _examples(model: Any, run: Path, optimize: str, calibration: str | None,
              validation: str | None) -> tuple[Any, Any]:
    """Examples to learn ranges from and to judge by, read as each candidate reads them; None where none are needed."""
    from zoo.run_examples import RunExamples
    from zoo.spec import record_of

    own = RunExamples(run, model)
    learned = own.to_learn_from(calibration) if optimize not in _LEARNING_NOTHING else None
    if optimize in _COMPARING:
        return learned, own.to_judge_by(validation)
    return learned(record_of(model)) if learned else None, None


def _tell(line: str) -> None:
    typer.echo(f"  {line}", err=True)


def _signatures(result: Any) -> dict[str, dict[str, list[str]]]:
    return {key: {"inputs": sorted(value.inputs), "outputs": sorted(value.outputs)}
            for key, value in result.manifest.signatures.items()}


def _document(result: Any) -> dict[str, Any]:
    return {"name": result.name, "version": result.version, "path": str(result.path),
            "signatures": _signatures(result), "left_out": dict(result.manifest.left_out),
            "validated": result.validation is not None, "optimization": dict(result.manifest.optimization)}


def _lines(result: Any) -> Iterator[str]:
    yield f"{result.name} version {result.version} in {result.path}"
    for key, value in _signatures(result).items():
        yield f"  {key}: {', '.join(value['inputs'])} -> {', '.join(value['outputs'])}"
    for key, reason in result.manifest.left_out.items():
        yield f"  no {key}: {reason}"
    yield from _optimization_lines(result.manifest.optimization)


def _optimization_lines(optimization: Mapping[str, Any]) -> Iterator[str]:
    for step in optimization.get("passes", ()):
        outcome = f"error {step['error']:.1e}" if step["kept"] else f"left out: {step['reason']}"
        yield f"  {step['name']}: {outcome}"
    if tuned := optimization.get("serving_threads"):
        chosen = "written into server.flags" if tuned["threads"] else "so nothing is written"
        yield f"  one thread for each operation is {tuned['ratio']:g} times as fast as all: {chosen}"
    if "reason" in optimization:
        yield f"  the graph is what Keras computes: {optimization['reason']}"


def _show_candidates(selection: Mapping[str, Any], report: Path | None) -> None:
    """Prints the table of what was measured, why each is not the one, and where the report is."""
    from serving.export.candidates.described import notes_on
    from serving.export.candidates.table import candidates_table, reasons
    from zoo.console import output_console

    if selection["rounds"]:
        output_console().print(candidates_table(selection))
    for line in (*reasons(selection), *notes_on(selection)):
        typer.echo(f"  {line}")
    if report is not None:
        typer.echo(f"Report: {report}")
