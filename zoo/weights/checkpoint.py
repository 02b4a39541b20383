"""Checkpoints of BERT and GPT-2 in the formats that are around: `open_checkpoint`, `load_checkpoint`.

A folder is told by what lies in it:

    saved_model.pb                                     an encoder of TF Hub
    config.json with a class of keras-hub              a keras-hub preset
    config.json (model.safetensors, or its parts)      Hugging Face and sentence-transformers
    bert_config.json, bert_model.ckpt.*, vocab.txt     the original BERT
    hparams.json, model.ckpt.*, encoder.json           the original GPT-2
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.errors import WeightsError
from zoo.weights.checkpoint_contents import ARCHITECTURE, Checkpoint
from zoo.weights.hugging_face import INDEX, WEIGHTS, open_hugging_face
from zoo.weights.keras_hub_text import is_keras_hub, open_keras_hub_text
from zoo.weights.openai_gpt2 import CONFIG as GPT2_CONFIG
from zoo.weights.openai_gpt2 import open_openai_gpt2
from zoo.weights.report import LoadReport, Shapes, listing
from zoo.weights.saved_model_folder import problem_with
from zoo.weights.tensor_rules import CLASSES, MASKED, POOLER, Assembled, SourceTensor
from zoo.weights.tf1_checkpoint import CONFIG as BERT_CONFIG
from zoo.weights.tf1_checkpoint import open_tf1_bert
from zoo.weights.tfhub import open_tfhub
from zoo.weights.verification import GOLDEN, Sample, random_inputs, read_golden
from zoo.weights.verification import verify as compare

__all__ = ["ARCHITECTURE", "Checkpoint", "HEAD", "load_checkpoint", "open_checkpoint", "provenance"]

_LISTED = 20
_MAPPING = 1  # raised when a rule changes what a tensor becomes
HEAD = "the head"  # its key among the reasons of a report
_HEAD_LAYER = "predictions/"
_POOLER = "pooler/"


def open_checkpoint(folder: Path) -> Checkpoint:
    """Opens a checkpoint folder on this machine, whatever its format.

    Args:
        folder: The folder.

    Returns:
        Its configuration, vocabulary and labels in our words, and its tensors by our variables; values are read when
        they are assigned.

    Raises:
        WeightsError: It holds no checkpoint, half of one, a damaged one, or one of another architecture; one line
            says which.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder} is no folder. A checkpoint is a folder with its configuration, parameters and "
                           "vocabulary.")
    if (folder / "saved_model.pb").is_file() or (folder / "variables").is_dir():
        problem = problem_with(folder)
        if problem:
            raise WeightsError(f"The SavedModel in {folder} is not whole: {problem}. Fetch or copy it again.")
        return open_tfhub(folder)
    if is_keras_hub(folder):
        return open_keras_hub_text(folder)
    safetensors = (folder / WEIGHTS).is_file() or (folder / INDEX).is_file()
    if (folder / GPT2_CONFIG).is_file() and not safetensors:
        return open_openai_gpt2(folder)
    if (folder / BERT_CONFIG).is_file() and not safetensors:
        return open_tf1_bert(folder)
    if (folder / "config.json").is_file() or (folder / "modules.json").is_file():
        return open_hugging_face(folder)
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise WeightsError(f"{folder} holds no checkpoint of BERT or GPT-2: none of config.json, {BERT_CONFIG}, "
                       f"{GPT2_CONFIG} and saved_model.pb is there (there is: {there}). It may be half-downloaded, or "
                       "the files lie one folder deeper.")


