"""The gRPC interface: decode, call the core, encode. Nothing here knows what a model is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.wrappers_pb2 import Int64Value

from serving.errors import InternalServerError, InvalidRequestError, PortInUseError, WireError
from serving.protocol.examples import examples_of_input
from serving.protocol.generated import serving_pb2 as pb
from serving.protocol.services import (
    MAX_MESSAGE_BYTES,
    METADATA_FIELD,
    MODEL_SERVICE,
    PREDICTION_SERVICE,
    SIGNATURE_MAP_URL,
)
from serving.protocol.signatures import signatures_to_map
from serving.protocol.tensors import to_array, to_tensor_proto
from serving.server.core import AnsweredBy, ModelRequest, ServingCore

Request = TypeVar("Request")
Answer = TypeVar("Answer")

_STATUS_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class GrpcApi:
    """Answers TensorFlow Serving's gRPC methods from a core.

    Args:
        core: The server's behaviour.
    """

    def __init__(self, core: ServingCore) -> None:
        self._core = core

    def predict(self, request: pb.PredictRequest) -> pb.PredictResponse:
        """PredictionService.Predict."""
        answered_by, outputs = self._core.predict(
            _model_request(request.model_spec),
            lambda _: {name: to_array(tensor, name) for name, tensor in request.inputs.items()},
            list(request.output_filter),
        )
        return pb.PredictResponse(
            model_spec=_model_spec(answered_by),
            # Typed fields, as the original answers: clients read `outputs["y"].float_val`.
            outputs={name: to_tensor_proto(array, typed_fields=True) for name, array in outputs.items()},
        )

    def classify(self, request: pb.ClassificationRequest) -> pb.ClassificationResponse:
        """PredictionService.Classify."""
        answered_by, rows = self._core.classify(_model_request(request.model_spec), examples_of_input(request.input))
        result = pb.ClassificationResult(
            classifications=[
                pb.Classifications(classes=[pb.Class(label=label, score=score) for label, score in row]) for row in rows
            ]
        )
        return pb.ClassificationResponse(model_spec=_model_spec(answered_by), result=result)

    def regress(self, request: pb.RegressionRequest) -> pb.RegressionResponse:
        """PredictionService.Regress."""
        answered_by, values = self._core.regress(_model_request(request.model_spec), examples_of_input(request.input))
        result = pb.RegressionResult(regressions=[pb.Regression(value=value) for value in values])
        return pb.RegressionResponse(model_spec=_model_spec(answered_by), result=result)

    def get_model_metadata(self, request: pb.GetModelMetadataRequest) -> pb.GetModelMetadataResponse:
        """PredictionService.GetModelMetadata."""
        if not request.HasField("model_spec"):
            raise InvalidRequestError("Missing ModelSpec")
        if not request.metadata_field:
            raise InvalidRequestError("GetModelMetadataRequest must specify at least one metadata_field")
        for name in request.metadata_field:
            if name != METADATA_FIELD:
                raise InvalidRequestError(f"Metadata field {name} is not supported")
        answered_by, signatures = self._core.signatures(_model_request(request.model_spec))
        content = AnyMessage(type_url=SIGNATURE_MAP_URL, value=signatures_to_map(signatures).SerializeToString())
        return pb.GetModelMetadataResponse(model_spec=_model_spec(answered_by), metadata={METADATA_FIELD: content})

    def get_model_status(self, request: pb.GetModelStatusRequest) -> pb.GetModelStatusResponse:
        """ModelService.GetModelStatus."""
        if not request.HasField("model_spec"):
            raise InvalidRequestError("Missing ModelSpec")
        statuses = self._core.status(_model_request(request.model_spec))
        return pb.GetModelStatusResponse(
            model_version_status=[
                pb.ModelVersionStatus(
                    version=status.version,
                    state=status.state.value,  # type: ignore[arg-type]
                    status=pb.StatusProto(error_code=status.code.value, error_message=status.message),  # type: ignore[arg-type]
                )
                for status in statuses
            ]
        )


def start_grpc_server(core: ServingCore, host: str, port: int, threads: int) -> tuple[grpc.Server, int]:
    """Listen for gRPC requests.

    Args:
        core: The server's behaviour.
        host: Address to listen on.
        port: TCP port; 0 takes a free one.
        threads: Requests answered at the same time; the others wait.

    Returns:
        The server, already answering, and its port.

    Raises:
        PortInUseError: The port is held by another program.
    """
    api = GrpcApi(core)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="grpc")
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.so_reuseport", 0),  # else a second server would share the port in silence
    ]
    server = grpc.server(pool, handlers=_handlers(api), options=options)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound_port = server.add_insecure_port(address)
    except RuntimeError as error:
        pool.shutdown()
        raise PortInUseError(host, port, "gRPC", "--grpc-port") from error
    server.start()
    return server, int(bound_port)


def _handlers(api: GrpcApi) -> list[grpc.GenericRpcHandler]:
    predictions = {
        "Predict": _handler(api.predict, pb.PredictRequest),
        "Classify": _handler(api.classify, pb.ClassificationRequest),
        "Regress": _handler(api.regress, pb.RegressionRequest),
        "GetModelMetadata": _handler(api.get_model_metadata, pb.GetModelMetadataRequest),
    }
    models = {"GetModelStatus": _handler(api.get_model_status, pb.GetModelStatusRequest)}
    return [
        grpc.method_handlers_generic_handler(PREDICTION_SERVICE, predictions),
        grpc.method_handlers_generic_handler(MODEL_SERVICE, models),
    ]


def _handler(answer: Callable[[Request], Answer], request_type: Any) -> grpc.RpcMethodHandler:
    def serve(request: Request, context: grpc.ServicerContext) -> Answer:
        try:
            return answer(request)
        except WireError as error:
            failure = error
        except Exception:
            failure = InternalServerError("The server failed at this request.")
        context.abort(_STATUS_CODES[failure.code.value], failure.message)
        raise failure  # abort has raised already

    return grpc.unary_unary_rpc_method_handler(
        serve,
        request_deserializer=request_type.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )


def _model_request(spec: pb.ModelSpec) -> ModelRequest:
    return ModelRequest(
        name=spec.name,
        version=spec.version.value if spec.HasField("version") else None,
        label=spec.version_label,
        signature_name=spec.signature_name,
        entrypoint="GRPC",
    )


def _model_spec(answered_by: AnsweredBy) -> pb.ModelSpec:
    return pb.ModelSpec(
        name=answered_by.name,
        version=Int64Value(value=answered_by.version),
        signature_name=answered_by.signature_name,
    )
