"""The engines that are compared, by the name that the tables show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Engine:
    """One way to compute a model.

    Attributes:
        runtime: The module of this folder that loads it: "tensorflow", "onnx_runtime", "openvino" or "pytorch".
        precision: What it computes in.
        artifact: What has to be prepared for it, see `prepare`.
        ours: Whether it is an export of this project.
    """

    runtime: str
    precision: str
    artifact: str
    ours: bool = False


ENGINES: Mapping[str, Engine] = {
    "zoo safe": Engine("tensorflow", "float32", "zoo_safe", ours=True),
    "zoo bfloat16": Engine("tensorflow", "bfloat16", "zoo_bfloat16", ours=True),
    "zoo int8": Engine("tensorflow", "int8", "zoo_int8", ours=True),
    "SavedModel": Engine("tensorflow", "float32", "saved_model"),
    "Keras predict": Engine("keras", "float32", "bundle"),
    "ONNX Runtime": Engine("onnx_runtime", "float32", "onnx"),
    "ONNX Runtime int8": Engine("onnx_runtime", "int8", "onnx_int8"),
    "OpenVINO": Engine("openvino", "float32", "openvino"),
    "OpenVINO bfloat16": Engine("openvino", "bfloat16", "openvino"),
    "OpenVINO int8": Engine("openvino", "int8", "openvino_int8"),
    "PyTorch eager": Engine("pytorch", "float32", "torch"),
    "PyTorch eager bfloat16": Engine("pytorch", "bfloat16", "torch"),
    "PyTorch compiled": Engine("pytorch_compiled", "float32", "torch"),
    "PyTorch compiled bfloat16": Engine("pytorch_compiled", "bfloat16", "torch"),
}
# The plain export comes first where times are compared: what TensorFlow Serving runs without us.
REFERENCE = "SavedModel"
MODELS = ("resnet50", "mobilenet_v2", "efficientnet_b0", "bert_base", "small_bert")
# What has to be prepared before what.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "bundle": (), "saved_model": ("bundle",), "zoo_safe": ("bundle",), "zoo_bfloat16": ("bundle",),
    "zoo_int8": ("bundle",), "torch": ("bundle",), "onnx": ("torch",), "onnx_int8": ("onnx",), "openvino": ("onnx",),
    "openvino_int8": ("openvino",),
}
