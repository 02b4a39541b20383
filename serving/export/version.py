"""One version of a model: traced, rewritten as wished, written, validated and published in one step."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from serving.errors import ExportError, RepositoryError
from serving.export.answers import Answers
from serving.export.batching_file import BATCHING_FILE, batching_text
from serving.export.fit_checks import check_fit
from serving.export.logged_requests import choose_logged
from serving.export.model_card import MODEL_CARD_FILE, model_card
from serving.export.optimize.choice import VARIABLES, Optimized, optimize_forward
from serving.export.optimize.levels import LEVELS, NONE
from serving.export.raw_inputs import reads_texts
from serving.export.reference import AsWritten, golden_vectors, how_far, signature_inputs, tolerance_for
from serving.export.row_parts import row_parts
from serving.export.rows import compared_rows, learned_rows
from serving.export.samples import Samples, make_samples
from serving.export.saved_model_file import make_canonical
from serving.export.servable_module import Forward, ServableModule, input_specs, trace_forward
from serving.export.server_files import write_server_files
from serving.export.short_record import short_record
from serving.export.signature import Signature
from serving.export.signatures import make_signatures
from serving.export.text_generation import GENERATE, language_model_signatures, rewritten, serving_decoder
from serving.export.thread_tuning import require_processors, tuned_threads
from serving.export.validation import ValidationReport
from serving.export.validation import validate as validate_folder
from serving.export.warmup import write_warmup
from serving.manifest import MANIFEST_FILE, Manifest, read_manifest
from serving.protocol.generated.serving_pb2 import PredictionLog
from serving.repository import check_model_name, check_version, require_space, stage
from zoo.layers.lora import merged_lora
from zoo.preprocessing.transform import Transform, transform_for
from zoo.spec import ModelRecord, WordPiecePreprocessing

_PACKAGES = ("servable-zoo", "tensorflow", "keras", "numpy", "protobuf")
_ROOM_BESIDE_WEIGHTS_BYTES = 32 * 2**20
# Each part of the rows would make all of them again.
_WEIGHTS_MADE_AT_EACH_CALL = ("int8_weights", "int4_weights")
# What a server reads; the rest of a version is for people and for tests.
_SERVED = ("saved_model.pb", "fingerprint.pb", "variables", "assets")


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
class Servable:
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
class Wish:
    """What is asked about speed.

    Attributes:
        level: "none" or of `serving.export.optimize.levels.LEVELS`.
        weights: Where the weights of a rewritten model stand.
        calibration: What ranges are learned of, see `serving.export.rows.learned_rows`.
        cores: The processors of the server that it is for: in how many parts at most the rows of a request are
            computed where the model is rewritten.
        tune_threads: Whether to measure with how many threads it is best served.
    """

    level: str
    weights: str
    calibration: Any = None
    cores: int = 1
    tune_threads: bool = False


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is asked about everything else; see `serving.export.export.export_model`."""

    name: str
    version: int | None
    top_k: int
    batch_sizes: tuple[int, ...]
    allowed_batch_sizes: tuple[int, ...]
    target_serving: str
    warmup: bool
    validate: bool
    samples: Any
    warmup_from: Path | None


def check_options(options: ExportOptions, root: str | Path, wish: Wish) -> None:
    """Refuses what cannot be, before minutes of work.

    Raises:
        ExportError: The name, the number, the log or the processors.
    """
    _require_warmup(options)
    if wish.tune_threads and not options.warmup:
        raise ExportError("`tune_threads` times requests that the version is warmed up with, and `warmup` is False. "
                          "Leave one of them out.")
    if wish.tune_threads:
        require_processors(wish.cores)
    with told_as_export_error(root):
        check_model_name(options.name)
        if options.version is not None:
            check_version(options.version)
            _require_free(Path(root), options.name, options.version)


def publish(model: Any, record: ModelRecord, root: str | Path, options: ExportOptions, wish: Wish) -> ExportResult:
    """Writes a model as a version and publishes it.

    Args:
        model: The keras.Model.
        record: Its record.
        root: The model repository; made if missing.
        options: What to write; checked by `check_options`.
        wish: About speed.

    Raises:
        ExportError: The model, an option or the disk does not allow it.
        ValidationError: The version was written and is not fit to be served; it was not published.
    """
    with told_as_export_error(root), merged_lora(model):
        servable = _prepare(model, record, options, wish)
        require_space(root, _size_of(servable) + _ROOM_BESIDE_WEIGHTS_BYTES)
        with stage(root, options.name) as staging:
            manifest = _with_threads(_write(servable, staging.path, options), staging.path, wish)
            return _publish(staging, _described(manifest, staging.path), options)


