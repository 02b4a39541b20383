"""Call any server with TensorFlow Serving's interfaces: numpy in, numpy out, over gRPC or REST, without TensorFlow.

    from serving.client import PredictClient

    with PredictClient("grpc://127.0.0.1:8500") as client:
        outputs = client.predict("digits", pixels)
"""

from serving.client.client import PredictClient
from serving.client.transport import ModelMetadata, VersionStatus
from serving.protocol.signatures import Signature, TensorSpec

__all__ = ["ModelMetadata", "PredictClient", "Signature", "TensorSpec", "VersionStatus"]
