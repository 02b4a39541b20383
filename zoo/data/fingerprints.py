"""Content digests of examples, and the fingerprint of a whole dataset: the same on every machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from zoo.data.splitting import PARTS

DIGEST_BYTES = 16  # of sha256: equal contents are found with certainty, different ones confused never in practice
_FILES_AT_ONCE = 1024


def content_digest(content: bytes) -> bytes:
    """Returns the first 16 bytes of the sha256 of an example's content."""
    return hashlib.sha256(content).digest()[:DIGEST_BYTES]


def file_digests(paths: Sequence[Path]) -> tuple[np.ndarray, dict[int, str]]:
    """Reads files piece by piece, several at a time, and digests their contents.

    Args:
        paths: The files.

    Returns:
        The digests, bytes [n], and for every file that cannot be read its index and the reason.
    """
    digests = np.zeros(len(paths), f"S{DIGEST_BYTES}")
    unreadable: dict[int, str] = {}
    with ThreadPoolExecutor(max_workers=min(32, 2 * (os.cpu_count() or 1))) as pool:
        for start in range(0, len(paths), _FILES_AT_ONCE):  # the pool's queue would otherwise hold every file
            for index, result in enumerate(pool.map(_file_digest, paths[start:start + _FILES_AT_ONCE]), start):
                if isinstance(result, bytes):
                    digests[index] = result
                else:
                    unreadable[index] = result
    return digests, unreadable


def _file_digest(path: Path) -> bytes | str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()[:DIGEST_BYTES]
    except OSError as error:
        return error.strerror or type(error).__name__


def fingerprint(digests: np.ndarray, targets: np.ndarray, labels: Sequence[str], parts: Iterable[np.ndarray]) -> str:
    """Returns one sha256 (hex) over contents, targets and split, whatever the order or names of the files.

    Args:
        digests: bytes [n], the content digest of every example.
        targets: int32 [n] or float32 [n, k].
        labels: Class names.
        parts: For train, validation and test the indices of its examples.
    """
    total = hashlib.sha256("\x1f".join(labels).encode())
    plain = targets.astype("<f4" if targets.dtype.kind == "f" else "<i4")
    for part, indices in zip(PARTS, parts, strict=True):
        total.update(f"\x1e{part} {len(indices)} ".encode())
        entries = [bytes(digests[i]).ljust(DIGEST_BYTES, b"\0") + plain[i].tobytes() for i in indices]
        for entry in sorted(entries):
            total.update(entry)
    return total.hexdigest()
