"""Which files of a repository make a checkpoint, and putting them together into one folder.

Three layouts: Hugging Face (config.json and safetensors, perhaps in shards), a keras-hub preset (config.json that names
a class, model.weights.h5), and the original TensorFlow checkpoints (bert_config.json or hparams.json).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from zoo.errors import WeightsError
from zoo.weights.download import CachedFile

# What describes a model; small, and each of them may be absent.
_DESCRIPTIONS = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                 "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "generation_config.json", "modules.json",
                 "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json",
                 "zoo_golden.safetensors")  # the last: see zoo.weights.verification
_PRESET_DESCRIPTIONS = ("metadata.json", "task.json", "preprocessor.json", "assets/tokenizer/vocabulary.txt",
                        "assets/tokenizer/vocabulary.json", "assets/tokenizer/merges.txt")
_PRESET_WEIGHTS = ("task.weights.h5", "model.weights.h5")
_TENSORS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_BERT = ("bert_config.json", "vocab.txt", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001")
_GPT2 = ("hparams.json", "encoder.json", "vocab.bpe", "model.ckpt.index", "model.ckpt.data-00000-of-00001")
_SHARD = re.compile(r"[A-Za-z0-9][\w.\-]*\.safetensors")

Get = Callable[[str], CachedFile]
GetOptional = Callable[[str], CachedFile | None]


def repository_files(get: Get, get_optional: GetOptional, address: str) -> dict[str, CachedFile]:
    """Fetches the files of a checkpoint, the small ones first: where the parameters are, the rest is too.

    Args:
        get: Fetches a file of the repository by its name.
        get_optional: The same, None where there is no such file.
        address: The repository, for messages.

    Returns:
        The files by name.

    Raises:
        WeightsError: The repository has no checkpoint that can be read.
        DownloadError: A file could not be fetched.
    """
    found = {name: file for name in _DESCRIPTIONS if (file := get_optional(name)) is not None}
    if "config.json" not in found:
        return found | _original_files(get, get_optional, address)
    if _is_preset(found["config.json"].entry.path):
        names = (*_PRESET_DESCRIPTIONS, _PRESET_WEIGHTS[0])
        found |= {name: file for name in names if (file := get_optional(name)) is not None}
        return found | {_PRESET_WEIGHTS[1]: get(_PRESET_WEIGHTS[1])}
    whole = get_optional(_TENSORS)
    if whole is not None:
        return found | {_TENSORS: whole}
    index = get_optional(_INDEX)
    if index is None:
        raise WeightsError(f"{address} has neither {_TENSORS} nor {_INDEX}. Pickled files such as pytorch_model.bin "
                           "are never opened, because they can run code; choose a revision with safetensors.")
    return found | {_INDEX: index} | {name: get(name) for name in _shards(index.entry.path, address)}


def link_files(files: Mapping[str, CachedFile], folder: Path) -> None:
    """Puts cached files into a folder under their own names, without a copy where the disk allows it.

    Args:
        files: The files by name; a name may have folders in it.
        folder: An empty folder.
    """
    for name, file in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file.entry.path, target)
        except OSError:  # no hard links on this file system
            shutil.copyfile(file.entry.path, target)


def _original_files(get: Get, get_optional: GetOptional, address: str) -> dict[str, CachedFile]:
    for first, *others in (_BERT, _GPT2):
        description = get_optional(first)
        if description is not None:
            return {first: description} | {name: get(name) for name in others}
    raise WeightsError(f"{address} has no checkpoint that can be read: there is neither config.json nor {_BERT[0]} nor "
                       f"{_GPT2[0]}. Check the name and the revision.")


def _is_preset(config: Path) -> bool:
    try:
        return "registered_name" in json.loads(config.read_text(encoding="utf-8"))
    except (ValueError, TypeError):
        return False


def _shards(index: Path, address: str) -> list[str]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        plain = bool(names) and all(_SHARD.fullmatch(name) for name in names)
    except (ValueError, KeyError, TypeError, AttributeError):
        plain = False
    if not plain:
        raise WeightsError(f"{_INDEX} of {address} is no index of safetensors files.")
    return names
