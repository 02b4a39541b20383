"""manifest.json of an exported version: what it promises and what its files must be. Plain Python, no TensorFlow.

The version's number is the folder's name and stands nowhere inside, so that the same bytes can be published anywhere.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.errors import ValidationError

MANIFEST_FILE = "manifest.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class TensorContract:
    """One input or output of a signature: numpy's name of its dtype ("string" for text and bytes) and its shape.

    The shape has the batch axis first; None is any size.
    """

    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True)
class SignatureContract:
    """What a signature takes and gives: tensors by their pinned names, and the kind of call ("predict", ...).

    The inputs in `defaults` may be left out by a request; numbers, text or lists of them stand in.
    """

    method: str
    inputs: Mapping[str, TensorContract]
    outputs: Mapping[str, TensorContract]
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """Size in bytes and SHA-256 (hex) of one file."""

    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an exported version promises.

    Attributes:
        name: The model's name at its export.
        task: One of `zoo.spec.TASKS`.
        labels: Class names in the order of the last axis; empty where there are none.
        threshold: Probability in [0, 1] from which a binary classifier says `labels[1]`; None for other tasks.
        top_k: How many labels or words an answer has; None for tasks that rank nothing.
        signatures: Contracts by signature name.
        left_out: Signatures that the task would have but this model cannot, with the reason.
        batch_sizes: The batch sizes that were warmed up.
        target_serving: The TensorFlow Serving release that the operations were checked against.
        tolerance: The greatest differences to the golden vectors: "absolute", and "relative" to the largest value.
        golden: Requests and the answers that the Keras model gave, see `serving.export.golden`.
        record: The zoo's record of the model: provenance of the weights, training, metrics, preprocessing; of a
            vocabulary its size and digest.
        versions: Versions of the packages that wrote it.
        files: Every file of the version but this one, by path with "/".
        optimization: How the graph was rewritten: what was asked for, each pass with its error against the original
            on the samples, or why there is none; see `serving.export.optimize`. Empty where nothing was asked for.
    """

    name: str
    task: str
    labels: tuple[str, ...]
    threshold: float | None
    top_k: int | None
    signatures: Mapping[str, SignatureContract]
    left_out: Mapping[str, str]
    batch_sizes: tuple[int, ...]
    target_serving: str
    tolerance: Mapping[str, float]
    golden: tuple[Mapping[str, Any], ...]
    record: Mapping[str, Any]
    versions: Mapping[str, str]
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    optimization: Mapping[str, Any] = field(default_factory=dict)

    def with_files_of(self, directory: Path) -> Manifest:
        """Returns a copy that lists the files now in `directory`."""
        return dataclasses.replace(self, files={name: _entry(directory / name) for name in _files(directory)})

    def to_json(self) -> str:
        """The manifest as text, the same for the same content."""
        data = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Reads what `to_json` wrote.

        Raises:
            ValidationError: It is no manifest, or one of a newer format.
        """
        try:
            data = json.loads(text)
            written = data.pop("format")
            if written != FORMAT:
                raise ValidationError(f"{MANIFEST_FILE} has format {written}, and this servable-zoo reads format "
                                      f"{FORMAT}. Validate it with the release that wrote it, or a newer one.")
            return _manifest_of(data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValidationError(f"{MANIFEST_FILE} cannot be read ({type(error).__name__}: {error}). "
                                  "Export the model again.") from error


def read_manifest(directory: str | Path) -> Manifest:
    """Reads the manifest of a version folder.

    Raises:
        ValidationError: There is none, or it cannot be read.
    """
    path = Path(directory) / MANIFEST_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValidationError(f"No {MANIFEST_FILE} in {directory}. Expected a version folder that serving.export "
                              "wrote, such as <root>/<model>/1.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValidationError(f"{path} cannot be read: {error}") from error
    return Manifest.from_json(text)


def file_faults(directory: str | Path, manifest: Manifest) -> Iterator[str]:
    """Yields one line for each file that is missing, changed or not in the manifest."""
    directory = Path(directory)
    present = set(_files(directory))
    for name in sorted(set(manifest.files) - present):
        yield f"{name} is in {MANIFEST_FILE} and not in the folder."
    for name in sorted(present - set(manifest.files)):
        yield f"{name} is in the folder and not in {MANIFEST_FILE}."
    for name in sorted(present & set(manifest.files)):
        expected, found = manifest.files[name], _entry(directory / name)
        if found != expected:
            yield (f"{name} is not what was exported: expected {expected.size} bytes with SHA-256 {expected.sha256}, "
                   f"found {found.size} bytes with {found.sha256}.")


def _files(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*")
                  if path.is_file() and path != directory / MANIFEST_FILE)


def _entry(path: Path) -> FileEntry:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(size=path.stat().st_size, sha256=digest)


def _manifest_of(data: dict[str, Any]) -> Manifest:
    signatures = {name: _signature_of(value) for name, value in data.pop("signatures").items()}
    files = {name: FileEntry(**value) for name, value in data.pop("files").items()}
    sequences: dict[str, Any] = {name: tuple(data.pop(name)) for name in ("labels", "batch_sizes", "golden")}
    return Manifest(signatures=signatures, files=files, **sequences, **data)


def _signature_of(data: dict[str, Any]) -> SignatureContract:
    inputs, outputs = ({name: TensorContract(dtype=value["dtype"], shape=tuple(value["shape"]))
                        for name, value in data[side].items()} for side in ("inputs", "outputs"))
    return SignatureContract(method=data["method"], inputs=inputs, outputs=outputs, defaults=data.get("defaults", {}))
