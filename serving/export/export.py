"""`export_model`: from a Keras model that carries its record to a published version folder."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from serving.errors import ExportError, RepositoryError
from serving.export.answers import Answers
from serving.export.batching_file import BATCHING_FILE, batching_text, check_batch_sizes
from serving.export.fit_checks import check_fit
from serving.export.logged_requests import choose_logged
from serving.export.model_card import MODEL_CARD_FILE, model_card
from serving.export.op_lists import known_ops
from serving.export.optimize.choice import CONSTANTS, Optimized, check_level, optimize_forward
from serving.export.optimize.levels import NONE
from serving.export.raw_inputs import reads_texts
from serving.export.reference import golden_vectors, signature_inputs, tolerance_for, transformed
from serving.export.samples import Samples, make_samples
from serving.export.saved_model_file import make_canonical
from serving.export.servable_module import Forward, ServableModule, input_specs, trace_forward
from serving.export.short_record import short_record
from serving.export.signature import Signature
from serving.export.signatures import make_signatures
from serving.export.text_generation import GENERATE, language_model_signatures, rewritten, serving_decoder
from serving.export.validation import DEFAULT_TARGET, ValidationReport
from serving.export.validation import validate as validate_folder
from serving.export.warmup import write_warmup
from serving.manifest import MANIFEST_FILE, Manifest
from serving.protocol.generated.serving_pb2 import PredictionLog
from serving.repository import check_model_name, check_version, require_space, stage
from zoo.layers.lora import merged_lora
from zoo.preprocessing.transform import Transform, transform_for
from zoo.spec import ModelRecord, WordPiecePreprocessing, record_of

_PACKAGES = ("servable-zoo", "tensorflow", "keras", "numpy", "protobuf")
_ROWS_AT_ONCE = 8
_ROOM_BESIDE_WEIGHTS_BYTES = 32 * 2**20


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """A published version.

    Attributes:
        name: The model's name.
        version: Its number.
        path: Its folder, <root>/<name>/<version>.
        manifest: What it promises.
        validation: The report of the clean process; None if it was not asked for.
    """

    name: str
    version: int
    path: Path
    manifest: Manifest
    validation: ValidationReport | None


@dataclass(frozen=True)
class _Servable:
    """Everything about a model that is to be written."""

    answers: Answers
    transform: Transform
    signatures: Mapping[str, Signature]
    left_out: Mapping[str, str]
    samples: Samples
    tolerance: Mapping[str, float]
    golden: Sequence[Mapping[str, Any]]
    optimized: Optimized


@dataclass(frozen=True)
class _Wish:
    """What is asked about speed."""

    level: str
    weights: str
    calibration: Any = None


@dataclass(frozen=True, kw_only=True)
class _Options:
    name: str
    batch_sizes: tuple[int, ...]
    allowed_batch_sizes: tuple[int, ...]
    target_serving: str
    warmup: bool
    warmup_from: Path | None


def export_model(model: Any, root: str | Path, *, name: str | None = None, version: int | None = None, top_k: int = 5,
                 batch_sizes: Sequence[int] = (1, 2, 4, 8), allowed_batch_sizes: Sequence[int] | None = None,
                 target_serving: str = DEFAULT_TARGET, warmup: bool = True, validate: bool = True,
                 samples: Any = None, warmup_from: str | Path | None = None, optimize: str = NONE,
                 optimized_weights: str = CONSTANTS, calibration: Any = None) -> ExportResult:
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
            takes a processor that has them, here and in the server. Each rewrite is compared with the model on the
            samples, and dropped if it is too far off; the manifest and the model card say what was done. Language
            models that generate text, and models with tables or files in a layer, are written as they are.
        optimized_weights: Where the weights of a rewritten model stand. "constants" is the fastest in every server,
            and takes memory of many times their size. "variables" takes their size once, and is as fast in a server
            with TF_ONEDNN_ASSUME_FROZEN_WEIGHTS=1 in its environment.
        calibration: Realistic inputs like `samples`, of which the ranges of int8 are learned; some hundred are enough.
            They are not stored. None takes the samples.

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
    check_level(optimize, optimized_weights)
    options = _Options(name=record.name if name is None else name, batch_sizes=sizes, allowed_batch_sizes=allowed,
                       target_serving=target_serving, warmup=warmup,
                       warmup_from=Path(warmup_from) if warmup_from is not None else None)
    _require_warmup(options)
    try:
        check_model_name(options.name)
        if version is not None:
            check_version(version)
            _require_free(Path(root), options.name, version)
        with merged_lora(model):
            servable = _prepare(model, record, top_k, samples, _Wish(optimize, optimized_weights, calibration))
            require_space(root, _size_of(servable) + _ROOM_BESIDE_WEIGHTS_BYTES)
            with stage(root, options.name) as staging:
                manifest = _write(servable, staging.path, options)
                report = validate_folder(staging.path, target_serving=target_serving) if validate else None
                if report is not None:
                    report.require_ok()
                path = staging.publish(version)
        if report is not None:
            report = dataclasses.replace(report, directory=str(path))
    except RepositoryError as error:
        raise ExportError(str(error)) from error
    except (OSError, tf.errors.OpError) as error:
        raise ExportError(f"The model could not be written to {root}: {_reason(error)}. Nothing was left behind. "
                          "Make room, or choose another folder.") from error
    return ExportResult(name=options.name, version=int(path.name), path=path, manifest=manifest, validation=report)


def _require_warmup(options: _Options) -> None:
    if options.warmup_from is not None and not options.warmup:
        raise ExportError("`warmup_from` names requests to warm up with, and `warmup` is False. Leave one of them out.")
    if options.warmup_from is not None and not options.warmup_from.exists():
        raise ExportError(f"There is no request log at {options.warmup_from}. Give the folder that the server logs to.")


def _require_free(root: Path, name: str, version: int) -> None:
    """Refuses a taken number before minutes of work; the publication checks again."""
    if (root / name / str(version)).exists():
        raise ExportError(f"Version {version} of {name!r} exists at {root / name / str(version)}. A version is never "
                          "overwritten: choose another number, or give none for the next free one.")


def _prepare(model: Any, record: ModelRecord, top_k: int, samples: Any, wish: _Wish) -> _Servable:
    record = _asking_for_gaps(record)
    transform = transform_for(record.preprocessing)
    decoder = serving_decoder(model) if record.task == "language_model" and reads_texts(record) else None
    try:
        optimized = _optimized(model, record, transform, samples, wish) if decoder is None else _generating(wish)
        forward = trace_forward(model, record, rewritten(model, decoder) if decoder else optimized.rewritten)
        tolerance = tolerance_for(model, precision=optimized.precision)
        check_fit(forward, transform, record)
        answers = Answers.of(forward, record, top_k)
        signatures, left_out = make_signatures(answers, transform)
        if decoder:
            signatures |= language_model_signatures(decoder, transform)
        rows = make_samples(forward, record, samples, transform)
        golden = golden_vectors(model, answers, transform, signatures, rows, tolerance)
    except tf.errors.OpError as error:
        raise ExportError(f"The model fails on a sample input: {_reason(error)}. Give `samples` that it can take, or "
                          "mend the model.") from error
    return _Servable(answers, transform, signatures, left_out, rows, tolerance, golden, optimized)


def _optimized(model: Any, record: ModelRecord, transform: Transform, samples: Any, wish: _Wish) -> Optimized:
    """The forward pass rewritten, and compared on all samples that the golden vectors are made of."""
    if wish.level == NONE:
        return Optimized(None, {})
    inputs = Forward(input_specs(model, record), {}, None, ())
    check_fit(inputs, transform, record)
    rows = make_samples(inputs, record, samples, transform)
    sets = [rows.tensors]
    if rows.raw and not reads_texts(record):
        sets.append(dict(zip(inputs.inputs, transformed(transform, record, inputs, rows), strict=True)))
    learned = () if wish.calibration is None else _model_inputs(record, transform, inputs, wish.calibration)
    return optimize_forward(model, inputs.inputs, wish.level, wish.weights, sets, learned)


def _model_inputs(record: ModelRecord, transform: Transform, inputs: Forward, given: Any) -> list[dict[str, Any]]:
    """What a user gave, as the model takes it: sets of rows by pinned name, small enough to compute on at once."""
    rows = make_samples(inputs, record, given, transform)
    arrays = rows.tensors
    if rows.raw and not reads_texts(record):
        arrays = dict(zip(inputs.inputs, transformed(transform, record, inputs, rows), strict=True))
    count = len(next(iter(arrays.values())))
    return [{name: array[start:start + _ROWS_AT_ONCE] for name, array in arrays.items()}
            for start in range(0, count, _ROWS_AT_ONCE)]


def _generating(wish: _Wish) -> Optimized:
    reason = {"asked": wish.level, "reason": "a language model's texts come from a loop of its own, laid out for speed"}
    return Optimized(None, {} if wish.level == NONE else reason)


def _asking_for_gaps(record: ModelRecord) -> ModelRecord:
    """Makes "[MASK]" in a text mean the gap where filling gaps is the task: there it is asked for."""
    preprocessing = record.preprocessing
    if record.task != "masked_language_model" or not isinstance(preprocessing, WordPiecePreprocessing):
        return record
    return record.replace(preprocessing=dataclasses.replace(preprocessing, special_tokens_in_text=True))


def _size_of(servable: _Servable) -> int:
    in_variables: int = sum(variable.dtype.size * variable.shape.num_elements()
                            for variable in servable.answers.forward.variables)
    return servable.optimized.constant_bytes + in_variables


def _write(servable: _Servable, folder: Path, options: _Options) -> Manifest:
    """Writes every file of the version, the manifest last."""
    methods = {name: signature.contract.method for name, signature in servable.signatures.items()}
    inputs = {name: signature_inputs(name, servable.samples) for name in servable.signatures}
    # A language model's answers take long, and its first one all that a larger batch would need as well.
    single = tuple(inputs) if GENERATE in inputs else ()
    manifest = _manifest(servable, options)
    _write_saved_model(servable, folder, methods)
    if options.warmup:
        write_warmup(folder, options.name, methods, inputs, options.batch_sizes, single,
                     _logged_requests(servable, options))
    (folder / BATCHING_FILE).write_text(batching_text(options.allowed_batch_sizes), encoding="utf-8")
    (folder / MODEL_CARD_FILE).write_text(model_card(manifest), encoding="utf-8")
    complete = manifest.with_files_of(folder)
    (folder / MANIFEST_FILE).write_text(complete.to_json(), encoding="utf-8")
    return complete


def _logged_requests(servable: _Servable, options: _Options) -> tuple[PredictionLog, ...]:
    if options.warmup_from is None:
        return ()
    contracts = {name: signature.contract for name, signature in servable.signatures.items()}
    return choose_logged(options.warmup_from, options.name, contracts).records


def _write_saved_model(servable: _Servable, folder: Path, methods: Mapping[str, str]) -> None:
    module = ServableModule(servable.answers.forward, servable.transform)
    functions = {name: signature.function for name, signature in servable.signatures.items()}
    try:
        tf.saved_model.save(module, str(folder), signatures=functions)
    except AssertionError as error:  # how TensorFlow says "untracked"
        raise ExportError("A layer of the model holds a table or file that is no weight, so it cannot be written: "
                          f"{' '.join(str(error).split())[:300]}. Move it into the preprocessing.") from error
    make_canonical(folder, methods, {name: signature.aliases for name, signature in servable.signatures.items()},
                   {name: signature.defaults for name, signature in servable.signatures.items()})


def _manifest(servable: _Servable, options: _Options) -> Manifest:
    answers, record = servable.answers, servable.answers.record
    return Manifest(
        name=options.name,
        task=record.task,
        labels=record.labels,
        threshold=record.threshold if record.task == "binary_classification" else None,
        top_k=answers.top_k,
        signatures={name: signature.contract for name, signature in servable.signatures.items()},
        left_out=servable.left_out,
        batch_sizes=options.batch_sizes,
        target_serving=options.target_serving,
        tolerance=servable.tolerance,
        golden=tuple(servable.golden),
        record=short_record(record),
        versions=_versions(),
        optimization=servable.optimized.record,
    )


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed as a package"
    return versions


def _reason(error: OSError | Any) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:300]
