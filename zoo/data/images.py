"""A folder of pictures in class folders as labelled data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data.cleaning import Exclusion
from zoo.data.fingerprints import file_digests
from zoo.data.folders import ClassFiles, read_class_folders
from zoo.data.labelled import Examples, LabelledData, Lazy
from zoo.data.planning import Found, plan_split
from zoo.data.splitting import SplitFractions, check_class_sizes
from zoo.errors import ArgumentError
from zoo.preprocessing.image import ImageTransform
from zoo.spec import ImagePreprocessing

KEPT_BYTES = 256 * 2**20  # decoded pictures of up to so many bytes in all are kept in memory
_ABOUT_THE_GRAPH = ("Graph execution error", "Detected at node", "<stack traces", "File ", "[[")
_FIRST_BYTES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"BM": "BMP"}


def load_images(folder: str | Path, preprocessing: ImagePreprocessing, *, validation_fraction: float = 0.15,
                test_fraction: float = 0.15, seed: int = 0, keep_duplicates: bool = False,
                labels: Sequence[str] | None = None) -> LabelledData:
    """Checks and splits a folder of pictures; a large one is read and decoded as training goes on.

    The content decides what a file is, not its name. Every file is decoded once here with the transform that
    training and the export use, and what cannot be decoded is left out and reported. Memory holds the paths and
    some dozen bytes per picture, never the pictures.

    Args:
        folder: Holds `<class>/<picture>`; or `train/<class>/<picture>` and the same for validation (val) and test,
            and then this split is kept, and only a part without a folder is cut out of train.
        preprocessing: How a picture becomes float32 [height, width, channels].
        validation_fraction: Fraction of each class in [0, 1) to choose by; 0 for no validation part.
        test_fraction: Fraction of each class in [0, 1) to judge by; 0 for no test part.
        seed: Chooses the examples of the parts; see `zoo.data.splitting` for what the split depends on.
        keep_duplicates: Uses pictures of equal content nevertheless. By default the first path of each is used, and
            none of those that lie in folders of different classes.
        labels: Names of the class folders to use, in the order of the class index; None for all.

    Returns:
        Inputs float32 [B, height, width, channels], targets int32 [B].

    Raises:
        ArgumentError: A fraction out of range, or `preprocessing` not for images.
        DataError: The folder is missing or empty, holds no class folders or only one, no readable picture, or too
            few of a class.
    """
    if not isinstance(preprocessing, ImagePreprocessing):
        raise ArgumentError(f"`preprocessing` must be an ImagePreprocessing. Received: {type(preprocessing).__name__}")
    fractions = SplitFractions(validation=validation_fraction, test=test_fraction, seed=seed)
    files = read_class_folders(folder, labels)
    check_class_sizes(np.array(files.classes, np.int64), files.labels, 1, str(files.folder))  # before all is decoded
    read = picture_reader(ImageTransform(preprocessing))
    found, pictures = _readable(files, read, _room_for(len(files.paths), preprocessing))
    plan = plan_split(found, fractions, keep_duplicates=keep_duplicates)
    return plan.labelled(_picture_examples(files.folder, found, read, pictures), preprocessing)


def _room_for(count: int, preprocessing: ImagePreprocessing) -> np.ndarray | None:
    """Returns memory for all decoded pictures where it is little, or None."""
    shape = (count, preprocessing.height, preprocessing.width, preprocessing.channels)
    return np.empty(shape, np.float32) if int(np.prod(shape)) * 4 <= KEPT_BYTES else None


def picture_reader(transform: ImageTransform) -> Any:
    """Returns the graph, traced once, from a path (string) to the model's input, float32 [height, width, channels]."""
    def read(path: Any) -> Any:
        return transform.from_bytes(tf.io.read_file(path))

    return tf.function(read, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def _picture_examples(folder: Path, found: Found, read: Any, pictures: np.ndarray | None) -> Examples:
    with tf.device("CPU"):
        held = tf.constant([str(folder / name) for name in found.names], tf.string) if pictures is None \
            else tf.constant(pictures)

    def load(index: Any) -> Any:
        chosen = tf.gather(held, index)
        return read(chosen) if pictures is None else chosen

    names = found.names
    return Examples(load=load, batched=pictures is not None, targets=found.targets,
                    names=Lazy(len(names), lambda index: str(folder / names[index])))


def _readable(files: ClassFiles, read: Any, room: np.ndarray | None) -> tuple[Found, np.ndarray | None]:
    """Digests and decodes all files, and returns those that are pictures; decoded, where there is room."""
    paths = [files.folder / path for path in files.paths]
    digests, unreadable = file_digests(paths)
    problems = {index: Exclusion(files.paths[index], "unreadable", reason) for index, reason in unreadable.items()}
    for index, path in enumerate(paths):
        if index not in problems and (problem := _not_a_picture(path, files.paths[index])):
            problems[index] = problem
    pictures = np.array([index for index in range(len(paths)) if index not in problems], np.int64)
    kept = room[:len(pictures)] if room is not None else None
    broken = undecodable(read, [str(paths[index]) for index in pictures], kept)
    for place, reason in broken.items():
        index = int(pictures[place])
        problems[index] = Exclusion(files.paths[index], "unreadable", reason)
    good = np.array([index not in problems for index in pictures], bool)
    keep = pictures[good]
    found = Found(
        where=str(files.folder),
        names=[files.paths[index] for index in keep],
        digests=digests[keep],
        targets=np.array(files.classes, np.int32)[keep],
        labels=files.labels,
        given=np.array(files.parts, np.int8)[keep],
        checked=len(paths) + len(files.excluded),
        excluded=tuple(sorted([*files.excluded, *problems.values()], key=lambda exclusion: exclusion.source)),
    )
    return found, kept if kept is None or good.all() else kept[good]


def _not_a_picture(path: Path, name: str) -> Exclusion | None:
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        return Exclusion(name, "empty", "0 bytes")
    if any(head.startswith(magic) for magic in _FIRST_BYTES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return None
    return Exclusion(name, "not an image", "expected JPEG, PNG, GIF, BMP or WebP")


def undecodable(read: Any, paths: Sequence[str], kept: np.ndarray | None = None) -> dict[int, str]:
    """Decodes every file as training will, several at a time, and returns index and reason of those that fail.

    Args:
        read: What `picture_reader` returned.
        paths: The files.
        kept: Where to put the pictures, float32 [number of paths, height, width, channels]; None drops them.
    """
    def probe(index: Any, path: Any) -> tuple[Any, Any]:
        # The mean is returned so that the picture is decoded: what nobody needs, the graph leaves out.
        return index, tf.reduce_mean(read(path)) if kept is None else read(path)

    if not paths:
        return {}
    decoded = np.zeros(len(paths), bool)
    stream = tf.data.Dataset.from_tensor_slices((np.arange(len(paths)), list(paths)))
    stream = stream.map(probe, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False).ignore_errors()
    for index, picture in stream.as_numpy_iterator():
        decoded[index] = True
        if kept is not None:
            kept[index] = picture
    return {int(index): _why(read, paths[int(index)]) for index in np.flatnonzero(~decoded)}


def _why(read: Any, path: str) -> str:
    try:
        read(tf.constant(path))
    except (tf.errors.OpError, ValueError) as error:
        return plain_message(error)
    return "could not be decoded at the first attempt"


def plain_message(error: Exception) -> str:
    """Returns the line of a TensorFlow error that says what was wrong, without the names of its internal functions."""
    text = error.message if isinstance(error, tf.errors.OpError) else str(error)
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(text).strip())
    lines = [line.strip() for line in text.splitlines()]
    telling = [line for line in lines if line and not line.startswith(_ABOUT_THE_GRAPH)]
    return telling[0][:200] if telling else type(error).__name__
