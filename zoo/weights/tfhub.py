"""BERT encoders from TF Hub: a SavedModel with the contract of TF Hub's text encoders, its vocabulary inside.

Such a module has no configuration. Sizes come from the shapes of its variables, the activation and the epsilon from
its graph, and whether that was read rightly is proven by running the module beside our model.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.errors import WeightsError
from zoo.spec import Preprocessing
from zoo.weights import bert_names
from zoo.weights.checkpoint_contents import Checkpoint, Inputs
from zoo.weights.saved_model import load_saved_model
from zoo.weights.saved_model_check import read_graphs
from zoo.weights.tensor_rules import MASKED, POOLER, Mapped, SourceTensor, map_tensors
from zoo.weights.text_vocabularies import looks_cased, read_lines, word_pieces

FORMAT = "tf_hub"
_HUB_INPUTS = {"token_ids": "input_word_ids", "padding_mask": "input_mask", "segment_ids": "input_type_ids"}
_EPSILON = 1e-12  # of Model Garden's encoders, where the graph does not tell
_BLOCK = re.compile(r"block_(\d+)/")


def open_tfhub(folder: Path) -> Checkpoint:
    """Opens a BERT encoder of TF Hub.

    Args:
        folder: With saved_model.pb, variables and assets.

    Returns:
        The checkpoint. The module is loaded as a whole, because its parameters are checked by running it.

    Raises:
        WeightsError: The folder is damaged, or no encoder with this contract.
    """
    module = load_saved_model(folder)
    tensors = [SourceTensor(variable.name.partition(":")[0], tuple(variable.shape), partial(_value, variable))
               for variable in _variables(module)]
    if not any(re.fullmatch(r"(?:.*/)?word_embeddings/embeddings", tensor.name) for tensor in tensors):
        _refuse(module, folder, tensors)
    mapped = map_tensors(tensors, bert_names.TF_HUB, prefix=".*/", ignored={
        **bert_names.TENSORFLOW_IGNORED, r"(.*/)?(cls|masked_lm|predictions)/.*": "belongs to the module's head"})
    arguments = _sizes(mapped, tensors, folder) | _graph_settings(folder)
    preprocessing, problem = _text(module, folder, arguments)
    files = (folder / "saved_model.pb", *sorted(path for part in ("variables", "assets") for path in
                                                (folder / part).glob("*") if path.is_file()))
    return Checkpoint(family="bert", format=FORMAT, folder=folder, arguments=arguments, tensors=mapped, files=files,
                      preprocessing=preprocessing, preprocessing_problem=problem, reference=partial(_run, module),
                      task="masked_language_model" if mapped.of(MASKED) else None)


def _variables(module: Any) -> list[Any]:
    """Returns all variables below a loaded module, each once; not every module lists them itself."""
    listed = list(getattr(module, "variables", ()) or ())
    found = {id(variable): variable for variable in listed}
    pending: list[Any] = [module]
    seen: set[int] = set()
    while pending:
        part = pending.pop()
        if id(part) in seen or len(seen) > 100_000:
            continue
        seen.add(id(part))
        if isinstance(part, tf.Variable):
            if part.dtype.is_floating:
                found.setdefault(id(part), part)
            continue
        children = getattr(part, "_trackable_children", None)
        if callable(children):
            pending += [child for child in children().values() if child is not None]
    return [variable for variable in found.values() if variable.dtype.is_floating]


def _value(variable: Any) -> np.ndarray[Any, Any]:
    return np.asarray(variable.numpy())


def _refuse(module: Any, folder: Path, tensors: list[SourceTensor]) -> None:
    known = ", ".join(tensor.name for tensor in tensors[:4]) or "nothing"
    kind = " (an ALBERT: it has a SentencePiece vocabulary)" if hasattr(module, "sp_model_file") else ""
    raise WeightsError(f"{folder} is a SavedModel, but no BERT encoder of TF Hub{kind}: its variables are {known} ... "
                       "Use it as a layer: zoo.layers.HubLayer, or zoo.build('hub', weights=...).")


# === What it is ===


def _sizes(mapped: Mapped, tensors: list[SourceTensor], folder: Path) -> dict[str, Any]:
    body = mapped.of("")
    blocks = {int(match[1]) for name in body if (match := _BLOCK.match(name))}
    query = next((tensor for tensor in tensors if re.fullmatch(r"(?:.*/)?transformer/layer_0/self_attention/query/"
                                                               r"kernel", tensor.name)), None)
    needed = ("token_embedding/embeddings", "position_embedding/embeddings", "block_0/intermediate/kernel")
    if query is None or len(query.shape) != 3 or any(name not in body for name in needed):
        raise WeightsError(f"{folder} has a table of tokens, but not the other variables of a BERT encoder of TF Hub. "
                           "Use it as a layer: zoo.layers.HubLayer.")
    table, positions, inner = (body[name].shape for name in needed)
    segments = body.get("segment_embedding/embeddings")
    return {"vocabulary_size": table[0], "hidden_size": table[1], "layers": max(blocks) + 1, "heads": query.shape[1],
            "intermediate_size": inner[1], "max_positions": positions[0],
            "segments": segments.shape[0] if segments else 0, "has_pooler": bool(mapped.of(POOLER))}


def _graph_settings(folder: Path) -> dict[str, Any]:
    """Reads the activation and the epsilon of the normalisations out of the module's graph."""
    nodes = [node for graph in read_graphs(folder) for function in graph.graph_def.library.function
             for node in function.node_def]
    operations = {node.op for node in nodes}
    epsilons = {float(tf.make_ndarray(node.attr["value"].tensor)) for node in nodes
                if node.op == "Const" and node.name.endswith("batchnorm/add/y")}
    activation = "gelu" if operations & {"Erf", "Erfc"} else "relu" if "Relu" in operations else "gelu_tanh"
    return {"activation": activation, "layer_norm_epsilon": _rounded(min(epsilons)) if epsilons else _EPSILON}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")  # the graph holds it in float32


