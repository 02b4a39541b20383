"""Random changes of training batches, each decided by a seed alone: flip, rotate, zoom, contrast, RandAugment, mixup.

The tensors that arrive are normalised: `(pixel * scale - mean) / std`. Geometry does not mind, but contrast,
brightness or solarising do: half the contrast about a wrong zero is another picture. So a batch is first taken back
to pixels in [0, 1], changed there, and normalised again. Mixup is linear and works on the normalised tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.spec import ImagePreprocessing, ModelRecord
from zoo.training.config import Augmentation
from zoo.training.protocols import Augment
from zoo.training.random_augment import randaugment
from zoo.training.warping import warp

MAX_PIXEL = 255.0


@dataclass(frozen=True)
class PixelRange:
    """The way between normalised tensors and pixels in [0, 1].

    Args:
        preprocessing: How the tensors were normalised.
    """

    preprocessing: ImagePreprocessing

    def to_pixels(self, images: Any) -> Any:
        """Returns float32 [N, H, W, C] in [0, 1] for normalised images of the same shape."""
        std, mean = self._constants()
        return tf.clip_by_value((images * std + mean) / (self.preprocessing.scale * MAX_PIXEL), 0.0, 1.0)

    def from_pixels(self, pixels: Any) -> Any:
        """Returns normalised float32 [N, H, W, C] for pixels in [0, 1] of the same shape."""
        std, mean = self._constants()
        return (pixels * (self.preprocessing.scale * MAX_PIXEL) - mean) / std

    def _constants(self) -> tuple[Any, Any]:
        return (tf.constant(self.preprocessing.std or 1.0, tf.float32),
                tf.constant(self.preprocessing.mean or 0.0, tf.float32))


def augmenter_for(changes: Sequence[Augmentation], record: ModelRecord, outputs: int) -> Augment | None:
    """Returns what `Split.batches(augment=...)` takes, or None without changes.

    Args:
        changes: The changes in the order in which they are applied; mixup always comes last.
        record: Tells the kind of input and its preprocessing.
        outputs: Size of the model's last axis.

    Raises:
        ArgumentError: A change does not fit the model's input.
    """
    if not changes:
        return None
    pictures = [change for change in changes if change.name != "mixup"]
    mixups = [change for change in changes if change.name == "mixup"]
    preprocessing = record.preprocessing
    if pictures and not isinstance(preprocessing, ImagePreprocessing):
        raise ArgumentError(f"The augmentation {pictures[0].name!r} needs pictures whose preprocessing is known; the "
                            f"model {record.name!r} takes {record.input_kind} with {preprocessing.kind} "
                            "preprocessing. Leave it out.")
    if mixups and record.input_kind == "text":
        raise ArgumentError("The augmentation 'mixup' blends numbers; word ids cannot be blended. Leave it out.")
    classes = outputs if record.task == "classification" else 0

    def augment(inputs: Any, targets: Any, seed: Any) -> tuple[Any, Any]:
        if pictures and isinstance(preprocessing, ImagePreprocessing):
            inputs = _on_images(inputs, lambda images: change_pictures(images, seed, pictures, preprocessing))
        if mixups:
            inputs, targets = mixup(inputs, targets, _part(seed, len(pictures)), strength_of(mixups[0]), classes)
        return inputs, targets

    return augment


def strength_of(change: Augmentation) -> float:
    """Returns the strength, which `Augmentation` has filled in where none was given."""
    return float(change.strength or 0.0)


def change_pictures(images: Any, seed: Any, changes: Sequence[Augmentation], preprocessing: ImagePreprocessing) -> Any:
    """Applies all changes but mixup, each picture with random numbers of its own.

    Args:
        images: Normalised float [N, H, W, C].
        seed: int [2].
        changes: What to do, in order.
        preprocessing: How the images were normalised.

    Returns:
        Normalised images of the same shape and dtype.
    """
    geometric = {"flip": flip, "rotate": rotate, "zoom": zoom}
    values = PixelRange(preprocessing)
    pixels, in_pixels = images, False
    for index, change in enumerate(changes):
        own_seed, strength = _part(seed, index), strength_of(change)
        if change.name in geometric:
            pixels = geometric[change.name](pixels, own_seed, strength)
            continue
        if not in_pixels:
            pixels, in_pixels = values.to_pixels(pixels), True
        if change.name == "contrast":
            pixels = contrast(pixels, own_seed, strength)
        else:
            pixels = randaugment(pixels, own_seed, strength, bgr=preprocessing.channel_order == "bgr")
    changed = values.from_pixels(pixels) if in_pixels else pixels
    return tf.ensure_shape(tf.cast(changed, images.dtype), images.shape)


# === One change each ===


def flip(images: Any, seed: Any, probability: float) -> Any:
    """Mirrors pictures left to right, each with the given probability; [N, H, W, C] of any float dtype."""
    chosen = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed) < probability
    return tf.where(chosen, tf.reverse(images, [2]), images)


def rotate(images: Any, seed: Any, degrees: float) -> Any:
    """Turns pictures about their centre, each by an angle in [-degrees, degrees]; edges repeat."""
    angle = tf.random.stateless_uniform([tf.shape(images)[0]], seed, -degrees, degrees) * (math.pi / 180.0)
    cos, sin = tf.cos(angle), tf.sin(angle)
    return warp(images, tf.stack([tf.stack([cos, -sin], -1), tf.stack([sin, cos], -1)], -2))


def zoom(images: Any, seed: Any, fraction: float) -> Any:
    """Shows pictures larger or smaller, each by a factor in [1 - fraction, 1 + fraction]; edges repeat."""
    factor = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1], seed, 1.0 - fraction, 1.0 + fraction)
    return warp(images, tf.eye(2)[None] / factor)


def contrast(pixels: Any, seed: Any, fraction: float) -> Any:
    """Stretches pixels in [0, 1] about each channel's mean, each picture by [1 - fraction, 1 + fraction]."""
    factor = tf.random.stateless_uniform([tf.shape(pixels)[0], 1, 1, 1], seed, 1.0 - fraction, 1.0 + fraction)
    mean = tf.reduce_mean(pixels, [1, 2], keepdims=True)
    return tf.clip_by_value(mean + factor * (pixels - mean), 0.0, 1.0)


