"""Whether an imported model computes what its source computes: hidden states side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors
import safetensors.numpy

from zoo.errors import ArgumentError, WeightsError
from zoo.weights.report import Verification

GOLDEN = "zoo_golden.safetensors"
TOLERANCE = 1e-4
_RELATIVE = 1e-5  # of hidden states that are far from zero, whose last digits float32 cannot hold
_ROWS, _TOKENS, _SEED = 3, 24, 20180111
_INPUTS = ("token_ids", "segment_ids", "padding_mask")
_OUTPUT = "hidden_states"
_PADDED = 5  # tokens that the second row has less than the others

Inputs = Mapping[str, np.ndarray[Any, Any]]
HiddenStates = Callable[[Inputs], Any]


@dataclass(frozen=True)
class Sample:
    """Inputs of a model, int32 [N, L] by name, and the hidden states [N, L, H] that belong to them."""

    inputs: Inputs
    hidden_states: np.ndarray[Any, Any]


def hidden_states_model(model: keras.Model) -> keras.Model:
    """Returns the part of a BERT or GPT-2 of the zoo that ends in hidden states [N, L, H], sharing its parameters.

    Args:
        model: A model of the family "bert" or "gpt2", with any head or none.

    Returns:
        A model from the same inputs.

    Raises:
        ArgumentError: The model has no blocks of theirs.
    """
    names = [layer.name for layer in model.layers]
    blocks = [name for name in names if name.startswith("block_") and name[6:].isdigit()]
    if not blocks:
        raise ArgumentError(f"The model {model.name!r} is no BERT or GPT-2 of the zoo: it has no layer 'block_0'.")
    last = "final_norm" if "final_norm" in names else max(blocks, key=lambda name: int(name[6:]))
    return keras.Model(model.inputs, model.get_layer(last).output, name="hidden_states")


def random_inputs(model: keras.Model) -> dict[str, np.ndarray[Any, Any]]:
    """Returns the same random tokens for every run: a few rows, one of them padded, with all segments.

    Args:
        model: A BERT or GPT-2 of the zoo.

    Returns:
        int32 [N, L] by the names of the model's inputs.
    """
    generator = np.random.default_rng(_SEED)
    length = min(_TOKENS, int(model.get_layer("position_embedding").weights[0].shape[0]))
    rows = int(model.get_layer("token_embedding").weights[0].shape[0])
    inputs = {"token_ids": generator.integers(0, rows, (_ROWS, length)).astype("int32"),
              "padding_mask": np.ones((_ROWS, length), "int32")}
    inputs["padding_mask"][1, max(1, length - _PADDED):] = 0
    if "segment_ids" in [tensor.name for tensor in model.inputs]:
        segments = int(model.get_layer("segment_embedding").weights[0].shape[0])
        inputs["segment_ids"] = np.sort(generator.integers(0, segments, (_ROWS, length)), axis=1).astype("int32")
    return inputs


def verify(model: keras.Model, sample: Sample, against: str) -> Verification:
    """Compares the hidden states of a model with those of its source.

    Args:
        model: A BERT or GPT-2 of the zoo in float32.
        sample: Inputs, and what the source makes of them.
        against: What the source is, for the report.

    Returns:
        The largest difference over all real tokens.

    Raises:
        WeightsError: It is above the tolerance, or the shapes differ.
    """
    inputs = {name: np.asarray(sample.inputs[name], "int32") for name in _names(model) if name in sample.inputs}
    for name in _names(model):
        inputs.setdefault(name, np.zeros_like(inputs["token_ids"]) if name == "segment_ids"
                          else np.ones_like(inputs["token_ids"]))
    ours = np.asarray(hidden_states_model(model)(inputs, training=False), np.float64)
    theirs = np.asarray(sample.hidden_states, np.float64)
    if ours.shape != theirs.shape:
        raise WeightsError(f"The hidden states of {against} have the shape {list(theirs.shape)}, and the model's have "
                           f"{list(ours.shape)}. They are of another model.")
    real = inputs["padding_mask"].astype(bool)
    difference = np.abs(ours - theirs)[real]
    largest = float(difference.max(initial=0.0))
    result = Verification(against=against, largest_difference=largest, tolerance=TOLERANCE, values=difference.size)
    if not np.all(difference <= TOLERANCE + _RELATIVE * np.abs(theirs[real])):
        raise WeightsError(f"The imported model does not compute what its source computes: the hidden states differ by "
                           f"up to {largest:.2g} from {against}, and {TOLERANCE:g} is allowed. Activation, epsilon or "
                           "the order of axes are not those of the source; nothing was loaded.")
    return result


def _names(model: keras.Model) -> list[str]:
    return [tensor.name for tensor in model.inputs]


# === Golden vectors: what the source computed, recorded beside its parameters ===


def record_golden(reference: keras.Model | HiddenStates, folder: str | Path, *, inputs: Inputs | None = None) -> Path:
    """Writes hidden states of a model that is known to be right beside a checkpoint; every import is then checked.

    The file `zoo_golden.safetensors` holds "token_ids", "padding_mask" and, for BERT, "segment_ids" as int32 [N, L],
    and "hidden_states" as float32 [N, L, H]: BERT's last layer, GPT-2's after the last normalisation. Any other
    program may write it as well.

    Args:
        reference: A BERT or GPT-2 of the zoo, or a function from inputs by name (int32 [N, L]) to hidden states, such
            as one that runs the model in the library that it was trained with.
        folder: The checkpoint's folder.
        inputs: What to run it on; needed for a function, and random tokens for a model.

    Returns:
        The file.

    Raises:
        ArgumentError: A function without inputs, or hidden states of another shape than [N, L, H].
        OSError: The file cannot be written.
    """
    model = isinstance(reference, keras.Model)
    if inputs is None and not model:
        raise ArgumentError("`record_golden` needs `inputs` for a function: {'token_ids': int32 [N, L], "
                            "'padding_mask': ..., 'segment_ids': ...}.")
    chosen = {name: np.asarray(value, "int32") for name, value in (inputs or random_inputs(reference)).items()}
    if "token_ids" not in chosen or not chosen.keys() <= set(_INPUTS):
        raise ArgumentError(f"`inputs` must be 'token_ids' and possibly others of {', '.join(_INPUTS)}. "
                            f"Received: {', '.join(chosen)}")
    run = hidden_states_model(reference) if model else reference
    states = np.ascontiguousarray(np.asarray(run(chosen), np.float32))
    if states.ndim != 3 or states.shape[:2] != chosen["token_ids"].shape:
        raise ArgumentError(f"The hidden states must be [N, L, H] for token ids {list(chosen['token_ids'].shape)}. "
                            f"Received: {list(states.shape)}")
    path = Path(folder) / GOLDEN
    safetensors.numpy.save_file({**chosen, _OUTPUT: states}, path)
    return path


def read_golden(folder: Path) -> Sample | None:
    """Returns what `record_golden` wrote beside a checkpoint, or None where nothing is recorded.

    Raises:
        WeightsError: The file is damaged.
    """
    path = folder / GOLDEN
    if not path.is_file():
        return None
    try:
        tensors = safetensors.numpy.load_file(path)
        states = tensors.pop(_OUTPUT)
        shape = tensors["token_ids"].shape
    except (safetensors.SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise WeightsError(f"{path} is no record of golden vectors: {error}. Record it again, or delete it.") from error
    if not tensors.keys() <= set(_INPUTS) or any(value.shape != shape for value in tensors.values()) or \
            states.ndim != 3 or states.shape[:2] != shape:
        raise WeightsError(f"{path} must hold token_ids, padding_mask and segment_ids [N, L] and {_OUTPUT} [N, L, H]. "
                           "Record it again, or delete it.")
    return Sample(tensors, states)
