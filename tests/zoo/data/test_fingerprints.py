from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from zoo.data.fingerprints import content_digest, file_digests, fingerprint

_DIGESTS = np.array([content_digest(bytes([i])) for i in range(4)], "S16")
_TARGETS = np.array([0, 1, 0, 1], np.int32)


def _print(digests: np.ndarray = _DIGESTS, targets: np.ndarray = _TARGETS, labels: tuple[str, ...] = ("a", "b"),
           parts: tuple[list[int], list[int], list[int]] = ([0, 1], [2], [3])) -> str:
    return fingerprint(digests, targets, labels, [np.array(part, np.int64) for part in parts])


def test_files_are_digested_by_content(tmp_path: Path) -> None:
    """A digest is the beginning of the sha256 of the file; a file that is not there gets a reason instead."""
    (tmp_path / "a").write_bytes(b"hello")
    digests, unreadable = file_digests([tmp_path / "a", tmp_path / "b"])
    assert bytes(digests[0]) == hashlib.sha256(b"hello").digest()[:16].rstrip(b"\0")
    assert unreadable == {1: "No such file or directory"}


def test_fingerprint_ignores_the_order_of_examples() -> None:
    """The order in which a file system lists the files does not change the fingerprint."""
    order = np.array([3, 1, 0, 2])
    assert _print(_DIGESTS[order], _TARGETS[order], parts=([2, 1], [3], [0])) == _print()


def test_fingerprint_changes_with_content_target_label_and_part() -> None:
    """Whatever changes the numbers of a training run changes the fingerprint."""
    other_content = _DIGESTS.copy()
    other_content[0] = content_digest(b"other")
    variants = {
        _print(), _print(other_content), _print(targets=np.array([1, 1, 0, 1], np.int32)), _print(labels=("a", "c")),
        _print(parts=([0, 2], [1], [3])), _print(parts=([0, 1, 2], [], [3])),
    }
    assert len(variants) == 6


def test_fingerprint_is_the_same_on_every_machine() -> None:
    """The bytes that are digested have a fixed order, so a known dataset has a known fingerprint."""
    expected = hashlib.sha256(b"a\x1fb")
    for part, indices in (("train", [0, 1]), ("validation", [2]), ("test", [3])):
        expected.update(f"\x1e{part} {len(indices)} ".encode())
        entries = [hashlib.sha256(bytes([i])).digest()[:16] + int(_TARGETS[i]).to_bytes(4, "little") for i in indices]
        expected.update(b"".join(sorted(entries)))
    assert _print() == expected.hexdigest()
