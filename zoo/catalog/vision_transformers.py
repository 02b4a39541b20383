"""Vision Transformers with the weights that keras-hub publishes."""

from __future__ import annotations

from zoo.catalog.imagenet import LABELS, imagenet_spec, preprocessing
from zoo.spec import ModelSpec, TrainingDefaults, WeightsRef


def _vit(name: str, *, handle: str, parameters: int, description: str, tags: tuple[str, ...] = ()) -> ModelSpec:
    # As the preset's own image converter: centre square, bilinear without antialiasing, [-1, 1].
    expects = preprocessing("tf", 224, crop_fraction=1.0, antialias=False)
    weights = WeightsRef(tag="imagenet", format="keras_hub_preset", licence="Apache-2.0",
                         source="KerasHub (published by the Keras project)", num_classes=1000, labels_file=LABELS,
                         preset=handle, preprocessing=expects)
    return imagenet_spec(
        name, builder=f"zoo.vision.vit:{name}", family="vit", description=description, size=224,
        parameters=parameters, paper="https://arxiv.org/abs/2010.11929", weights=weights, expects=expects, tags=tags,
        training=TrainingDefaults(loss="sparse_categorical_crossentropy", optimizer="adamw", learning_rate=1e-4,
                                  batch_size=32, epochs=10))


SPECS: tuple[ModelSpec, ...] = (
    _vit("vit_base_patch16_224", handle="kaggle://keras/vit/keras/vit_base_patch16_224_imagenet/4",
         parameters=86_567_656, tags=("hub",),
         description="Vision Transformer, base: attention over patches of 16 x 16 pixels of a photograph; needs "
         "keras-hub."),
    _vit("vit_large_patch16_224", handle="kaggle://keras/vit/keras/vit_large_patch16_224_imagenet/4",
         parameters=304_326_632, tags=("hub", "large"),
         description="Vision Transformer, large: attention over patches of 16 x 16 pixels of a photograph; needs "
         "keras-hub."),
)