def _text(module: Any, folder: Path, arguments: Mapping[str, Any]) -> tuple[Preprocessing | None, str]:
    asset = getattr(module, "vocab_file", None)
    try:
        if asset is None:
            raise WeightsError(f"{folder} has no vocabulary: a module of TF Hub keeps it as `vocab_file`. Give "
                               "`preprocessing`.")
        path = Path(os.path.normpath(asset.asset_path.numpy().decode()))
        if not path.is_relative_to(os.path.normpath(folder)):
            raise WeightsError(f"The module in {folder} names a vocabulary outside its own folder, which is refused: "
                               f"{path}")
        vocabulary = read_lines(path)
        cased = getattr(module, "do_lower_case", None)
        lowercase = not looks_cased(vocabulary) if cased is None else bool(cased.numpy())
        return word_pieces(vocabulary, path=path, size=arguments["vocabulary_size"], lowercase=lowercase,
                           max_length=arguments["max_positions"]), ""
    except WeightsError as error:
        return None, str(error)


# === Running it ===


def _run(module: Any, inputs: Inputs) -> np.ndarray[Any, Any]:
    named = {theirs: tf.constant(inputs[ours]) if ours in inputs else tf.zeros_like(inputs["token_ids"])
             for ours, theirs in _HUB_INPUTS.items()}
    call: Callable[..., Any] | None = module if callable(module) else None
    try:
        outputs = call(named) if call is not None else module.signatures["serving_default"](**named)
        return np.asarray(outputs["sequence_output"])
    except (KeyError, TypeError, ValueError, AttributeError, tf.errors.OpError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError("The SavedModel cannot be run with input_word_ids, input_mask and input_type_ids, as TF "
                           f"Hub's encoders can: {line}") from error
