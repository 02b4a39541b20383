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
from serving.export.raw_inputs import reads_texts
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


def publish_best(model: Any, root: str | Path, options: ExportOptions, wish: Wish, selection: Selection,
                 tell: Tell) -> ExportResult:
    """Exports candidates to a temporary folder, compares them there, and publishes the best one as it was compared.

    Args:
        model: A keras.Model with a record.
        root: The model repository.
        options: What to write.
        wish: About speed; its level is "auto" or "max".
        selection: What to choose by.
        tell: Called with a line now and then.

    Returns:
        What was published; its manifest holds all candidates.

    Raises:
        ExportError: There is nothing to judge by, or the plain export fails.
        ValidationError: Not even the plain export is fit to be served.
    """
    word = wish.level
    if selection.validation is None:
        raise ExportError(f"{word} chooses among exports that are as good as the model on validation data, and there "
                          "are none. Give `validation`, or choose a level yourself, such as safe, as `optimize`.")
    with tempfile.TemporaryDirectory(prefix="zoo-candidates-") as scratch:
        trial = _Trial(model, Path(scratch), options, wish, selection, tell)
        writes = _writes_texts(record_of(model))
        own, others = _by_run(candidates_of(word, selection, writes=writes))
        outcomes = [trial.exported(candidate) for candidate in own]
        compared = len(trial.versions) > 1 or bool(others)
        if compared:
            outcomes = [trial.judged(outcome) for outcome in outcomes]
            for candidates in others:
                outcomes += trial.of_another(candidates, outcomes[0])
            outcomes = _timed(outcomes, trial.versions, selection, tell)
        # What a language model writes takes too long to be timed in both ways as well.
        how = _How(replace(wish, tune_threads=wish.tune_threads and not writes), selection, compared, writes)
        return _published(outcomes, trial.versions, how, root, options, tell)


def _writes_texts(record: ModelRecord) -> bool:
    return record.task == "language_model" and reads_texts(record)


def _by_run(candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[list[Candidate]]]:
    """The candidates that are the model itself, and those of each other run, the plain export first."""
    runs = dict.fromkeys(candidate.run for candidate in candidates if candidate.run is not None)
    return ([candidate for candidate in candidates if candidate.run is None],
            [[candidate for candidate in candidates if candidate.run == run] for run in runs])


# === Exporting and judging ===


class _Trial:
    """What it takes to export and judge a candidate, and where those that were exported lie.

    Attributes:
        versions: The exported candidates by name.
    """

    def __init__(self, model: Any, scratch: Path, options: ExportOptions, wish: Wish, selection: Selection,
                 tell: Tell) -> None:
        self.versions: dict[str, _Exported] = {}
        self._model = model
        self._scratch = scratch
        self._options = replace(options, version=None, validate=False)
        self._wish = wish
        self._selection = selection
        self._tell = tell

    def exported(self, candidate: Candidate) -> Outcome:
        """Writes a candidate; one that cannot be is told, but for the plain export, which must be."""
        if candidate.reason:
            return Outcome(candidate=candidate, reason=candidate.reason)
        self._tell(f"exporting {candidate.name}")
        try:
            model = self._model if candidate.run is None else _other(candidate.run, record_of(self._model))
            record = record_of(model)
            calibration = None if candidate.level == NONE else examples_for(self._selection.calibration, record)
            result = publish(model, record, self._scratch, self._options, replace(
                self._wish, level=candidate.level, calibration=calibration, tune_threads=False))
        except (ServingError, ZooError) as error:
            if candidate.level == NONE and candidate.run is None:
                raise
            return Outcome(candidate=candidate, reason=f"it cannot be exported: {error}")
        found = dict(result.manifest.optimization)
        reason = _reason_of(candidate.level, found)
        if not reason:
            self.versions[candidate.name] = _Exported(result.path, record)
        return Outcome(candidate=candidate, record=found, reason=reason, size_bytes=served_size(result.path))

    def judged(self, outcome: Outcome) -> Outcome:
        """Judges an exported candidate by the validation examples; the plain export must allow it."""
        candidate = outcome.candidate
        version = self.versions.get(candidate.name)
        if version is None:
            return outcome
        self._tell(f"judging {candidate.name}")
        try:
            split = examples_for(self._selection.validation, version.record)
            return replace(outcome, judgement=judge_version(version.folder, version.record, split,
                                                            self._selection.metric))
        except (ServingError, ZooError) as error:
            if candidate.level == NONE and candidate.run is None:
                raise
            return replace(outcome, reason=f"it cannot be judged: {error}")

    def of_another(self, candidates: Sequence[Candidate], plain: Outcome) -> list[Outcome]:
        """Exports and judges another run's candidates; where its plain export is worse than allowed, only that."""
        first = self.judged(self.exported(candidates[0]))
        if first.judgement is None or plain.judgement is None:
            reason = first.reason
        elif plain.judgement.drop_of(first.judgement) > self._selection.tolerance:
            reason = f"{first.candidate.name} is worse than allowed, and this computes the same less exactly"
        else:
            return [first, *(self.judged(self.exported(candidate)) for candidate in candidates[1:])]
        return [first, *(Outcome(candidate=candidate, reason=candidate.reason or reason)
                         for candidate in candidates[1:])]


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
    if record.get("precision") == LEVELS[level].precision and "passes" not in record:
        return ""  # a model that writes texts: its parameters in other numbers, in the loop that it has
    wanted = [name for name, precision in LEVELS[level].precisions.items() if precision == LEVELS[level].precision]
    steps = {step["name"]: step for step in record.get("passes", ())}
    if wanted and not any(steps.get(name, {}).get("kept") for name in wanted):
        reasons = [f"{name}: {steps.get(name, {}).get('reason') or 'it was not run'}" for name in wanted]
        return f"what it is for was left out ({'; '.join(reasons)})"
    return ""


# === Timing ===


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


@dataclass(frozen=True)
class _How:
    """What was asked for, whether there was anything to compare, and whether the models write texts."""

    wish: Wish
    selection: Selection
    compared: bool
    writes: bool


def _published(outcomes: list[Outcome], exported: Mapping[str, _Exported], how: _How, root: str | Path,
               options: ExportOptions, tell: Tell) -> ExportResult:
    """Publishes the best candidate that is fit to be served."""
    selection = how.selection
    while True:
        ranked = choose(outcomes, selection) if how.compared else [replace(outcomes[0], chosen=True), *outcomes[1:]]
        best = next(outcome for outcome in ranked if outcome.chosen)
        tell(f"publishing {best.candidate.name}")
        summary = described(ranked, selection, how.compared, "token" if how.writes else "call")
        try:
            told = _told(best, how.wish.level, summary)
            result = publish_copy(exported[best.candidate.name].folder, root, options, told, how.wish)
        except ValidationError as error:
            if best.candidate.name == outcomes[0].candidate.name:
                raise
            outcomes = [replace(outcome, reason=f"it is not fit to be served: {error}")
                        if outcome.candidate == best.candidate else outcome for outcome in outcomes]
            continue
        if selection.report is not None:
            _report(selection.report, ranked, summary, how.wish.level, result)
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