def mixup(inputs: Any, targets: Any, seed: Any, alpha: float, classes: int) -> tuple[Any, Any]:
    """Blends each example with its neighbour in the batch, which is in random order already.

    Args:
        inputs: float [N, ...], or a dict of such.
        targets: int [N] class indices, or float [N, k].
        seed: int [2].
        alpha: Of the Beta distribution that the share is drawn from; the example keeps the larger share.
        classes: Number of classes C; 0 for binary and regression targets.

    Returns:
        The blended inputs of the same shapes and targets float32: [N, C], or [N, k] ([N, 1] for binary indices).
    """
    count = tf.shape(targets)[0]
    draws = tf.random.stateless_gamma([2, count], seed, alpha, dtype=tf.float32)
    # A small alpha can give two zeros; then the share is 0, and the neighbour's is 1.
    share = tf.math.divide_no_nan(draws[0], draws[0] + draws[1])
    share = tf.maximum(share, 1.0 - share)
    if classes and targets.dtype.is_integer:
        targets = tf.one_hot(targets, classes)
    elif targets.shape.rank == 1:
        targets = targets[:, None]
    return tf.nest.map_structure(lambda x: _blend(x, share), inputs), _blend(tf.cast(targets, tf.float32), share)


def _blend(values: Any, share: Any) -> Any:
    if not values.dtype.is_floating:
        return values
    weight = tf.cast(tf.reshape(share, [-1] + [1] * (values.shape.rank - 1)), values.dtype)
    return values * weight + tf.roll(values, 1, 0) * (1.0 - weight)


def _on_images(inputs: Any, change: Any) -> Any:
    """Changes the tensors that are pictures: those with four axes."""
    return tf.nest.map_structure(lambda x: change(x) if x.shape.rank == 4 else x, inputs)


def _part(seed: Any, index: int) -> Any:
    return tf.random.experimental.stateless_fold_in(seed, index)
