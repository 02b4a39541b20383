"""The way to a server over gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import Int64Value

from serving.client.transport import Arrays, Classification, ModelMetadata, Target, VersionStatus
from serving.errors import InternalServerError, StatusCode, error_of_code
from serving.protocol.examples import ExampleValues, example_from_values
from serving.protocol.generated import serving_pb2 as pb
from serving.protocol.services import MAX_MESSAGE_BYTES, METADATA_FIELD, MODEL_SERVICE, PREDICTION_SERVICE
from serving.protocol.signatures import Signature, signatures_from_map
from serving.protocol.tensors import to_array, to_tensor_proto


class GrpcTransport:
    """Calls PredictionService and ModelService on one channel, which connects when it is first used.

    Args:
        address: "host:port".
        secure: Use TLS.
        root_certificates: PEM text of the certificate authorities to trust with TLS; None trusts the usual ones.
    """

    needs_every_input = False

    def __init__(self, address: str, *, secure: bool = False, root_certificates: bytes | None = None) -> None:
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            # By default a channel that found nobody tries again after up to two minutes, even if a server comes up.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        if secure:
            credentials = grpc.ssl_channel_credentials(root_certificates)
            self._channel = grpc.secure_channel(address, credentials, options=options)
        else:
            self._channel = grpc.insecure_channel(address, options=options)
        self._predict = self._method(PREDICTION_SERVICE, "Predict", pb.PredictResponse)
        self._classify = self._method(PREDICTION_SERVICE, "Classify", pb.ClassificationResponse)
        self._regress = self._method(PREDICTION_SERVICE, "Regress", pb.RegressionResponse)
        self._metadata = self._method(PREDICTION_SERVICE, "GetModelMetadata", pb.GetModelMetadataResponse)
        self._status = self._method(MODEL_SERVICE, "GetModelStatus", pb.GetModelStatusResponse)

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
        request = pb.PredictRequest(
            model_spec=_model_spec(target, signature_name),
            inputs={name: to_tensor_proto(array, name=name) for name, array in inputs.items()},
            output_filter=output_filter,
        )
        response = _call(self._predict, request, timeout_seconds)
        # A copy, because an array that shares the message's memory could not be written to.
        return {name: np.array(to_array(tensor, name)) for name, tensor in sorted(response.outputs.items())}

    def classify(
        self, target: Target, signature_name: str, examples: Sequence[ExampleValues], timeout_seconds: float
    ) -> list[Classification]:
        """The classes of each example."""
        request = pb.ClassificationRequest(
            model_spec=_model_spec(target, signature_name), input=_input_message(examples)
        )
        response = _call(self._classify, request, timeout_seconds)
        return [[(one.label, one.score) for one in row.classes] for row in response.result.classifications]

    def regress(
        self, target: Target, signature_name: str, examples: Sequence[ExampleValues], timeout_seconds: float
    ) -> list[float]:
        """The value of each example."""
        request = pb.RegressionRequest(model_spec=_model_spec(target, signature_name), input=_input_message(examples))
        response = _call(self._regress, request, timeout_seconds)
        return [one.value for one in response.result.regressions]

    def status(self, target: Target, timeout_seconds: float) -> list[VersionStatus]:
        """The state of every version."""
        response = _call(self._status, pb.GetModelStatusRequest(model_spec=_model_spec(target)), timeout_seconds)
        return [
            VersionStatus(
                version=one.version,
                state=pb.ModelVersionStatus.State.Name(one.state),
                code=StatusCode(one.status.error_code),
                message=one.status.error_message,
            )
            for one in response.model_version_status
        ]

    def metadata(self, target: Target, timeout_seconds: float) -> ModelMetadata:
        """The signatures of one version."""
        request = pb.GetModelMetadataRequest(model_spec=_model_spec(target), metadata_field=[METADATA_FIELD])
        response = _call(self._metadata, request, timeout_seconds)
        try:
            content = pb.SignatureDefMap.FromString(response.metadata[METADATA_FIELD].value)
        except DecodeError as error:
            raise InternalServerError(f"The server's signatures cannot be read: {error}") from error
        spec = response.model_spec
        return ModelMetadata(spec.name, spec.version.value, signatures_from_map(content))

    def close(self) -> None:
        """Give the connection back."""
        self._channel.close()

    def _method(self, service: str, name: str, response_type: Any) -> Any:
        return self._channel.unary_unary(
            f"/{service}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response_type.FromString,
        )


def _call(method: Any, request: Any, timeout_seconds: float) -> Any:
    try:
        return method(request, timeout=timeout_seconds)
    except grpc.RpcError as error:
        raise error_of_code(error.code().value[0], error.details() or error.code().name) from error


def _model_spec(target: Target, signature_name: str = "") -> pb.ModelSpec:
    return pb.ModelSpec(
        name=target.model,
        version=None if target.version is None else Int64Value(value=target.version),
        version_label=target.label,
        signature_name=signature_name,
    )


def _input_message(examples: Sequence[ExampleValues]) -> pb.Input:
    content = [example_from_values(example).SerializeToString() for example in examples]
    return pb.Input(example_list=pb.ExampleList(examples=content))
