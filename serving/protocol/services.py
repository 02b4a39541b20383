"""The names under which TensorFlow Serving's services are called."""

from __future__ import annotations

from typing import Final

PREDICTION_SERVICE: Final = "tensorflow.serving.PredictionService"
MODEL_SERVICE: Final = "tensorflow.serving.ModelService"

# GetModelMetadata answers with a map of Any messages; this is its only key, and the name of the content's type.
METADATA_FIELD: Final = "signature_def"
SIGNATURE_MAP_URL: Final = "type.googleapis.com/tensorflow.serving.SignatureDefMap"

# What TensorFlow Serving's own server takes. Clients have to raise their limit, which is 4 MiB by default.
MAX_MESSAGE_BYTES: Final = 2**31 - 1
