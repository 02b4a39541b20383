"""The normalisations that published image models were trained with, as data: no TensorFlow is imported.

| mode  | model input                                         | trained so                                        |
|-------|-----------------------------------------------------|---------------------------------------------------|
| raw   | [0, 255]                                            | EfficientNet, EfficientNetV2, MobileNetV3 and     |
|       |                                                     | ConvNeXt of keras.applications: the model scales  |
| unit  | [0, 1]                                              | models trained on pixels / 255                    |
| tf    | [-1, 1]                                             | MobileNet V2, Inception, Xception, ResNet V2      |
| torch | (pixel / 255 - mean) / standard deviation, ImageNet | DenseNet, most models that come from PyTorch      |
| caffe | blue, green, red, minus the ImageNet mean           | ResNet V1, VGG                                    |
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from zoo.errors import UnknownNameError
from zoo.spec import ImagePreprocessing

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, of pixels in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)
IMAGENET_CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red, of pixels in [0, 255]

MODES: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "raw": MappingProxyType({}),
    "unit": MappingProxyType({"scale": 1 / 255}),
    "tf": MappingProxyType({"scale": 1 / 127.5, "mean": (1.0, 1.0, 1.0)}),
    "torch": MappingProxyType({"scale": 1 / 255, "mean": IMAGENET_MEAN, "std": IMAGENET_STD}),
    "caffe": MappingProxyType({"channel_order": "bgr", "mean": IMAGENET_CAFFE_MEAN}),
})


def image_mode(mode: str, height: int, width: int, **options: Any) -> ImagePreprocessing:
    """Returns the preprocessing of colour pictures with one of the known normalisations.

    Args:
        mode: "raw", "unit", "tf", "torch" or "caffe"; the module's table says what each is.
        height: Of the model's input, in pixels.
        width: Of the model's input, in pixels.
        options: Further fields of `ImagePreprocessing`, such as resize="crop", crop_fraction=0.875.

    Returns:
        The preprocessing for 3 channels.

    Raises:
        UnknownNameError: Another mode.
        ArgumentError: A field that is out of its range.
    """
    if mode not in MODES:
        raise UnknownNameError("image mode", mode, MODES, f"Expected one of: {', '.join(MODES)}.")
    return ImagePreprocessing(**{"height": height, "width": width, **MODES[mode], **options})
