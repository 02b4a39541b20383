"""`optimize="auto"` and `"max"`: the candidates are exported, judged and timed, and the best one is published."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serving.errors import ExportError, ServingError, ValidationError
from serving.export.candidates.choosing import Outcome, choose
from serving.export.candidates.described import described
from serving.export.candidates.judging import judge_version
from serving.export.candidates.plan import Candidate, Selection, candidates_of, examples_for
from serving.export.candidates.plot import plot_candidates
from serving.export.candidates.race import Tell, Timing, race
from serving.export.optimize.levels import LEVELS, NONE
from serving.export.version import ExportOptions, ExportResult, Wish, publish, publish_copy, served_size
from zoo.bundle import load
from zoo.errors import ZooError
from zoo.spec import ModelRecord, record_of

JSON_FILE, PICTURE_FILE = "candidates.json", "candidates.png"


@dataclass(frozen=True)
class _Exported:
    """A candidate's version, and the record of its model."""

    folder: Path
    record: ModelRecord


def publish_best(model: Any, root: str | Path, options: ExportOptions, word: str, weights: str, selection: Selection,
                 tell: Tell) -> ExportResult:
    """Exports candidates to a temporary folder, compares them there, and publishes the best one as it was compared.

    Args:
        model: A keras.Model with a record.
        root: The model repository.
        options: What to write.
        word: "auto" or "max".
        weights: Where the weights of rewritten graphs stand.
        selection: What to choose by.
        tell: Called with a line now and then.

    Returns:
        What was published; its manifest holds all candidates.

    Raises:
        ExportError: There is nothing to judge by, or the plain export fails.
        ValidationError: Not even the plain export is fit to be served.
    """
    if selection.validation is None:
        raise ExportError(f"`optimize={word!r}` keeps what is as good as the model on validation data, and there are "
                          "none. Give `validation`, or choose a level yourself, such as `optimize='safe'`.")
    with tempfile.TemporaryDirectory(prefix="zoo-candidates-") as scratch:
        exported: dict[str, _Exported] = {}
        outcomes = [_exported(candidate, model, Path(scratch), options, weights, selection, exported, tell)
                    for candidate in candidates_of(word, selection)]
        compared = len(exported) > 1
        if compared:
            outcomes = _timed(_judged(outcomes, exported, selection, tell), exported, selection, tell)
        return _published(outcomes, exported, compared, root, options, word, selection, tell)


# === Exporting ===


def _exported(candidate: Candidate, model: Any, scratch: Path, options: ExportOptions, weights: str,
              selection: Selection, exported: dict[str, _Exported], tell: Tell) -> Outcome:
    """Writes one candidate; one that cannot be is told, but for the plain export, which must be."""
    if candidate.reason:
        return Outcome(candidate=candidate, reason=candidate.reason)
    tell(f"exporting {candidate.name}")
    plain = candidate.level == NONE and candidate.run is None
    try:
        subject = model if candidate.run is None else _other(candidate.run, record_of(model))
        record = record_of(subject)
        calibration = examples_for(selection.calibration, record) if candidate.level != NONE else None
        quick = replace(options, version=None, validate=False)
        result = publish(subject, record, scratch, quick, Wish(candidate.level, weights, calibration))
    except (ServingError, ZooError) as error:
        if plain:
            raise
        return Outcome(candidate=candidate, reason=f"it cannot be exported: {error}")
    found = dict(result.manifest.optimization)
    reason = _reason_of(candidate.level, found)
    if not reason:
        exported[candidate.name] = _Exported(result.path, record)
    return Outcome(candidate=candidate, record=found, reason=reason, size_bytes=served_size(result.path))


def _other(run: Path, record: ModelRecord) -> Any:
    """Another model, which must answer the same question."""
    model = load(run)
    other = record_of(model)
    if (other.task, other.labels, other.input_kind) != (record.task, record.labels, record.input_kind):
        raise ExportError(f"{run} holds a model for {other.task} of {other.input_kind} with "
                          f"{len(other.labels)} labels; a candidate answers as {record.name} does: {record.task} of "
                          f"{record.input_kind} with the same {len(record.labels)} labels.")
    return model


