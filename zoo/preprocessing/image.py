"""Encoded pictures or pixels to the tensor that an image model takes; the same object in training and in the export."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.preprocessing.image_decoding import decode_upright, luma
from zoo.preprocessing.image_resizing import resize_pixels
from zoo.spec import ImagePreprocessing


@final
class ImageTransform(tf.Module):  # type: ignore[misc]
    """Runs an `ImagePreprocessing`, bit for bit alike in eager calls, tf.data, graphs, tf.map_fn and a SavedModel.

    It has no variables and no tables. `image_decoding` says which files can be read and what alpha becomes.

    Args:
        spec: What to do.
    """

    def __init__(self, spec: ImagePreprocessing) -> None:
        super().__init__(name="image_transform")
        self.spec = spec
        channels = spec.channels
        std = np.asarray(spec.std or (1.0,) * channels, np.float64)
        mean = np.asarray(spec.mean or (0.0,) * channels, np.float64)
        # One product and one difference of constants: a graph optimiser finds nothing to reorder, so the last bit
        # is the same in every mode.
        self._factor = tuple((spec.scale / std).tolist())
        self._offset = tuple((mean / std).tolist())

    def from_bytes(self, encoded: Any) -> Any:
        """Turns an encoded picture into the model's input.

        Args:
            encoded: A whole JPEG, PNG, GIF, BMP or WebP file, a scalar string tensor.

        Returns:
            float32 [height, width, channels], normalised.

        Raises:
            tf.errors.InvalidArgumentError: The bytes are no such picture, or a broken one.
        """
        return self.from_pixels(self.decode(encoded))

    def decode(self, encoded: Any) -> Any:
        """Decodes a picture and turns it upright by its EXIF orientation.

        Args:
            encoded: A whole JPEG, PNG, GIF, BMP or WebP file, a scalar string tensor.

        Returns:
            uint8 [h, w, channels]: RGB, or grey where the preprocessing has one channel.

        Raises:
            tf.errors.InvalidArgumentError: The bytes are no such picture, or a broken one.
        """
        pixels = decode_upright(tf.ensure_shape(tf.convert_to_tensor(encoded, tf.string), []))
        return luma(pixels) if self.spec.channels == 1 else pixels

    def from_pixels(self, pixels: Any) -> Any:
        """Resizes and normalises pixels.

        Args:
            pixels: Numbers of any dtype in [0, 255], [h, w, channels] with h and w at least 1; RGB where coloured.

        Returns:
            float32 [height, width, channels], normalised.

        Raises:
            ArgumentError: The shape has another rank or number of channels.
        """
        pixels = tf.convert_to_tensor(pixels)
        if not pixels.shape.is_compatible_with([None, None, self.spec.channels]):
            raise ArgumentError(f"The pixels must have the shape [h, w, {self.spec.channels}], which the model's "
                                f"preprocessing names. Received: {pixels.shape}. Pass one picture, without a batch "
                                "axis; decode(...) turns colour into grey.")
        pixels = tf.ensure_shape(pixels, [None, None, self.spec.channels])
        return self._normalised(resize_pixels(tf.cast(pixels, tf.float32), self.spec))

    def batch_from_bytes(self, encoded: Any) -> Any:
        """Turns encoded pictures of any mix of formats and sizes into a batch.

        Args:
            encoded: Whole files, string [N]; N may be 0.

        Returns:
            float32 [N, height, width, channels]; row i is `from_bytes(encoded[i])` to the bit.

        Raises:
            tf.errors.InvalidArgumentError: At least one is no picture; the whole batch fails.
        """
        row = tf.TensorSpec([self.spec.height, self.spec.width, self.spec.channels], tf.float32)
        return tf.map_fn(self.from_bytes, tf.convert_to_tensor(encoded, tf.string), fn_output_signature=row)

    def _normalised(self, pixels: Any) -> Any:
        if self.spec.channel_order == "bgr":
            pixels = tf.reverse(pixels, axis=[-1])
        if any(value != 1.0 for value in self._factor):
            pixels = pixels * tf.constant(self._factor, tf.float32)
        if any(value != 0.0 for value in self._offset):
            pixels = pixels - tf.constant(self._offset, tf.float32)
        return pixels
