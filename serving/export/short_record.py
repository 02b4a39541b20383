"""A model's record for the manifest: a vocabulary of thousands of words stands there by its size and digest.

The words themselves are in the graph. Whoever has a vocabulary can tell by the digest whether it is this one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from zoo.spec import ModelRecord

_WORD_LISTS = ("vocabulary", "merges")


def short_record(record: ModelRecord) -> dict[str, Any]:
    """Returns the record as JSON-ready data, with {"size", "sha256"} in place of each list of words."""
    data = record.to_dict()
    preprocessing = data["preprocessing"]
    for name in _WORD_LISTS:
        if name in preprocessing:
            preprocessing[name] = {"size": len(preprocessing[name]), "sha256": words_digest(preprocessing[name])}
    return data


def words_digest(words: Sequence[str]) -> str:
    """SHA-256 (hex) of words in their order, each UTF-8 with a line feed behind it: that of a vocab.txt file."""
    digest = hashlib.sha256()
    for word in words:
        digest.update(word.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()
