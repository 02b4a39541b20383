"""Models for rows of numbers."""

from __future__ import annotations

from zoo.spec import ModelSpec, TensorInfo, TensorPreprocessing, TrainingDefaults, Tunable

_HIDDEN = {"hidden_units": Tunable(low=8, high=1024, log=True),
           "hidden_activation": Tunable(choices=("relu", "sigmoid", "tanh")),
           "dropout": Tunable(low=0.0, high=0.5, step=0.1),
           "l2": Tunable(low=1e-6, high=1e-2, log=True)}

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="linear_regression", builder="zoo.tabular.linear:linear_regression", family="linear",
        input_kind="tabular", task="regression",
        description="Linear regression y = Wx + b: a straight line through rows of numbers, by plain gradient descent "
        "on the mean squared error.",
        inputs=(TensorInfo(name="features", shape=(1,)),), outputs=(TensorInfo(name="predictions", shape=(1,)),),
        parameters=2, licence="Apache-2.0", preprocessing=TensorPreprocessing(), tags=("small", "example"),
        training=TrainingDefaults(loss="mean_squared_error", optimizer="sgd", learning_rate=0.01, batch_size=32,
                                  epochs=100),
        tunable={"l2": Tunable(low=1e-6, high=1.0, log=True)}),
    ModelSpec(
        name="mlp_binary", builder="zoo.tabular.perceptron:mlp_binary", family="mlp", input_kind="tabular",
        task="binary_classification", description="Multi-layer perceptron that tells two classes apart: 2 numbers, a "
        "hidden layer of 10 with sigmoid, and one probability, which counts as the second class from 0.5.",
        inputs=(TensorInfo(name="features", shape=(2,)),), outputs=(TensorInfo(name="predictions", shape=(1,)),),
        parameters=41, licence="Apache-2.0", num_classes=2, preprocessing=TensorPreprocessing(),
        tags=("small", "example"), tunable=_HIDDEN,
        training=TrainingDefaults(loss="binary_crossentropy", optimizer="adam", learning_rate=0.01, batch_size=32,
                                  epochs=100)),
    ModelSpec(
        name="softmax_1000", builder="zoo.tabular.perceptron:softmax_1000", family="mlp", input_kind="tabular",
        task="classification", description="Multi-layer perceptron for many classes: 100 numbers, a hidden layer of "
        "1000 with ReLU, and a softmax over 1000 classes.",
        inputs=(TensorInfo(name="features", shape=(100,)),),
        outputs=(TensorInfo(name="predictions", shape=(1000,)),),
        parameters=1_102_000, licence="Apache-2.0", num_classes=1000, preprocessing=TensorPreprocessing(),
        tags=("example",), tunable=_HIDDEN,
        training=TrainingDefaults(loss="sparse_categorical_crossentropy", optimizer="adam", learning_rate=1e-3,
                                  batch_size=32, epochs=10)),
)
