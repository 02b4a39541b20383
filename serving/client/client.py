"""The client: one object per server, whichever way leads to it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import ArrayLike

from serving.client.grpc_transport import GrpcTransport
from serving.client.rest_transport import RestTransport
from serving.client.transport import Arrays, Classification, ModelMetadata, Target, Transport, VersionStatus
from serving.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    ServableNotFoundError,
    ServerUnavailableError,
    SettingsError,
)
from serving.protocol.arrays import as_array
from serving.protocol.examples import ExampleValues
from serving.protocol.generation import GENERATE_SIGNATURE, PROMPT_INPUT, with_generation_defaults
from serving.protocol.signatures import DEFAULT_SIGNATURE, Signature, TensorSpec

DEFAULT_TIMEOUT_SECONDS: Final = 30.0

# A model asked for without a version may be replaced by a newer one; its signatures are asked for again after this.
_LATEST_METADATA_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1


class PredictClient:
    """A client of one server that has TensorFlow Serving's gRPC or REST interface.

    May be used from several threads, and as a context manager.

    Args:
        address: "grpc://host:port", "grpcs://host:port", "http://host:port" or "https://host:port".
        timeout_seconds: Longest wait for an answer where a call gives none of its own, above 0.
        root_certificates: PEM text of the certificate authorities to trust with grpcs and https; None trusts the usual.

    Raises:
        SettingsError: The address has another form, or the timeout is not above 0.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        root_certificates: bytes | None = None,
    ) -> None:
        if not timeout_seconds > 0:
            raise SettingsError(f"`timeout_seconds` must be above 0. Received: {timeout_seconds}")
        self.address = address
        self._timeout_seconds = timeout_seconds
        self._transport = _transport_to(address, root_certificates)
        self._metadata: dict[Target, tuple[float, ModelMetadata]] = {}

    def predict(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike] | ArrayLike,
        *,
        signature_name: str = DEFAULT_SIGNATURE,
        version: int | None = None,
        label: str | None = None,
        output_filter: Sequence[str] = (),
        timeout_seconds: float | None = None,
    ) -> Arrays:
        """Run a signature of a model.

        Args:
            model: The model's name.
            inputs: Arrays or nested lists by input name, or a single one where the signature has one input. Numbers are
                made the signature's kind where that loses no more than precision (float64 to float32, int to float);
                text and bytes stand for string tensors. Inputs with a default may be left out over gRPC; over REST only
                the options of a language model's "generate".
            signature_name: The signature's name.
            version: The version's number; None takes the latest.
            label: A version's label instead of its number.
            output_filter: Names of the outputs wanted; empty wants all.
            timeout_seconds: Longest wait for the answer; None takes the client's own.

        Returns:
            Arrays by output name, in the signature's kinds and shapes; strings have dtype object and elements of type
            bytes. gRPC and REST give the same arrays, but for one thing that JSON cannot say: the sizes behind a
            dimension of size 0, unless the signature fixes them.

        Raises:
            WireError: The server's refusal, or that it cannot be reached in time; see serving.errors for the kinds.
        """
        target = _target(model, version, label)
        timeout = self._timeout(timeout_seconds)
        signature = self._signature(target, signature_name, timeout)
        if isinstance(inputs, Mapping) and self._transport.needs_every_input:
            inputs = with_generation_defaults(inputs, signature)
        arrays = _input_arrays(inputs, signature, signature_name)
        return self._transport.predict(target, signature_name, signature, arrays, list(output_filter), timeout)

    def generate(
        self,
        model: str,
        prompts: Sequence[str | bytes],
        *,
        options: Mapping[str, Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Arrays:
        """Let a language model write on, by its signature "generate".

        Args:
            model: The model's name.
            prompts: What it goes on from.
            options: max_new_tokens, temperature, top_k, top_p, repetition_penalty, seed: one value for all prompts or
                one for each; stop: a text at which to end, or several. What is left out has the model's default.
            version: The version's number; None takes the latest.
            label: A version's label instead of its number.
            timeout_seconds: Longest wait for the answer; None takes the client's own.

        Returns:
            Arrays by output name: "text" [N] without the prompt, "tokens" and "scores" [N, T], "finish" [N] and more.

        Raises:
            WireError: See `predict`.
        """
        inputs: dict[str, Any] = {PROMPT_INPUT: list(prompts)}
        for name, value in (options or {}).items():
            plain = [value] if isinstance(value, str | bytes) or not np.ndim(value) else value
            inputs[name] = [plain] if name == "stop" and np.ndim(plain) == 1 else plain
        return self.predict(model, inputs, signature_name=GENERATE_SIGNATURE, version=version, label=label,
                            timeout_seconds=timeout_seconds)

    def classify(
        self,
        model: str,
        examples: Sequence[ExampleValues],
        *,
        signature_name: str = "classify",
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> list[Classification]:
        """Classify examples given by features.

        Args:
            model: The model's name.
            examples: Values by feature name for each example: numbers, text, bytes, or flat lists or arrays of them.
            signature_name: The signature's name.
            version: The version's number; None takes the latest.
            label: A version's label instead of its number.
            timeout_seconds: Longest wait for the answer; None takes the client's own.

        Returns:
            For each example its classes as (label, score), in the model's order.

        Raises:
            WireError: See `predict`.
        """
        target = _target(model, version, label)
        return self._transport.classify(target, signature_name, examples, self._timeout(timeout_seconds))

    def regress(
        self,
        model: str,
        examples: Sequence[ExampleValues],
        *,
        signature_name: str = "regress",
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> np.ndarray[Any, Any]:
        """The value of each example given by features.

        Args:
            model: The model's name.
            examples: Values by feature name for each example; see `classify`.
            signature_name: The signature's name.
            version: The version's number; None takes the latest.
            label: A version's label instead of its number.
            timeout_seconds: Longest wait for the answer; None takes the client's own.

        Returns:
            Array of shape [N], float32.

        Raises:
            WireError: See `predict`.
        """
        target = _target(model, version, label)
        values = self._transport.regress(target, signature_name, examples, self._timeout(timeout_seconds))
        return np.array(values, dtype=np.float32)

    def model_status(
        self, model: str, *, version: int | None = None, timeout_seconds: float | None = None
    ) -> list[VersionStatus]:
        """The state of each version of a model, or of one.

        Args:
            model: The model's name.
            version: The only version wanted; None wants all.
            timeout_seconds: Longest wait for the answer; None takes the client's own.

        Returns:
            One status per version, as the server orders them.

        Raises:
            WireError: See `predict`.
        """
        return self._transport.status(Target(model, version), self._timeout(timeout_seconds))

    def metadata(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> ModelMetadata:
        """The version that answers now, and its signatures.

        Args:
            model: The model's name.
            version: The version's number; None takes the latest.
            label: A version's label instead of its number.
            timeout_seconds: Longest wait for the answer; None takes the client's own.

        Returns:
            Asked anew each time.

        Raises:
            WireError: See `predict`.
        """
        target = _target(model, version, label)
        metadata = self._transport.metadata(target, self._timeout(timeout_seconds))
        self._metadata[target] = (time.monotonic(), metadata)
        return metadata

    def wait_until_available(
        self, model: str, *, version: int | None = None, timeout_seconds: float = 60.0
    ) -> VersionStatus:
        """Wait until a version of a model answers.

        Args:
            model: The model's name.
            version: The version's number; None takes any.
            timeout_seconds: Longest wait, also for the server itself to come up.

        Returns:
            The status of the highest version that is available.

        Raises:
            ServerUnavailableError: The version cannot be loaded, so that waiting is in vain.
            DeadlineExceededError: The time is over.
            WireError: Any other refusal; see `predict`.
        """
        deadline = time.monotonic() + timeout_seconds
        seen = "no answer yet"
        while (left := deadline - time.monotonic()) > 0:
            try:
                statuses = self.model_status(model, version=version, timeout_seconds=left)
            except (ServableNotFoundError, ServerUnavailableError, DeadlineExceededError) as error:
                seen = error.message
            else:
                available = [status for status in statuses if status.is_available]
                if available:
                    return max(available, key=lambda status: status.version)
                _refuse_failed(model, statuses)
                seen = ", ".join(f"version {status.version} {status.state}" for status in statuses)
            time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))
        raise DeadlineExceededError(
            f"Model {model!r} at {self.address} is not available after {timeout_seconds} seconds. Last seen: {seen}"
        )

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    def __enter__(self) -> PredictClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _timeout(self, timeout_seconds: float | None) -> float:
        return self._timeout_seconds if timeout_seconds is None else timeout_seconds

    def _signature(self, target: Target, name: str, timeout_seconds: float) -> Signature:
        began, metadata = self._metadata.get(target, (0.0, None))
        too_old = target.version is None and time.monotonic() - began > _LATEST_METADATA_SECONDS
        if metadata is None or too_old or name not in metadata.signatures:
            metadata = self._transport.metadata(target, timeout_seconds)
            self._metadata[target] = (time.monotonic(), metadata)
        signature = metadata.signatures.get(name)
        if signature is None:
            raise InvalidRequestError(
                f'Serving signature key "{name}" not found. Model {metadata.name!r} version {metadata.version} has: '
                f"{', '.join(sorted(metadata.signatures)) or 'none'}."
            )
        return signature


def _transport_to(address: str, root_certificates: bytes | None) -> Transport:
    parts = urlsplit(address)
    try:
        complete = bool(parts.hostname and parts.port)
    except ValueError:  # a port that is no number
        complete = False
    if parts.scheme not in ("grpc", "grpcs", "http", "https") or not complete or parts.path.strip("/"):
        raise SettingsError(
            f"The server's address must be grpc://HOST:PORT, grpcs://HOST:PORT, http://HOST:PORT or https://HOST:PORT. "
            f"Received: {address!r}"
        )
    if parts.scheme.startswith("http"):
        return RestTransport(f"{parts.scheme}://{parts.netloc}", root_certificates=root_certificates)
    return GrpcTransport(parts.netloc, secure=parts.scheme == "grpcs", root_certificates=root_certificates)


def _target(model: str, version: int | None, label: str | None) -> Target:
    if version is not None and label is not None:
        raise InvalidRequestError(f"`version` ({version}) and `label` ({label!r}) are both given; choose one.")
    return Target(model, version, label)


def _input_arrays(inputs: Any, signature: Signature, signature_name: str) -> Arrays:
    if not isinstance(inputs, Mapping):
        if len(signature.inputs) != 1:
            raise InvalidRequestError(
                f"Signature {signature_name!r} has {len(signature.inputs)} inputs, so they must be given by name: "
                f"{', '.join(signature.inputs)}. A single value came."
            )
        inputs = {next(iter(signature.inputs)): inputs}
    return {name: _as_kind(name, value, signature.inputs.get(name)) for name, value in inputs.items()}


def _as_kind(name: str, value: ArrayLike, spec: TensorSpec | None) -> np.ndarray[Any, Any]:
    array = as_array(value, name)
    if spec is None or spec.is_string or array.dtype.kind == "O":
        return array  # the server has the words for a name or kind that does not fit
    if array.dtype == spec.dtype or not _converts(array, spec, given=isinstance(value, np.ndarray | np.generic)):
        return array
    return array.astype(spec.dtype)


def _converts(array: np.ndarray[Any, Any], spec: TensorSpec, *, given: bool) -> bool:
    if array.size == 0 and not given:
        return True  # `[]` is float64 to numpy and nothing to its writer
    if np.can_cast(array.dtype, spec.dtype, "same_kind"):
        return not (array.dtype.kind in "iu" and spec.dtype.kind in "iu") or _fits(array, spec.dtype)
    # Whole numbers in a list are int64 to numpy, whatever unsigned kind they are meant for.
    return not given and array.dtype.kind in "iu" and spec.dtype.kind == "u" and _fits(array, spec.dtype)


def _fits(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> bool:
    if array.size == 0:
        return True
    limits = np.iinfo(dtype)
    return bool(int(array.min()) >= limits.min and int(array.max()) <= limits.max)


def _refuse_failed(model: str, statuses: Sequence[VersionStatus]) -> None:
    # LOADING with an error is a version that will be tried again; only the end of it is final.
    if statuses and all(status.state == "END" and status.message for status in statuses):
        newest = max(statuses, key=lambda status: status.version)
        raise ServerUnavailableError(f"Version {newest.version} of model {model!r} cannot be loaded: {newest.message}")
