from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.zoo.preprocessing import pictures
from zoo.preprocessing.exif import jpeg_exif, orientation, png_exif, upright, webp_exif
from zoo.preprocessing.image_decoding import decode_upright

FINDERS = {"JPEG": jpeg_exif, "PNG": png_exif, "WEBP": webp_exif}
TAG = pictures.ORIENTATION_TAG


@pytest.fixture(scope="module")
def orientation_of() -> Callable[[bytes, str], int]:
    signature = [tf.TensorSpec([], tf.string)]
    graphs = {form: tf.function(lambda file, find=find: orientation(file, find(file)), signature, autograph=False)
              for form, find in FINDERS.items()}
    return lambda file, form="JPEG": int(graphs[form](file))


def entry(order: str, tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")


def block(*entries: bytes, order: str = "<", count: int | None = None, offset: int = 8, magic: int = 42) -> bytes:
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", magic, offset)
    number = len(entries) if count is None else count
    return head + b"\0" * (offset - 8 if offset < 100 else 0) + struct.pack(order + "H", number) + b"".join(entries)


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def jpeg(*segments: bytes) -> bytes:
    """The beginning of a JPEG file, with the segments between its start and its tables."""
    return b"\xff\xd8" + b"".join(segments) + segment(0xDB, b"\0" * 65)


def exif(content: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + content)


TURNED = block(entry("<", TAG, 3, 1, b"\x06\0"))


@pytest.mark.parametrize("form", FINDERS)
@pytest.mark.parametrize("big_endian", [False, True])
def test_all_orientations_come_out_as_pillow_turns_them(form: str, big_endian: bool) -> None:
    """The eight orientations of JPEG, PNG and WebP give the pixels of Pillow's exif_transpose."""
    decode = tf.function(decode_upright, [tf.TensorSpec([], tf.string)], autograph=False)
    for turn in range(1, 9):
        options = {"lossless": True} if form == "WEBP" else {}
        file = pictures.encoded(pictures.drawing(), form, exif=pictures.exif_block(turn, big_endian), **options)
        assert Image.open(io.BytesIO(file)).getexif()[TAG] == turn
        np.testing.assert_array_equal(decode(file).numpy(), pictures.by_pillow(file), err_msg=str(turn))


@pytest.mark.parametrize("form", FINDERS)
def test_a_picture_without_exif_is_upright(orientation_of, form: str) -> None:
    """No EXIF block means orientation 1."""
    assert orientation_of(pictures.encoded(pictures.drawing(), form), form) == 1


@pytest.mark.parametrize("case", {
    "at once": jpeg(exif(TURNED)),
    "behind JFIF": jpeg(segment(0xE0, b"JFIF\0" + b"\0" * 9), exif(TURNED)),
    "behind a comment": jpeg(segment(0xFE, b"words"), exif(TURNED)),
    "behind a large profile": jpeg(segment(0xE2, b"\0" * 65000), exif(TURNED)),
    "behind XMP": jpeg(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"), exif(TURNED)),
    "behind fill bytes": jpeg(b"\xff" * 5 + exif(TURNED)),
    "big endian": jpeg(exif(block(entry(">", TAG, 3, 1, b"\0\x06"), order=">"))),
    "as a long": jpeg(exif(block(entry("<", TAG, 4, 1, b"\x06\0\0\0")))),
    "as a big-endian long": jpeg(exif(block(entry(">", TAG, 4, 1, b"\0\0\0\x06"), order=">"))),
    "as a byte": jpeg(exif(block(entry("<", TAG, 1, 1, b"\x06")))),
    "as the last of many": jpeg(exif(block(*[entry("<", tag, 3, 1, b"\1") for tag in range(2000, 2300)],
                                           entry("<", TAG, 3, 1, b"\x06")))),
    "with the directory further back": jpeg(exif(block(entry("<", TAG, 3, 1, b"\x06\0"), offset=40))),
    "with more entries promised than there are": jpeg(exif(block(entry("<", TAG, 3, 1, b"\x06\0"), count=60000))),
}.items(), ids=lambda item: item[0])
def test_the_orientation_is_found(orientation_of, case: tuple[str, bytes]) -> None:
    """Wherever the standard allows the tag, and of whatever integer type, it is read."""
    assert orientation_of(case[1]) == 6


@pytest.mark.parametrize("case", {
    "nothing": b"",
    "only the start": b"\xff\xd8",
    "behind the tables": jpeg()[:-67] + segment(0xDB, b"\0" * 65) + exif(TURNED),
    "a segment of length 0": b"\xff\xd8\xff\xe0\0\0" + exif(TURNED),
    "a segment of length 1": b"\xff\xd8\xff\xe0\0\1" + exif(TURNED),
    "a segment beyond the end": b"\xff\xd8\xff\xe0\xff\xff" + exif(TURNED),
    "an empty block": jpeg(exif(b"")),
    "an unknown byte order": jpeg(exif(b"XX" + TURNED[2:])),
    "another magic number": jpeg(exif(block(entry("<", TAG, 3, 1, b"\x06\0"), magic=43))),
    "a directory beyond the end": jpeg(exif(block(entry("<", TAG, 3, 1, b"\x06\0"), offset=2**32 - 1))),
    "no entries": jpeg(exif(block(count=0))),
    "an orientation of 0": jpeg(exif(block(entry("<", TAG, 3, 1, b"\0\0")))),
    "an orientation of 9": jpeg(exif(block(entry("<", TAG, 3, 1, b"\x09\0")))),
    "an orientation of 65535": jpeg(exif(block(entry("<", TAG, 3, 1, b"\xff\xff")))),
    "a text for an orientation": jpeg(exif(block(entry("<", TAG, 2, 1, b"6\0")))),
    "several orientations": jpeg(exif(block(entry("<", TAG, 3, 2, b"\x06\0\x06\0")))),
    "a thousand comments": jpeg(segment(0xFE, b"") * 1000, exif(TURNED)),
    "a thousand fill bytes": jpeg(b"\xff" * 1000 + exif(TURNED)),
}.items(), ids=lambda item: item[0])
def test_a_hostile_header_counts_as_upright(orientation_of, case: tuple[str, bytes]) -> None:
    """What is missing, contradictory or endless is orientation 1, without an error."""
    assert orientation_of(case[1]) == 1


def test_a_header_cut_anywhere_is_harmless(orientation_of) -> None:
    """However short the file is, the answer is upright or, once the entry is complete, the orientation."""
    file = jpeg(segment(0xE0, b"JFIF\0" + b"\0" * 9), exif(TURNED))
    complete = file.index(TURNED) + len(TURNED)
    answers = [orientation_of(file[:length]) for length in range(len(file) + 1)]
    assert answers == [1] * complete + [6] * (len(file) + 1 - complete)


@pytest.mark.parametrize("form", FINDERS)
def test_random_bytes_in_the_header_are_harmless(orientation_of, form: str) -> None:
    """Any damage gives an orientation from 1 to 8."""
    random = np.random.default_rng(5)
    original = np.frombuffer(pictures.encoded(pictures.drawing(), form, exif=pictures.exif_block(6)), np.uint8)
    answers = set()
    for _ in range(150):
        damaged = original.copy()
        damaged[random.integers(0, min(len(damaged), 150), 4)] = random.integers(0, 256, 4)
        answers.add(orientation_of(damaged.tobytes(), form))
    assert answers <= set(range(1, 9)) and 6 in answers


def test_a_webp_exif_chunk_may_keep_the_prefix_of_jpeg(orientation_of) -> None:
    """"Exif" in front of the block of a WebP is skipped."""
    block_bytes = b"Exif\0\0" + TURNED
    chunks = (b"VP8X" + struct.pack("<I", 10) + b"\x08" + b"\0" * 9 + b"ICCP" + struct.pack("<I", 3) + b"abc\0"
              + b"EXIF" + struct.pack("<I", len(block_bytes)) + block_bytes)
    file = b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks
    assert orientation_of(file, "WEBP") == 6
    assert orientation_of(file.replace(b"\x08" + b"\0" * 9, b"\0" * 10), "WEBP") == 1


@pytest.mark.parametrize("turn", [0, 1, 9])
def test_other_orientations_leave_the_pixels(turn: int) -> None:
    """Outside 2..8 nothing is turned."""
    pixels = np.arange(12).reshape(2, 2, 3)
    np.testing.assert_array_equal(upright(tf.constant(pixels), tf.constant(turn, tf.int64)).numpy(), pixels)