def load_checkpoint(model: keras.Model, checkpoint: Checkpoint, *, verify: bool = True) -> LoadReport:
    """Loads a checkpoint into a model, strictly: nothing is changed unless everything fits and is explained.

    A SavedModel of TF Hub is run beside the model, and golden vectors that lie beside a checkpoint are compared (see
    `zoo.weights.verification.record_golden`); above the tolerance the model gets its old parameters back.

    Args:
        model: A BERT or GPT-2 of the zoo, built with the checkpoint's arguments.
        checkpoint: What `open_checkpoint` returned.
        verify: Whether the model is compared with its source, where that is possible.

    Returns:
        What happened to each variable and tensor. A head that the checkpoint does not have, or has for another number
        of classes, keeps its random start and is listed as reinitialised.

    Raises:
        WeightsError: Tensors that do not fit, are missing or cannot be explained; or other results than the source's.
    """
    variables = {variable.path: variable for variable in model.variables if _is_parameter(variable)}
    head = _head_of(model, variables)
    values, report = _matched(variables, checkpoint, head, model)
    sample, against = _sample(model, checkpoint) if verify else (None, "")
    before = {path: np.array(variables[path].numpy()) for path in values} if sample else {}
    for path, value in values.items():
        variables[path].assign(value if isinstance(value, np.ndarray) else value.read())
    if sample is None:
        return report
    if model.compute_dtype != "float32":
        return replace(report, reasons={**report.reasons, "verification": f"left out, because the model computes in "
                                        f"{model.compute_dtype}; build it in float32 to compare it"})
    try:
        return replace(report, verification=compare(model, sample, against))
    except WeightsError:
        for path, old in before.items():
            variables[path].assign(old)
        raise


def provenance(checkpoint: Checkpoint, report: LoadReport) -> dict[str, Any]:
    """Returns where parameters come from, for a model's record: format, sha256 of every file, what happened.

    Args:
        checkpoint: The checkpoint.
        report: What `load_checkpoint` returned.

    Returns:
        JSON-ready data without the paths of this machine.
    """
    files = {}
    for path in checkpoint.files:
        place = path.relative_to(checkpoint.folder).as_posix() if path.is_relative_to(checkpoint.folder) else path.name
        with path.open("rb") as file:
            files[place] = hashlib.file_digest(file, "sha256").hexdigest()
    return {"format": checkpoint.format, "mapping": f"{checkpoint.format}/{checkpoint.family}/{_MAPPING}",
            "files": files, "report": report.to_dict()}


# === Matching ===


def _is_parameter(variable: Any) -> bool:
    return "seed_generator" not in variable.path and "float" in str(variable.dtype)


def _head_of(model: keras.Model, variables: Mapping[str, Any]) -> str:
    """Returns which head the model has: that of classes, that of masked tokens, or none with variables."""
    if "mlm_transform/kernel" in variables:
        return MASKED
    return CLASSES if f"{_HEAD_LAYER}kernel" in variables else ""


def _matched(variables: Mapping[str, Any], checkpoint: Checkpoint, head: str, model: keras.Model
             ) -> tuple[dict[str, Assembled | np.ndarray[Any, Any]], LoadReport]:
    tensors = checkpoint.tensors
    offered: dict[str, Assembled] = {**tensors.of(""), **tensors.of(POOLER)}
    reasons = dict(tensors.explained)
    own = _head_values(variables, checkpoint, head, model)
    values: dict[str, Assembled | np.ndarray[Any, Any]] = {**own}
    started = {path: tuple(variable.shape) for path, variable in variables.items()
               if _is_head(path, head) and path not in own}
    if started:
        reasons[HEAD] = f"keeps its random start, because {_why_random(checkpoint, head)}"
    for path in variables:
        if path in offered and path not in started:
            values.setdefault(path, offered[path])
    missing = {path: tuple(variable.shape) for path, variable in variables.items()
               if path not in values and path not in started}
    if all(path.startswith(_POOLER) for path in missing) and missing:
        started |= missing
        reasons["the pooler"] = "keeps its random start, because the checkpoint has none"
        missing = {}
    unfit = {path: value for path, value in values.items() if tuple(value.shape) != tuple(variables[path].shape)}
    used = {source.name for value in values.values() if isinstance(value, Assembled) for source in value.sources}
    unused = [source for source in tensors.sources.values() if source.name not in used]
    reasons |= {source.name: _why_unused(source, checkpoint) for source in unused
                if source.name not in reasons and _belongs_to_a_head(source, checkpoint)}
    stray = [source for source in unused if source.name not in reasons]
    if unfit or missing or stray:
        raise WeightsError(_difference(checkpoint, variables, unfit, missing, stray))
    if _scores_words(model, variables):
        _check_repeated(checkpoint)
    else:
        reasons |= {copy.name: "scores words, which this model does not do" for copy, _ in tensors.repeated}
    turned = {path: tuple(value.shape) for path, value in values.items()
              if isinstance(value, Assembled) and value.turned}
    return values, LoadReport(assigned={path: tuple(value.shape) for path, value in values.items()},
                              transposed=turned, unused={source.name: source.shape for source in unused},
                              reinitialised=started, reasons=reasons)


