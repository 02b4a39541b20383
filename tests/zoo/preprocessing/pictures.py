"""Encoded pictures of every kind that is read, made by Pillow from one small drawing."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps

HEIGHT, WIDTH = 24, 34
ORIENTATION_TAG = 0x0112


def drawing(height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    """A coloured drawing without any symmetry."""
    rows, columns = np.mgrid[0:height, 0:width]
    red = (rows * 255) // max(height - 1, 1)
    green = (columns * 255) // max(width - 1, 1)
    blue = (rows * 37 + columns * 11 + (rows // 5) * (columns // 7) * 40) % 256
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    """The picture as the bytes of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def exif_block(orientation: int, big_endian: bool = False) -> bytes:
    """An EXIF block with some other entries around the orientation."""
    exif = Image.Exif()
    exif.endian = ">" if big_endian else "<"
    exif[0x010F] = "a camera maker"
    exif[ORIENTATION_TAG] = orientation
    exif[0x0131] = "a program"
    return exif.tobytes()


def kinds() -> dict[str, bytes]:
    """One file of each kind, by a readable name."""
    colour = drawing()
    grey = colour.convert("L")
    palette = colour.quantize(16)
    alpha = Image.fromarray(np.linspace(0, 255, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8))
    rgba, grey_alpha = colour.copy(), grey.copy()
    rgba.putalpha(alpha)
    grey_alpha.putalpha(alpha)
    return {
        "jpeg": encoded(colour, "JPEG", quality=90), "jpeg grey": encoded(grey, "JPEG"),
        "jpeg progressive": encoded(colour, "JPEG", progressive=True),
        "jpeg cmyk": encoded(colour.convert("CMYK"), "JPEG"),
        "jpeg turned": encoded(colour, "JPEG", exif=exif_block(6)),
        "jpeg mirrored": encoded(colour, "JPEG", exif=exif_block(7, big_endian=True)),
        "png": encoded(colour, "PNG"), "png grey": encoded(grey, "PNG"),
        "png grey alpha": encoded(grey_alpha, "PNG"), "png alpha": encoded(rgba, "PNG"),
        "png palette": encoded(palette, "PNG"), "png palette transparent": encoded(palette, "PNG", transparency=3),
        "png black and white": encoded(colour.convert("1"), "PNG"),
        "gif": encoded(palette, "GIF"),
        "gif animated": encoded(palette, "GIF", save_all=True, append_images=[palette.transpose(1)]),
        "bmp": encoded(colour, "BMP"), "bmp grey": encoded(grey, "BMP"), "bmp palette": encoded(palette, "BMP"),
        "bmp 32 bit": encoded(rgba, "BMP"),
        "webp lossless": encoded(colour, "WEBP", lossless=True), "webp lossy": encoded(colour, "WEBP", quality=80),
        "webp alpha": encoded(rgba, "WEBP", lossless=True, exact=True),
        "jpeg one pixel": encoded(drawing(1, 1), "JPEG"), "png one row": encoded(drawing(1, 40), "PNG"),
        "png one column": encoded(drawing(40, 1), "PNG"),
    }


def by_pillow(file: bytes, channels: int = 3) -> np.ndarray:
    """What Pillow makes of a file: upright uint8 [h, w, channels]."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    pixels = np.asarray(picture.convert("RGB"))
    return pixels if channels == 3 else np.asarray(Image.fromarray(pixels).convert("L"))[..., np.newaxis]
