"""What a transport does for the client, and the plain data that passes between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from serving.errors import StatusCode
from serving.protocol.examples import ExampleValues
from serving.protocol.signatures import Signature

Arrays = dict[str, np.ndarray[Any, Any]]
Classification = list[tuple[str, float]]


@dataclass(frozen=True)
class Target:
    """Which model answers.

    Args:
        model: The model's name.
        version: The version's number, or None.
        label: A version's label, or None; not both.
    """

    model: str
    version: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class ModelMetadata:
    """What a server tells about a loaded version.

    Args:
        name: The model's name.
        version: The version's number.
        signatures: Signatures by name.
    """

    name: str
    version: int
    signatures: Mapping[str, Signature]


@dataclass(frozen=True)
class VersionStatus:
    """What a server tells about one version, loaded or not.

    Args:
        version: The version's number.
        state: START, LOADING, AVAILABLE, UNLOADING or END.
        code: The canonical code of what went wrong with it, OK for nothing.
        message: What went wrong with it.
    """

    version: int
    state: str
    code: StatusCode
    message: str

    @property
    def is_available(self) -> bool:
        """Whether it answers requests."""
        return self.state == "AVAILABLE"


class Transport(Protocol):
    """One way to a server. Every method raises nothing but WireError.

    Attributes:
        needs_every_input: Whether the server takes no request that leaves out an input with a default.
    """

    needs_every_input: bool

    def predict(
        self,
        target: Target,
        signature_name: str,
        signature: Signature,
        inputs: Mapping[str, np.ndarray[Any, Any]],
        output_filter: Sequence[str],
        timeout_seconds: float,
    ) -> Arrays:
        """The signature's outputs for these inputs."""

    def classify(
        self, target: Target, signature_name: str, examples: Sequence[ExampleValues], timeout_seconds: float
    ) -> list[Classification]:
        """The classes of each example."""

    def regress(
        self, target: Target, signature_name: str, examples: Sequence[ExampleValues], timeout_seconds: float
    ) -> list[float]:
        """The value of each example."""

    def status(self, target: Target, timeout_seconds: float) -> list[VersionStatus]:
        """The state of every version."""

    def metadata(self, target: Target, timeout_seconds: float) -> ModelMetadata:
        """The signatures of one version."""

    def close(self) -> None:
        """Give the connections back."""
