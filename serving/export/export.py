"""`export_model`: from a Keras model that carries its record to a published version folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from serving.export.batching_file import check_batch_sizes
from serving.export.candidates.best import publish_best
from serving.export.candidates.plan import AUTO, MAX, Selection
from serving.export.op_lists import known_ops
from serving.export.optimize.choice import VARIABLES, check_level
from serving.export.optimize.levels import NONE
from serving.export.row_parts import usable_cores
from serving.export.validation import DEFAULT_TARGET
from serving.export.version import ExportOptions, ExportResult, Wish, check_options, publish
from zoo.spec import record_of

__all__ = ["ExportResult", "export_model"]


def export_model(model: Any, root: str | Path, *, name: str | None = None, version: int | None = None, top_k: int = 5,
                 batch_sizes: Sequence[int] = (1, 2, 4, 8), allowed_batch_sizes: Sequence[int] | None = None,
                 target_serving: str = DEFAULT_TARGET, warmup: bool = True, validate: bool = True,
                 samples: Any = None, warmup_from: str | Path | None = None, optimize: str = NONE,
                 optimized_weights: str = VARIABLES, calibration: Any = None, validation: Any = None,
                 tolerance: float = 0.005, agreement: float = 0.98, objective: str = "latency",
                 batches: Sequence[int] = (1, 8), metric: str = "", candidates: Sequence[str | Path] = (),
                 report: str | Path | None = None, cores: int | None = None,
                 tune_threads: bool = False, progress: Callable[[str], None] | None = None) -> ExportResult:
    """Writes a model as `<root>/<name>/<version>/`, ready for TensorFlow Serving, and publishes it in one step.

    Nothing appears under a version number before it is complete, on the disk and, unless told otherwise, validated. A
    version is never overwritten. After a failure nothing is left behind. Low-rank adapters (LoRA) are folded into the
    kernels that are written; the model itself keeps them.

    Args:
        model: A functional or Sequential keras.Model that carries its record (zoo.build, zoo.load, zoo.adopt).
        root: The model repository; made if missing.
        name: The name to serve it under; None takes the record's. Letters, digits, "_", "-" and ".".
        version: A number from 1 on that is free; None takes the next one.
        top_k: Labels in an answer of a classifier, at most as many as it has classes; words for a gap.
        batch_sizes: Rows of the warm-up requests, ascending, each from 1 to 1024; a language model gets one request of
            one row for each signature, which is all that its first answers need.
        allowed_batch_sizes: Sizes that TensorFlow Serving fills batches up to, ascending; None takes `batch_sizes`.
        target_serving: The TensorFlow Serving release, such as "2.20", whose operations may be used.
        warmup: Whether to write warm-up records.
        validate: Whether to check the version in a clean process before it is published (some seconds).
        samples: Realistic inputs for warm-up records and golden vectors: pictures as paths or bytes, texts, pairs
            (text, text), rows {column: value}, or {input name: array [n, ...]}. They are stored in the version. None
            takes made ones.
        warmup_from: A request log of a server (a file or a folder): up to 100 distinct requests to this model that fit
            the signatures become warm-up records, too. They are stored in the version.
        optimize: "none" writes what Keras computes. "safe" rewrites it to run faster, as exactly as float32 rounds.
            "bfloat16" then lets convolutions and matrix products compute in 16 bits, with float32 at both ends; it
            takes a processor that has them, here and in the server. "int8" gives both eight bits, with ranges of
            activations from `calibration`; "int8_weights" and "int4_weights" store weights in eight and four bits,
            for size rather than speed. Each rewrite is compared with the model on the
            samples, and dropped if it is too far off; the manifest and the model card say what was done. Language
            models that generate text, and models with tables or files in a layer, are written as they are. "auto"
            exports the model in each of the ways that are made for speed, "max" in all, those for size among them;
            each is judged on `validation` and timed in a clean process, in turns with the others, and what is
            published is the best by `objective` among those within `tolerance`: the simpler one where the rounds show
            no difference. The manifest tells of all.
        optimized_weights: Where the weights of a rewritten model stand. "variables" takes their size once, loads
            quickly, and is as fast as constants in this project's server and in one with the environment of the
            version's `server.env`. "constants" is fast in every server, and takes memory of many times their size.
        calibration: Realistic inputs like `samples`, of which the ranges of int8 are learned; some hundred are enough.
            They are not stored. None takes the samples. Also a part of a dataset (such as
            `zoo.runs.open_data(...).train`), or a function that makes one for a model's record.
        validation: Examples to judge by, for "auto" and "max": a part of a dataset, or a function that makes one for a
            model's record.
        tolerance: By which share of itself the metric may be worse than that of the plain export, from 0 to below 1.
        agreement: The least share of the examples to which another level of the same model gives the same best label;
            further `candidates` are other models, and judged by the metric alone.
        objective: What is chosen for: "latency" (milliseconds of a call of the smallest of `batches`), "throughput"
            (examples per second in calls of the largest) or "size" (bytes that a server reads).
        batches: Examples in the timed calls, each from 1 to 1024.
        metric: The measure of `zoo.evaluation` that counts; "" takes the task's first: accuracy, rmse, ...
        candidates: Folders of other models for the same task and labels (pruned, distilled, trained for int8), each of
            which is exported in the same ways and competes; for "auto" and "max".
        report: Folder for candidates.json and candidates.png; None for neither.
        cores: Processors of the server that it is for, from 1 to 64; None takes those that this process may use. A
            rewritten model of some size computes the rows of a request in so many parts, side by side.
        tune_threads: Whether to time calls in clean processes, with one thread for each operation and with all, and
            to write the threads of the faster way into `server.flags`; some ten seconds. "auto" and "max" always do.
        progress: Called with a line now and then while candidates are compared.

    Returns:
        Where it is and what it promises.

    Raises:
        ExportError: The model, an argument or the disk does not allow it.
        ValidationError: The version was written and is not fit to be served; it was not published.
        zoo.errors.ArgumentError: The model carries no record.
    """
    record = record_of(model)
    sizes = check_batch_sizes("batch_sizes", batch_sizes)
    allowed = sizes if allowed_batch_sizes is None else check_batch_sizes("allowed_batch_sizes", allowed_batch_sizes)
    known_ops(target_serving)
    comparing = optimize in (AUTO, MAX)
    check_level(NONE if comparing else optimize, optimized_weights)
    options = ExportOptions(
        name=record.name if name is None else name, version=version, top_k=top_k, batch_sizes=sizes,
        allowed_batch_sizes=allowed, target_serving=target_serving, warmup=warmup, validate=validate, samples=samples,
        warmup_from=Path(warmup_from) if warmup_from is not None else None)
    for_cores = usable_cores(cores)
    wish = Wish(optimize, optimized_weights, calibration, for_cores, tune_threads)
    check_options(options, root, wish)
    if comparing:
        selection = Selection(
            objective=objective, batches=tuple(batches), tolerance=tolerance, agreement=agreement, metric=metric,
            calibration=calibration, validation=validation, runs=tuple(Path(run) for run in candidates),
            report=Path(report) if report is not None else None)
        here = for_cores <= usable_cores(None)  # elsewhere, threads cannot be timed
        return publish_best(model, root, options, replace(wish, tune_threads=here), selection, progress or _silent)
    return publish(model, record, root, options, wish)


def _silent(_: str) -> None:
    """Tells nobody."""
