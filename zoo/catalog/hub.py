"""Models around modules of TF Hub."""

from __future__ import annotations

from zoo.spec import ImagePreprocessing, ModelSpec, TensorInfo, TrainingDefaults, Tunable

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="hub", builder="zoo.hub:hub", family="hub", input_kind="image", task="classification",
        tasks=("classification", "regression", "embedding"),
        description="A head on top of any module of TF Hub with feature vectors of pictures or embeddings of texts: "
        "weights=\"tfhub:PUBLISHER/MODEL/VERSION\". The module decides the input and brings the parameters.",
        inputs=(TensorInfo(name="image", shape=(224, 224, 3)),),
        outputs=(TensorInfo(name="predictions", shape=(2,)),),
        parameters=0, licence="that of the module", num_classes=2, tags=("transfer learning",),
        preprocessing=ImagePreprocessing(height=224, width=224, scale=1.0 / 255.0),
        training=TrainingDefaults(loss="sparse_categorical_crossentropy", optimizer="adam", learning_rate=1e-3,
                                  batch_size=32, epochs=5),
        tunable={"dropout": Tunable(low=0.0, high=0.5, step=0.1), "trainable": Tunable(choices=(False, True))}),
)
