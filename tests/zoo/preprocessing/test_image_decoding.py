from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.zoo.preprocessing import pictures
from zoo.preprocessing.image_decoding import decode_upright, luma

KINDS = pictures.kinds()


@pytest.fixture(scope="module")
def decode():
    return tf.function(decode_upright, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_decodes_as_pillow_does(decode, kind: str) -> None:
    """Each file gives Pillow's upright RGB pixels, to the bit."""
    np.testing.assert_array_equal(decode(KINDS[kind]).numpy(), pictures.by_pillow(KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_grey_is_pillows_grey(decode, kind: str) -> None:
    """Grey made from colour has the values of Pillow's convert("L")."""
    np.testing.assert_array_equal(luma(decode(KINDS[kind])).numpy(), pictures.by_pillow(KINDS[kind], channels=1))


def test_16_bit_png_keeps_the_upper_byte(decode) -> None:
    """A 16-bit PNG is scaled down to 8 bits, not cut off at 255."""
    values = np.arange(6 * 7, dtype=np.uint16).reshape(6, 7) * 1500
    file = pictures.encoded(Image.fromarray(values), "PNG")
    np.testing.assert_array_equal(decode(file).numpy()[..., 0], values >> 8)


def test_transparent_gif_pixels_are_black(decode) -> None:
    """A transparent pixel of a GIF is black, the others keep their colour."""
    palette = pictures.drawing().quantize(16)
    transparent = np.asarray(palette) == 3
    assert transparent.any()
    pixels = decode(pictures.encoded(palette, "GIF", transparency=3)).numpy()
    assert not pixels[transparent].any()
    np.testing.assert_array_equal(pixels[~transparent], np.asarray(palette.convert("RGB"))[~transparent])


def test_bmp_stored_from_the_top_is_not_upside_down(decode) -> None:
    """A BMP with a negative height has its first row on top."""
    indices = np.arange(4 * 3, dtype=np.uint8).reshape(3, 4)
    upside_down = Image.fromarray(indices[::-1])
    upside_down.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    file = bytearray(pictures.encoded(upside_down, "BMP"))
    file[22:26] = struct.pack("<i", -3)
    expected = np.stack([indices, 255 - indices, np.full_like(indices, 7)], axis=-1)
    np.testing.assert_array_equal(decode(bytes(file)).numpy(), expected)


def test_bmp_with_a_short_palette_reads_no_pixel_as_colour(decode) -> None:
    """An index beyond the palette is black, whatever bytes stand there."""
    file = bytearray(pictures.encoded(pictures.drawing().quantize(16), "BMP"))
    file[46:50] = struct.pack("<I", 2)
    indices = np.asarray(pictures.drawing().quantize(16))
    assert not decode(bytes(file)).numpy()[indices >= 2].any()


def _broken() -> dict[str, tuple[bytes, str]]:
    black_and_white = pictures.encoded(pictures.drawing().convert("1"), "BMP")
    compressed = bytearray(KINDS["bmp palette"])
    compressed[30] = 1
    masked = bytearray(KINDS["bmp 32 bit"])
    masked[30:34], masked[54:66] = struct.pack("<I", 3), struct.pack("<III", 0xFF, 0xFF00, 0xFF0000)
    animated = [pictures.encoded(image, "WEBP", save_all=True, append_images=[image.transpose(0)])
                for image in (pictures.drawing(), Image.open(io.BytesIO(KINDS["png alpha"])))]
    return {
        "nothing": (b"", "Unknown picture format.*Received this many bytes.*0"),
        "a text": (b"hello, world", "Unknown picture format.*12"),
        "a tiff": (pictures.encoded(pictures.drawing(), "TIFF"), "Unknown picture format"),
        "riff audio": (b"RIFF\x24\x00\x00\x00WAVEfmt ", "Unknown picture format"),
        "black and white bmp": (black_and_white, "Unsupported BMP"),
        "compressed bmp": (bytes(compressed), "Unsupported BMP"),
        "bmp with other masks": (bytes(masked), "Unsupported BMP"),
        "animated webp": (animated[0], "Animated WebP"),
        "animated webp with alpha": (animated[1], "Animated WebP"),
    } | {f"{kind} cut at {share}": (file[:int(len(file) * share)], ".") for kind, file in KINDS.items()
         for share in (0.1, 0.5, 0.9) if kind != "gif animated"}


BROKEN = _broken()


@pytest.mark.parametrize("case", BROKEN)
def test_a_bad_file_is_an_invalid_argument(decode, case: str) -> None:
    """What cannot be decoded fails with INVALID_ARGUMENT and says why; it neither crashes nor gives half a picture."""
    file, message = BROKEN[case]
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        decode(file)


def test_a_gif_cut_behind_its_first_frame_shows_it(decode) -> None:
    """Only the first frame of an animation is read, so the others may be missing."""
    file = KINDS["gif animated"]
    np.testing.assert_array_equal(decode(file[:int(len(file) * 0.9)]).numpy(), decode(file).numpy())


def test_bytes_at_random_never_crash(decode) -> None:
    """Flipped bytes give pixels or INVALID_ARGUMENT, nothing else."""
    random = np.random.default_rng(3)
    outcomes = set()
    for file in KINDS.values():
        for _ in range(12):
            damaged = np.frombuffer(file, np.uint8).copy()
            damaged[random.integers(0, min(len(damaged), 80), 3)] = random.integers(0, 256, 3)
            try:
                pixels = decode(damaged.tobytes())
            except tf.errors.InvalidArgumentError:
                outcomes.add("refused")
            else:
                assert pixels.dtype == tf.uint8 and pixels.shape[-1] == 3
                outcomes.add("decoded")
    assert outcomes == {"refused", "decoded"}
