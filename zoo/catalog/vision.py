"""Small networks for pictures, made for learning and for small data."""

from __future__ import annotations

from zoo.catalog.imagenet import preprocessing
from zoo.spec import ImagePreprocessing, ModelSpec, TensorInfo, TrainingDefaults, Tunable

_DROPOUT = Tunable(low=0.0, high=0.5, step=0.1)
_L2 = Tunable(low=1e-6, high=1e-2, log=True)
_TRAINING = TrainingDefaults(loss="sparse_categorical_crossentropy", optimizer="adam", learning_rate=1e-3,
                             batch_size=32, epochs=10)

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="mnist_cnn", builder="zoo.vision.small_cnn:mnist_cnn", family="small_cnn", input_kind="image",
        task="classification", description="Small convolutional network for handwritten digits: one convolution of 10 "
        "filters, ReLU and a softmax over 10 classes, for grey pictures of 28 x 28 pixels (MNIST).",
        inputs=(TensorInfo(name="image", shape=(28, 28, 1)),), outputs=(TensorInfo(name="predictions", shape=(10,)),),
        parameters=67_710, licence="Apache-2.0", num_classes=10, training=_TRAINING, tags=("small", "example"),
        preprocessing=ImagePreprocessing(height=28, width=28, channels=1, scale=1 / 255),
        tunable={"filters": Tunable(choices=(10, 16, 32, 64)), "dropout": _DROPOUT, "l2": _L2}),
    ModelSpec(
        name="cifar_cnn", builder="zoo.vision.small_cnn:cifar_cnn", family="small_cnn", input_kind="image",
        task="classification", description="Small convolutional network for colour pictures of 32 x 32 pixels "
        "(CIFAR-10): convolutions of 64 and 128 filters with pooling, a dense layer of 1024 and a softmax over 10 "
        "classes; normalised with the mean and standard deviation of ImageNet.",
        inputs=(TensorInfo(name="image", shape=(32, 32, 3)),), outputs=(TensorInfo(name="predictions", shape=(10,)),),
        parameters=4_805_514, licence="Apache-2.0", num_classes=10, training=_TRAINING, tags=("small", "example"),
        preprocessing=preprocessing("torch", 32, resize="stretch", crop_fraction=1.0),
        tunable={"units": Tunable(choices=(128, 256, 512, 1024)), "dropout": _DROPOUT, "l2": _L2}),
    ModelSpec(
        name="imagenet_cnn", builder="zoo.vision.small_cnn:imagenet_cnn", family="small_cnn", input_kind="image",
        task="classification", description="Plain convolutional network for photographs of 224 x 224 pixels: "
        "convolutions of 32, 64 and 128 filters with pooling, a dense layer of 128 and a softmax over 1000 classes.",
        inputs=(TensorInfo(name="image", shape=(224, 224, 3)),),
        outputs=(TensorInfo(name="predictions", shape=(1000,)),),
        parameters=11_297_960, licence="Apache-2.0", num_classes=1000, training=_TRAINING, tags=("example",),
        preprocessing=ImagePreprocessing(height=224, width=224, scale=1 / 255),
        tunable={"units": Tunable(choices=(64, 128, 256, 512)), "dropout": _DROPOUT, "l2": _L2}),
)