def _reason_of(level: str, record: Mapping[str, Any]) -> str:
    """Why a rewritten export is no candidate: it is no other than a simpler one."""
    if level == NONE:
        return ""
    if "reason" in record:
        return f"the graph is what Keras computes: {record['reason']}"
    wanted = [name for name, precision in LEVELS[level].precisions.items() if precision == LEVELS[level].precision]
    steps = {step["name"]: step for step in record.get("passes", ())}
    if wanted and not any(steps.get(name, {}).get("kept") for name in wanted):
        reasons = [f"{name}: {steps.get(name, {}).get('reason') or 'it was not run'}" for name in wanted]
        return f"what it is for was left out ({'; '.join(reasons)})"
    return ""


# === Judging and timing ===


def _judged(outcomes: Sequence[Outcome], exported: Mapping[str, _Exported], selection: Selection,
            tell: Tell) -> list[Outcome]:
    found = []
    for outcome in outcomes:
        version = exported.get(outcome.candidate.name)
        if version is None:
            found.append(outcome)
            continue
        tell(f"judging {outcome.candidate.name}")
        try:
            split = examples_for(selection.validation, version.record)
            found.append(replace(outcome, judgement=judge_version(version.folder, version.record, split,
                                                                  selection.metric)))
        except (ServingError, ZooError) as error:
            if not found:
                raise
            found.append(replace(outcome, reason=f"it cannot be judged: {error}"))
    return found


def _timed(outcomes: Sequence[Outcome], exported: Mapping[str, _Exported], selection: Selection,
           tell: Tell) -> list[Outcome]:
    folders = {outcome.candidate.name: exported[outcome.candidate.name].folder for outcome in outcomes
               if outcome.judgement is not None}
    timings = race(folders, selection.batches, selection.rounds, selection.seconds, tell)
    if not isinstance(timings[outcomes[0].candidate.name], Timing):
        raise ExportError(f"The plain export cannot be timed: {timings[outcomes[0].candidate.name]}")
    return [_with_timing(outcome, timings.get(outcome.candidate.name)) for outcome in outcomes]


def _with_timing(outcome: Outcome, timing: Timing | str | None) -> Outcome:
    if isinstance(timing, str):
        return replace(outcome, reason=f"it cannot be timed: {timing}")
    return replace(outcome, timing=timing)


# === Publishing ===


def _published(outcomes: list[Outcome], exported: Mapping[str, _Exported], compared: bool, root: str | Path,
               options: ExportOptions, word: str, selection: Selection, tell: Tell) -> ExportResult:
    """Publishes the best candidate that is fit to be served."""
    while True:
        ranked = choose(outcomes, selection) if compared else [replace(outcomes[0], chosen=True), *outcomes[1:]]
        best = next(outcome for outcome in ranked if outcome.chosen)
        tell(f"publishing {best.candidate.name}")
        summary = described(ranked, selection, compared)
        try:
            result = publish_copy(exported[best.candidate.name].folder, root, options, _told(best, word, summary))
        except ValidationError as error:
            if best.candidate.name == outcomes[0].candidate.name:
                raise
            outcomes = [replace(outcome, reason=f"it is not fit to be served: {error}")
                        if outcome.candidate == best.candidate else outcome for outcome in outcomes]
            continue
        if selection.report is not None:
            _report(selection.report, ranked, summary, word, result)
        return result


def _told(best: Outcome, word: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says about speed."""
    told = {**best.record, "asked": word, "level": best.candidate.level, "selection": dict(summary)}
    if best.candidate.level == NONE:
        told["reason"] = "no candidate was better" if best.candidate.run is None else "its graph was the best candidate"
    return told


def _report(folder: Path, outcomes: Sequence[Outcome], summary: Mapping[str, Any], word: str,
            result: ExportResult) -> None:
    """Writes all that is known about the candidates, their graphs' passes too, and the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"asked": word, "published": {"name": result.name, "version": result.version}, **summary,
               "graphs": {outcome.candidate.name: outcome.record for outcome in outcomes if outcome.record}}
    (folder / JSON_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    plot_candidates(summary, folder / PICTURE_FILE)
