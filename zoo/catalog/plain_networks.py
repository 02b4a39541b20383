"""VGG, Inception V3, Xception and ConvNeXt: further convolutional networks for photographs."""

from __future__ import annotations

from zoo.catalog.imagenet import accuracy, imagenet_spec, keras_file, keras_weights, preprocessing
from zoo.spec import ModelSpec, TrainingDefaults

_SUFFIX = "_weights_tf_dim_ordering_tf_kernels"


def _spec(name: str, *, module: str, family: str, description: str, mode: str, size: int, licence: str, paper: str,
          parameters: int, hashes: tuple[str, str], top1: float, top5: float,
          tags: tuple[str, ...] = ()) -> ModelSpec:
    expects = preprocessing(mode, size)
    weights = keras_weights(
        file=keras_file(name, f"{name}{_SUFFIX}.h5", hashes[0]),
        headless=keras_file(name, f"{name}{_SUFFIX}_notop.h5", hashes[1]),
        licence=licence, expects=expects, metrics=accuracy(top1, top5))
    return imagenet_spec(name, builder=f"zoo.vision.{module}:{name}", family=family, description=description,
                         size=size, parameters=parameters, paper=paper, weights=weights, expects=expects, tags=tags)


def _vgg(depth: int, parameters: int, top1: float, top5: float, hashes: tuple[str, str]) -> ModelSpec:
    return _spec(f"vgg{depth}", module="vgg", family="vgg", mode="caffe", size=224, licence="CC-BY-4.0",
                 description=f"VGG-{depth}: plain network of 3 x 3 convolutions for photographs, {depth} layers deep, "
                 "with two wide dense layers.", tags=("large",),
                 paper="https://arxiv.org/abs/1409.1556", parameters=parameters, hashes=hashes, top1=top1, top5=top5)


def _convnext(size: str, parameters: int, top1: float, hashes: tuple[str, str],
              tags: tuple[str, ...] = ()) -> ModelSpec:
    name = f"convnext_{size}"
    expects = preprocessing("raw", 224, interpolation="bicubic")
    weights = keras_weights(
        file=keras_file("convnext", f"{name}.h5", hashes[0]),
        headless=keras_file("convnext", f"{name}_notop.h5", hashes[1]),
        licence="MIT", expects=expects, metrics=accuracy(top1))
    return imagenet_spec(
        name, builder=f"zoo.vision.convnext:{name}", family="convnext", size=224, parameters=parameters,
        description=f"ConvNeXt {size}: convolutional network for photographs modelled on vision transformers; it "
        "normalises the pixels itself.", paper="https://arxiv.org/abs/2201.03545", weights=weights, expects=expects,
        tags=tags, training=TrainingDefaults(loss="sparse_categorical_crossentropy", optimizer="adamw",
                                             learning_rate=1e-4, batch_size=32, epochs=10))


SPECS: tuple[ModelSpec, ...] = (
    _vgg(16, 138_357_544, 71.3, 90.1, ("64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc")),
    _vgg(19, 143_667_240, 71.3, 90.0, ("cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6")),
    _spec("inception_v3", module="inception", family="inception", mode="tf", size=299, licence="Apache-2.0",
          description="Inception V3: network for photographs whose blocks look at several scales at once.",
          paper="https://arxiv.org/abs/1512.00567", parameters=23_851_784, top1=77.9, top5=93.7,
          hashes=("9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63")),
    _spec("xception", module="inception", family="inception", mode="tf", size=299, licence="MIT",
          description="Xception: network for photographs of depthwise separable convolutions.",
          paper="https://arxiv.org/abs/1610.02357", parameters=22_910_480, top1=79.0, top5=94.5,
          hashes=("0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97")),
    _convnext("tiny", 28_589_128, 81.3, ("8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
                                         "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1")),
    _convnext("small", 50_223_688, 82.3, ("ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
                                          "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab")),
    _convnext("base", 88_591_464, 85.3, ("52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
                                         "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45")),
    _convnext("large", 197_767_336, 86.3, ("070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
                                           "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd"),
              tags=("large",)),
    _convnext("xlarge", 350_196_968, 86.7, ("c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
                                            "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05"),
              tags=("large",)),
)
