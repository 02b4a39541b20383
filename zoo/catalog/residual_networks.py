"""ResNet and DenseNet: deep networks whose layers see the outputs of earlier ones."""

from __future__ import annotations

from zoo.catalog.imagenet import accuracy, imagenet_spec, keras_file, keras_weights, preprocessing
from zoo.spec import ModelSpec

_SUFFIX = "_weights_tf_dim_ordering_tf_kernels"


def _spec(name: str, *, file: str, folder: str, module: str, family: str, description: str, mode: str, licence: str,
          paper: str, parameters: int, hashes: tuple[str, str], top1: float, top5: float) -> ModelSpec:
    expects = preprocessing(mode, 224)
    weights = keras_weights(
        file=keras_file(folder, f"{file}{_SUFFIX}.h5", hashes[0]),
        headless=keras_file(folder, f"{file}{_SUFFIX}_notop.h5", hashes[1]),
        licence=licence, expects=expects, metrics=accuracy(top1, top5))
    return imagenet_spec(name, builder=f"zoo.vision.{module}:{name}", family=family, description=description, size=224,
                         parameters=parameters, paper=paper, weights=weights, expects=expects)


def _resnet(depth: int, parameters: int, top1: float, top5: float, hashes: tuple[str, str]) -> ModelSpec:
    return _spec(f"resnet{depth}", file=f"resnet{depth}", folder="resnet", module="resnet", family="resnet",
                 description=f"ResNet-{depth}: residual network for photographs, {depth} layers deep.", mode="caffe",
                 licence="MIT", paper="https://arxiv.org/abs/1512.03385", parameters=parameters, hashes=hashes,
                 top1=top1, top5=top5)


def _resnet_v2(depth: int, parameters: int, top1: float, top5: float, hashes: tuple[str, str]) -> ModelSpec:
    return _spec(f"resnet{depth}_v2", file=f"resnet{depth}v2", folder="resnet", module="resnet", family="resnet",
                 description=f"ResNet-{depth} V2: residual network for photographs, {depth} layers deep, normalisation "
                 "and activation in front of each convolution.", mode="tf",
                 licence="BSD", paper="https://arxiv.org/abs/1603.05027", parameters=parameters, hashes=hashes,
                 top1=top1, top5=top5)


def _densenet(depth: int, parameters: int, top1: float, top5: float, hashes: tuple[str, str]) -> ModelSpec:
    return _spec(f"densenet{depth}", file=f"densenet{depth}", folder="densenet", module="densenet", family="densenet",
                 description=f"DenseNet-{depth}: network for photographs, {depth} layers deep, in which each layer "
                 "sees all earlier ones of its block.", mode="torch",
                 licence="BSD-3-Clause", paper="https://arxiv.org/abs/1608.06993", parameters=parameters,
                 hashes=hashes, top1=top1, top5=top5)


SPECS: tuple[ModelSpec, ...] = (
    _resnet(50, 25_636_712, 74.9, 92.1, ("2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626")),
    _resnet(101, 44_707_176, 76.4, 92.8, ("f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21")),
    _resnet(152, 60_419_944, 76.6, 93.1, ("100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c")),
    _resnet_v2(50, 25_613_800, 76.0, 93.0, ("3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917")),
    _resnet_v2(101, 44_675_560, 77.2, 93.8, ("6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5")),
    _resnet_v2(152, 60_380_648, 78.0, 94.2, ("a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33")),
    _densenet(121, 8_062_504, 75.0, 92.3, ("9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738")),
    _densenet(169, 14_307_880, 76.2, 93.2, ("d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b")),
    _densenet(201, 20_242_984, 77.3, 93.6, ("1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1")),
)
