"""Encoded pictures to upright RGB pixels, inside the graph and with TensorFlow's own decoders.

What comes out equals Pillow's `ImageOps.exif_transpose(Image.open(...)).convert("RGB")` to the bit, for JPEG (grey,
colour, CMYK, progressive), PNG (grey, palette, alpha, 1 to 8 bit), GIF, BMP (8 bit palette, 24 and 32 bit) and
WebP, except for these:

- 16-bit PNG keeps the upper 8 bits of each value. Pillow cuts everything above 255 off, which turns it white.
- A transparent pixel of a GIF is black; Pillow shows the palette's colour.
- Alpha is dropped, as Pillow and Keras do: a transparent pixel shows the colour stored under it.

Refused with INVALID_ARGUMENT: cut-off files (a GIF may end behind its first frame), animated WebP (for those without
alpha TensorFlow 2.21's decoder writes beyond its buffer and takes the process with it), BMP of other depths or with
compression, and any other format. A TensorFlow Serving from before WebP entered the DecodeImage op refuses all WebP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from zoo.preprocessing.byte_reading import read_bytes, read_number, spells
from zoo.preprocessing.exif import Block, jpeg_exif, no_exif, orientation, png_exif, upright, webp_exif

# From the file's bytes: uint8 [h, w, 3] as stored, and where its EXIF block is.
_Decoder = Callable[[Any], tuple[Any, Block]]

# Pillow's integers for luma = 0.299 R + 0.587 G + 0.114 B; they sum to 65536, so grey stays what it is.
_LUMA_WEIGHTS = (19595, 38470, 7471)
_BMP_BIT_DEPTHS = (8, 24, 32)
_BMP_PALETTE_SIZE = 256
_BMP_PLAIN, _BMP_BITFIELDS = 0, 3


def decode_upright(encoded: Any) -> Any:
    """Decodes a picture and turns it upright.

    Args:
        encoded: A whole JPEG, PNG, GIF, BMP or WebP file, a scalar string tensor.

    Returns:
        uint8 [h, w, 3], RGB; the first frame of an animated GIF.

    Raises:
        tf.errors.InvalidArgumentError: The bytes are no such picture, or a broken one.
    """
    head = read_bytes(encoded, 0, 12)
    formats: tuple[tuple[Any, _Decoder], ...] = (
        (spells(head[:3], b"\xff\xd8\xff"), _jpeg),
        (spells(head[:8], b"\x89PNG\r\n\x1a\n"), _png),
        (spells(head[:4], b"GIF8"), _gif),
        (spells(head[:2], b"BM"), _bmp),
        (spells(head[:4], b"RIFF") & spells(head[8:], b"WEBP"), _webp),
    )
    matches = tf.stack([is_format for is_format, _ in formats] + [tf.constant(True)])
    branches = [lambda decode=decode: decode(encoded) for _, decode in (*formats, (None, _unknown))]
    pixels, block = tf.switch_case(tf.argmax(tf.cast(matches, tf.int32), output_type=tf.int32), branches)
    return tf.ensure_shape(upright(pixels, orientation(encoded, block)), [None, None, 3])


def luma(pixels: Any) -> Any:
    """Turns colour into grey with the same integers as Pillow's `convert("L")`.

    Args:
        pixels: uint8 [h, w, 3], RGB.

    Returns:
        uint8 [h, w, 1].
    """
    weighted = tf.cast(pixels, tf.int32) * tf.constant(_LUMA_WEIGHTS, tf.int32)
    return tf.cast((tf.reduce_sum(weighted, axis=-1, keepdims=True) + 32768) // 65536, tf.uint8)


def _jpeg(encoded: Any) -> tuple[Any, Block]:
    # INTEGER_ACCURATE is what Pillow uses; the op's own default differs from it by up to 7 of 255 and is no faster.
    pixels = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    return pixels, jpeg_exif(encoded)


def _png(encoded: Any) -> tuple[Any, Block]:
    return tf.io.decode_png(encoded, channels=3), png_exif(encoded)


def _gif(encoded: Any) -> tuple[Any, Block]:
    return _first_frame(encoded, channels=3), no_exif()


def _bmp(encoded: Any) -> tuple[Any, Block]:
    header = read_bytes(encoded, 14, 52)  # from the size of the information header to the end of the colour masks
    header_size, bits = read_number(header[:4], True), read_number(header[14:16], True)
    compression, colours = read_number(header[16:20], True), read_number(header[32:36], True)
    masks_are_bgr = spells(header[40:52], b"\x00\x00\xff\x00\x00\xff\x00\x00\xff\x00\x00\x00")
    is_plain = tf.equal(compression, _BMP_PLAIN) | tf.equal(compression, _BMP_BITFIELDS) & masks_are_bgr
    is_known_depth = tf.reduce_any(tf.equal(bits, tf.constant(_BMP_BIT_DEPTHS, tf.int64)))
    checked = _checked(encoded, (header_size >= 40) & is_plain & is_known_depth,
                       "Unsupported BMP. Expected 8, 24 or 32 bits per pixel without compression. Received bits per "
                       "pixel and compression:", bits, compression)
    pixels = tf.cond(tf.equal(bits, 8), lambda: _bmp_with_palette(checked, 14 + header_size, colours),
                     lambda: tf.io.decode_bmp(checked, channels=3))
    return pixels, no_exif()


def _bmp_with_palette(encoded: Any, position: Any, colours: Any) -> Any:
    """Looks the colours up that TensorFlow's decoder leaves as palette indices."""
    entries = tf.reshape(read_bytes(encoded, position, 4 * _BMP_PALETTE_SIZE), [_BMP_PALETTE_SIZE, 4])
    used = tf.where(tf.equal(colours, 0), tf.constant(_BMP_PALETTE_SIZE, tf.int64), colours)
    is_used = tf.range(_BMP_PALETTE_SIZE, dtype=tf.int64)[:, tf.newaxis] < used
    colours_of_entries = tf.gather(entries, [2, 1, 0], axis=1)  # stored as blue, green, red, unused
    palette = tf.cast(tf.where(is_used, colours_of_entries, 0), tf.uint8)
    return tf.gather(palette, tf.cast(tf.io.decode_bmp(encoded)[:, :, 0], tf.int32))


def _webp(encoded: Any) -> tuple[Any, Block]:
    header = read_bytes(encoded, 12, 9)
    is_animated = spells(header[:4], b"VP8X") & tf.not_equal(tf.bitwise.bitwise_and(header[8], 0x02), 0)
    checked = _checked(encoded, ~is_animated, "Animated WebP is not supported. Expected a still picture.")
    # The decoder gives 3 or 4 channels as the file has them and cannot be asked for 3.
    return _first_frame(checked, channels=0)[:, :, :3], webp_exif(encoded)


def _unknown(encoded: Any) -> tuple[Any, Block]:
    checked = _checked(encoded, tf.constant(False), "Unknown picture format. Expected a JPEG, PNG, GIF, BMP or WebP "
                       "file. Received this many bytes:", tf.strings.length(encoded))
    return tf.zeros([tf.strings.length(checked), 0, 3], tf.uint8), no_exif()


def _first_frame(encoded: Any, channels: int) -> Any:
    pixels = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
    return tf.ensure_shape(pixels, [None, None, channels or None])


def _checked(encoded: Any, condition: Any, *message: Any) -> Any:
    """Returns `encoded` after the check, so that nothing is decoded where it fails."""
    with tf.control_dependencies([tf.debugging.Assert(condition, list(message))]):
        return tf.identity(encoded)