def _is_head(path: str, head: str) -> bool:
    return bool(head) and (path.startswith(_HEAD_LAYER) or (head == MASKED and path.startswith("mlm_")))


def _head_values(variables: Mapping[str, Any], checkpoint: Checkpoint, head: str, model: keras.Model
                 ) -> dict[str, Assembled | np.ndarray[Any, Any]]:
    """Returns the values of the model's head where the checkpoint has a fitting one."""
    stored = checkpoint.tensors.of(head) if head else {}
    per_token = head == CLASSES and len(model.get_layer("predictions").output.shape) == 3
    if not stored or (head == CLASSES and per_token != (checkpoint.task == "token_classification")
                      and checkpoint.task is not None):
        return {}
    own = {path: variable for path, variable in variables.items() if _is_head(path, head)}
    values: dict[str, Assembled | np.ndarray[Any, Any]] = {path: stored[path] for path in own if path in stored}
    bias = own.get(f"{_HEAD_LAYER}bias")
    if bias is not None and f"{_HEAD_LAYER}bias" not in stored and head == CLASSES:
        values[f"{_HEAD_LAYER}bias"] = np.zeros(tuple(bias.shape), "float32")  # GPT-2's heads have none
    fits = len(values) == len(own) and all(tuple(value.shape) == tuple(own[path].shape)
                                           for path, value in values.items())
    return values if fits else {}


def _belongs_to_a_head(source: SourceTensor, checkpoint: Checkpoint) -> bool:
    return any(source in value.sources for head, values in checkpoint.tensors.variables.items() if head
               for value in values.values())


def _why_unused(source: SourceTensor, checkpoint: Checkpoint) -> str:
    part = next((head for head, values in checkpoint.tensors.variables.items() if head
                 for value in values.values() if source in value.sources), "")
    return f"belongs to the checkpoint's {part.replace('_', ' ')} part, which this model does not have"


def _why_random(checkpoint: Checkpoint, head: str) -> str:
    if not checkpoint.tensors.of(head):
        return "the checkpoint has none for this task"
    if head == CLASSES and checkpoint.num_classes:
        trained = f" for {checkpoint.task.replace('_', ' ')}" if checkpoint.task else ""
        return f"the checkpoint's has {checkpoint.num_classes} outputs{trained}"
    return "the checkpoint's is of another shape"


def _scores_words(model: keras.Model, variables: Mapping[str, Any]) -> bool:
    """Tells whether the model's head is the transposed table of tokens."""
    return any(layer.name == "predictions" for layer in model.layers) and f"{_HEAD_LAYER}kernel" not in variables


def _check_repeated(checkpoint: Checkpoint) -> None:
    """A projection onto the vocabulary is tied to the table of tokens in our models; one of its own would be lost."""
    for copy, value in checkpoint.tensors.repeated:
        if copy.shape != value.sources[0].shape or not np.array_equal(np.asarray(copy.read()),
                                                                      np.asarray(value.sources[0].read())):
            raise WeightsError(f"{copy.name} of the checkpoint is not the same as {value.sources[0].name}. Models here "
                               "tie the two, so this checkpoint cannot be loaded.")


def _difference(checkpoint: Checkpoint, variables: Mapping[str, Any], unfit: Mapping[str, Any], missing: Shapes,
                stray: list[SourceTensor]) -> str:
    parts = [f"The checkpoint {checkpoint.name} does not fit the model; nothing was loaded."]
    if unfit:
        named = [f"{path} expected {list(variables[path].shape)}, found {list(value.shape)}"
                 for path, value in list(unfit.items())[:_LISTED]]
        parts.append(f"{len(unfit)} of another shape: {'; '.join(named)}.")
    if missing:
        parts.append(f"{len(missing)} missing in the checkpoint: {listing(missing, _LISTED)}.")
    if stray:
        names = listing({source.name: source.shape for source in stray}, _LISTED)
        parts.append(f"{len(stray)} in the checkpoint that nothing explains: {names}.")
    return " ".join(parts)


# === Comparing with the source ===


def _sample(model: keras.Model, checkpoint: Checkpoint) -> tuple[Sample | None, str]:
    if checkpoint.reference is not None:
        inputs = random_inputs(model)
        return Sample(inputs, checkpoint.reference(inputs)), "the SavedModel, run on random tokens"
    sample = read_golden(checkpoint.folder)
    return sample, f"the golden vectors in {GOLDEN}"