def publish_copy(folder: Path, root: str | Path, options: ExportOptions, optimization: Mapping[str, Any],
                 wish: Wish) -> ExportResult:
    """Publishes a version that stands in another repository, with more to say of how it came about.

    Args:
        folder: The version's folder, which `publish` wrote.
        root: The model repository; made if missing.
        options: Its options.
        optimization: What the manifest and the card say about speed.
        wish: Whether to measure with how many threads it is best served.

    Raises:
        ExportError: The disk does not allow it.
        ValidationError: It is not fit to be served; it was not published.
    """
    with told_as_export_error(root):
        require_space(root, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
        manifest = dataclasses.replace(read_manifest(folder), optimization=optimization)
        with stage(root, options.name) as staging:
            shutil.copytree(folder, staging.path, dirs_exist_ok=True)
            (staging.path / MANIFEST_FILE).unlink()
            manifest = _with_threads(manifest, staging.path, wish)
            return _publish(staging, _described(manifest, staging.path), options)


def served_size(folder: Path) -> int:
    """Returns how many bytes of a version's folder a server reads."""
    paths = [path for name in _SERVED for path in [folder / name, *(folder / name).rglob("*")]]
    return sum(path.stat().st_size for path in paths if path.is_file())


@contextlib.contextmanager
def told_as_export_error(root: str | Path) -> Iterator[None]:
    """Makes what the repository and the disk say an ExportError."""
    try:
        yield
    except RepositoryError as error:
        raise ExportError(str(error)) from error
    except (OSError, tf.errors.OpError) as error:
        raise ExportError(f"The model could not be written to {root}: {_reason(error)}. Nothing was left behind. "
                          "Make room, or choose another folder.") from error


def _publish(staging: Any, manifest: Manifest, options: ExportOptions) -> ExportResult:
    report = validate_folder(staging.path, target_serving=options.target_serving) if options.validate else None
    if report is not None:
        report.require_ok()
    path = staging.publish(options.version)
    if report is not None:
        report = dataclasses.replace(report, directory=str(path))
    return ExportResult(name=options.name, version=int(path.name), path=path, manifest=manifest, validation=report)


def _require_warmup(options: ExportOptions) -> None:
    if options.warmup_from is not None and not options.warmup:
        raise ExportError("`warmup_from` names requests to warm up with, and `warmup` is False. Leave one of them out.")
    if options.warmup_from is not None and not options.warmup_from.exists():
        raise ExportError(f"There is no request log at {options.warmup_from}. Give the folder that the server logs to.")


def _require_free(root: Path, name: str, version: int) -> None:
    """Refuses a taken number before minutes of work; the publication checks again."""
    if (root / name / str(version)).exists():
        raise ExportError(f"Version {version} of {name!r} exists at {root / name / str(version)}. A version is never "
                          "overwritten: choose another number, or give none for the next free one.")


def _prepare(model: Any, record: ModelRecord, options: ExportOptions, wish: Wish) -> Servable:
    record = _asking_for_gaps(record)
    transform = transform_for(record.preprocessing)
    writes_texts = record.task == "language_model" and reads_texts(record)
    try:
        optimized = _generating(wish) if writes_texts else _optimized(model, record, transform, options.samples, wish)
        decoder = serving_decoder(model, optimized.precision) if writes_texts else None
        forward = trace_forward(model, record, rewritten(model, decoder) if decoder else optimized.rewritten,
                                parts=1 if decoder else optimized.record.get("row_parts", 1))
        tolerance = tolerance_for(model, precision=optimized.precision)
        check_fit(forward, transform, record)
        answers = Answers.of(forward, record, options.top_k)
        signatures, left_out = make_signatures(answers, transform)
        if decoder:
            signatures |= language_model_signatures(decoder, transform)
        rows = make_samples(forward, record, options.samples, transform)
        judge = model if optimized.precision == "float32" else AsWritten(model, forward)
        golden = golden_vectors(judge, answers, transform, signatures, rows, tolerance)
        if decoder and optimized.precision != "float32":
            optimized = dataclasses.replace(optimized, record={**optimized.record, **how_far(model, forward, rows)})
    except tf.errors.OpError as error:
        raise ExportError(f"The model fails on a sample input: {_reason(error)}. Give `samples` that it can take, or "
                          "mend the model.") from error
    return Servable(answers, transform, signatures, left_out, rows, tolerance, golden, optimized)


def _optimized(model: Any, record: ModelRecord, transform: Transform, samples: Any, wish: Wish) -> Optimized:
    """The forward pass rewritten, and compared on all samples that the golden vectors are made of."""
    if wish.level == NONE:
        return Optimized(None, {})
    inputs = Forward(input_specs(model, record), {}, None, ())
    check_fit(inputs, transform, record)
    optimized = optimize_forward(model, inputs.inputs, wish.level, wish.weights,
                                 compared_rows(record, transform, inputs, samples),
                                 learned_rows(record, transform, inputs, wish.calibration))
    alone = optimized.rewritten is None or wish.level in _WEIGHTS_MADE_AT_EACH_CALL
    parts = 1 if alone else row_parts(model, wish.cores)
    return dataclasses.replace(optimized, record={**optimized.record, "cores": wish.cores, "row_parts": parts})


def _generating(wish: Wish) -> Optimized:
    """A language model's texts come from a loop of its own: only the numbers of its parameters can be chosen."""
    if wish.level == NONE:
        return Optimized(None, {})
    if wish.level == "int4_weights":
        raise ExportError("A language model that writes texts has no level of four bits. Export it with "
                          "`optimize='int8'`, the fewest that there are for it.")
    precision = LEVELS[wish.level].precision
    return Optimized(None, {"asked": wish.level, "precision": precision, "weights": VARIABLES}, precision)


def _asking_for_gaps(record: ModelRecord) -> ModelRecord:
    """Makes "[MASK]" in a text mean the gap where filling gaps is the task: there it is asked for."""
    preprocessing = record.preprocessing
    if record.task != "masked_language_model" or not isinstance(preprocessing, WordPiecePreprocessing):
        return record
    return record.replace(preprocessing=dataclasses.replace(preprocessing, special_tokens_in_text=True))


def _size_of(servable: Servable) -> int:
    in_variables: int = sum(variable.dtype.size * variable.shape.num_elements()
                            for variable in servable.answers.forward.variables)
    return servable.optimized.constant_bytes + in_variables


def _write(servable: Servable, folder: Path, options: ExportOptions) -> Manifest:
    """Writes every file of the version but the card and the manifest."""
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
    write_server_files(folder)
    return manifest


def _with_threads(manifest: Manifest, folder: Path, wish: Wish) -> Manifest:
    """Writes with how many threads the version is best served, if that is asked for; returns what is known then."""
    if not wish.tune_threads:
        return manifest
    # What a language model writes takes long: one text tells enough.
    sizes = (1,) if GENERATE in manifest.signatures else manifest.batch_sizes
    tuned = tuned_threads(folder, wish.cores, sizes)
    if not tuned:
        return manifest
    write_server_files(folder, tuned["threads"])
    return dataclasses.replace(manifest, optimization={**manifest.optimization, "serving_threads": tuned})


def _described(manifest: Manifest, folder: Path) -> Manifest:
    """Writes the model card, and last the manifest with all files in it."""
    (folder / MODEL_CARD_FILE).write_text(model_card(manifest), encoding="utf-8")
    complete = manifest.with_files_of(folder)
    (folder / MANIFEST_FILE).write_text(complete.to_json(), encoding="utf-8")
    return complete


def _logged_requests(servable: Servable, options: ExportOptions) -> tuple[PredictionLog, ...]:
    if options.warmup_from is None:
        return ()
    contracts = {name: signature.contract for name, signature in servable.signatures.items()}
    return choose_logged(options.warmup_from, options.name, contracts).records


def _write_saved_model(servable: Servable, folder: Path, methods: Mapping[str, str]) -> None:
    module = ServableModule(servable.answers.forward, servable.transform)
    functions = {name: signature.function for name, signature in servable.signatures.items()}
    try:
        tf.saved_model.save(module, str(folder), signatures=functions)
    except AssertionError as error:  # how TensorFlow says "untracked"
        raise ExportError("A layer of the model holds a table or file that is no weight, so it cannot be written: "
                          f"{' '.join(str(error).split())[:300]}. Move it into the preprocessing.") from error
    make_canonical(folder, methods, {name: signature.aliases for name, signature in servable.signatures.items()},
                   {name: signature.defaults for name, signature in servable.signatures.items()})


def _manifest(servable: Servable, options: ExportOptions) -> Manifest:
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
