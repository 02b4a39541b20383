"""MobileNet, EfficientNet and EfficientNet V2: much accuracy for few operations."""

from __future__ import annotations

from zoo.catalog.imagenet import accuracy, imagenet_spec, keras_file, keras_weights, preprocessing
from zoo.spec import ImagePreprocessing, ModelSpec

_MOBILE = ("small", "mobile")
# The published evaluations cut 32 pixels from the resized picture, whatever its size.
_CROP_PIXELS = 32
# From this size on, EfficientNet V2 was evaluated on whole pictures.
_WHOLE_FROM_PIXELS = 320


def _mobilenet_v2() -> ModelSpec:
    expects = preprocessing("tf", 224)
    # Keras checks no hash for these two files; the first download pins one.
    file = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224"
    weights = keras_weights(
        file=keras_file("mobilenet_v2", f"{file}.h5"), headless=keras_file("mobilenet_v2", f"{file}_no_top.h5"),
        licence="Apache-2.0", expects=expects, metrics=accuracy(71.3, 90.1))
    return imagenet_spec("mobilenet_v2", builder="zoo.vision.mobilenet:mobilenet_v2", family="mobilenet",
                         description="MobileNet V2: small and fast network for photographs on phones.", size=224,
                         parameters=3_538_984, paper="https://arxiv.org/abs/1801.04381", weights=weights,
                         expects=expects, tags=_MOBILE)


def _mobilenet_v3(size: str, parameters: int, top1: float, hashes: tuple[str, str]) -> ModelSpec:
    name = f"mobilenet_v3_{size}"
    expects = preprocessing("raw", 224)
    file = f"weights_mobilenet_v3_{size}_224_1.0_float"
    weights = keras_weights(
        file=keras_file("mobilenet_v3", f"{file}.h5", hashes[0]),
        headless=keras_file("mobilenet_v3", f"{file}_no_top_v2.h5", hashes[1]),
        licence="Apache-2.0", expects=expects, metrics=accuracy(top1))
    return imagenet_spec(name, builder=f"zoo.vision.mobilenet:{name}", family="mobilenet",
                         description=f"MobileNet V3 {size}: small and fast network for photographs on phones; it "
                         "normalises the pixels itself.", size=224, parameters=parameters,
                         paper="https://arxiv.org/abs/1905.02244", weights=weights, expects=expects, tags=_MOBILE)


def _efficientnet(number: int, size: int, parameters: int, top1: float, top5: float,
                  hashes: tuple[str, str]) -> ModelSpec:
    name = f"efficientnet_b{number}"
    expects = preprocessing("raw", size, crop_fraction=size / (size + _CROP_PIXELS), interpolation="bicubic")
    folder = "https://storage.googleapis.com/keras-applications/"
    weights = keras_weights(
        file=keras_file(folder, f"efficientnetb{number}.h5", hashes[0]),
        headless=keras_file(folder, f"efficientnetb{number}_notop.h5", hashes[1]),
        licence="Apache-2.0", expects=expects, metrics=accuracy(top1, top5))
    return imagenet_spec(name, builder=f"zoo.vision.efficientnet:{name}", family="efficientnet",
                         description=f"EfficientNet B{number}: network for photographs, scaled in depth, width and "
                         "picture size together; it normalises the pixels itself.", size=size, parameters=parameters,
                         paper="https://arxiv.org/abs/1905.11946", weights=weights, expects=expects,
                         tags=("small",) if number < 3 else ())


def _efficientnet_v2(variant: str, size: int, parameters: int, top1: float, top5: float,
                     hashes: tuple[str, str]) -> ModelSpec:
    name = f"efficientnet_v2_{variant}"
    expects = _efficientnet_v2_preprocessing(size)
    weights = keras_weights(
        file=keras_file("efficientnet_v2", f"efficientnetv2-{variant}.h5", hashes[0]),
        headless=keras_file("efficientnet_v2", f"efficientnetv2-{variant}_notop.h5", hashes[1]),
        licence="Apache-2.0", expects=expects, metrics=accuracy(top1, top5))
    return imagenet_spec(name, builder=f"zoo.vision.efficientnet:{name}", family="efficientnet",
                         description=f"EfficientNet V2 {variant.upper()}: network for photographs that trains faster "
                         "than EfficientNet; it normalises the pixels itself.", size=size, parameters=parameters,
                         paper="https://arxiv.org/abs/2104.00298", weights=weights, expects=expects,
                         tags=("small",) if variant in ("b0", "b1") else ())


def _efficientnet_v2_preprocessing(size: int) -> ImagePreprocessing:
    if size < _WHOLE_FROM_PIXELS:
        return preprocessing("raw", size, crop_fraction=size / (size + _CROP_PIXELS), antialias=False)
    return preprocessing("raw", size, resize="stretch", crop_fraction=1.0, antialias=False)


SPECS: tuple[ModelSpec, ...] = (
    _mobilenet_v2(),
    _mobilenet_v3("small", 2_554_968, 68.1,
                  ("8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836")),
    _mobilenet_v3("large", 5_507_432, 75.6,
                  ("59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389")),
    _efficientnet(0, 224, 5_330_571, 77.1, 93.3,
                  ("902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d")),
    _efficientnet(1, 240, 7_856_239, 79.1, 94.4,
                  ("1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432")),
    _efficientnet(2, 260, 9_177_569, 80.1, 94.9,
                  ("b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39")),
    _efficientnet(3, 300, 12_320_535, 81.6, 95.7,
                  ("ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226")),
    _efficientnet(4, 380, 19_466_823, 82.9, 96.4,
                  ("18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba")),
    _efficientnet(5, 456, 30_562_527, 83.6, 96.7,
                  ("ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f")),
    _efficientnet(6, 528, 43_265_143, 84.0, 96.8,
                  ("165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743")),
    _efficientnet(7, 600, 66_658_687, 84.3, 97.0,
                  ("8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a")),
    _efficientnet_v2("b0", 224, 7_200_312, 78.7, 94.3,
                     ("21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff")),
    _efficientnet_v2("b1", 240, 8_212_124, 79.8, 95.0,
                     ("069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37")),
    _efficientnet_v2("b2", 260, 10_178_374, 80.5, 95.1,
                     ("424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb")),
    _efficientnet_v2("b3", 300, 14_467_622, 82.0, 95.8,
                     ("1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856")),
    _efficientnet_v2("s", 384, 21_612_360, 83.9, 96.7,
                     ("e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070")),
    _efficientnet_v2("m", 480, 54_431_388, 85.3, 97.4,
                     ("a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342")),
    _efficientnet_v2("l", 480, 119_027_848, 85.7, 97.5,
                     ("27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615")),
)
