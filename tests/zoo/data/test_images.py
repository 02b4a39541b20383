from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.zoo.data.sample_files import TINY, class_folders, lines, picture
from zoo.data.images import load_images, picture_reader, undecodable
from zoo.data.labelled import LabelledData
from zoo.errors import ArgumentError, DataError
from zoo.preprocessing.image import ImageTransform
from zoo.spec import TextPreprocessing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of ten pictures in all formats and modes, one of them under a wrong ending."""
    root = class_folders(tmp_path_factory.mktemp("pictures"), {"cat": 6, "dog": 10})
    picture(root / "cat" / "rgba.png", 101, mode="RGBA")
    picture(root / "cat" / "grey.jpg", 102, mode="L", format="JPEG")
    picture(root / "cat" / "cmyk.jpg", 103, mode="CMYK", format="JPEG")
    picture(root / "cat" / "really_a_png.jpg", 104)
    for number, format in enumerate(("GIF", "BMP", "WEBP")):
        picture(root / "dog" / f"picture.{format.lower()}", 110 + number, format=format)
    return root


@pytest.fixture(scope="module")
def data(folder: Path) -> LabelledData:
    return load_images(folder, TINY)


def _all_names(data: LabelledData) -> dict[str, list[str]]:
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return {part: [Path(name).name for name in split.examples()] for part, split in parts.items() if split}


def test_every_format_is_used_and_split_by_class(data: LabelledData) -> None:
    """JPEG, PNG, GIF, BMP and WebP count by content; each class is in each part."""
    assert (data.labels, data.target_kind) == (("cat", "dog"), "index")
    assert (data.report.used, data.report.excluded) == (23, ())
    counts = {part: np.bincount(split.targets()).tolist()
              for part, split in (("train", data.train), ("validation", data.validation), ("test", data.test)) if split}
    assert counts == {"train": [6, 9], "validation": [2, 2], "test": [2, 2]}
    assert data.class_weights == {0: 15 / 12, 1: 15 / 18}


def test_batches_are_what_the_transform_makes_of_the_files(data: LabelledData) -> None:
    """Inputs equal the transform of the export to the bit, in the order of `examples()`, with the class as target."""
    transform = ImageTransform(TINY)
    inputs = np.concatenate([batch.numpy() for batch, _ in data.train.batches(4)])
    targets = np.concatenate([batch.numpy() for _, batch in data.train.batches(4)])
    expected = [transform.from_bytes(Path(name).read_bytes()).numpy() for name in data.train.examples()]
    assert inputs.dtype == np.float32 and targets.dtype == np.int32
    np.testing.assert_array_equal(inputs, np.stack(expected))
    assert [data.labels[t] for t in targets] == [Path(name).parent.name for name in data.train.examples()]


def test_shape_is_static(data: LabelledData) -> None:
    """Keras sees the full shape of the pictures before the first batch."""
    inputs, targets = data.train.batches(4, shuffle_seed=1).element_spec
    assert (inputs.shape.as_list(), targets.shape.as_list()) == ([None, 8, 8, 3], [None])


def test_same_files_and_seed_give_the_same_split_anywhere(folder: Path, data: LabelledData, tmp_path: Path) -> None:
    """A copy of the folder under other file names and times is split alike and has the same fingerprint."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file():
            target = tmp_path / path.parent.name / f"copy_{path.name}"
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)
    copy = load_images(tmp_path, TINY)
    assert copy.fingerprint == data.fingerprint
    assert {part: sorted(names) for part, names in _all_names(copy).items()} == {
        part: sorted(f"copy_{name}" for name in names) for part, names in _all_names(data).items()}
    assert load_images(folder, TINY, seed=1).fingerprint != data.fingerprint


def test_broken_hidden_foreign_and_repeated_files_are_reported(tmp_path: Path) -> None:
    """Whatever is not used is listed by path and reason, and the rest is used."""
    root = class_folders(tmp_path, {"cat": 5, "dog": 5})
    whole = picture(root / "cat" / "whole.jpg", 50, size=(64, 64), format="JPEG").read_bytes()
    (root / "cat" / "whole.jpg").write_bytes(whole[:len(whole) // 2])
    lines(root / "cat" / "notes.jpg", ["not a picture"])
    (root / "cat" / "nothing.png").touch()
    lines(root / "dog" / ".DS_Store", ["x"])
    lines(root / "readme.txt", ["x"])
    shutil.copy(root / "cat" / "000.png", root / "cat" / "again.png")
    shutil.copy(root / "cat" / "001.png", root / "dog" / "odd.png")
    report = load_images(root, TINY).report
    assert [(e.source, e.reason) for e in report.excluded] == [
        ("cat/notes.jpg", "not an image"), ("cat/nothing.png", "empty"), ("cat/whole.jpg", "unreadable"),
        ("dog/.DS_Store", "hidden"), ("readme.txt", "not in a class folder"), ("cat/001.png", "conflicting labels"),
        ("cat/again.png", "duplicate"), ("dog/odd.png", "conflicting labels")]
    assert (report.checked, report.used) == (17, 9)
    assert report.checked == report.used + len(report.excluded)
    broken = next(e for e in report.excluded if e.source == "cat/whole.jpg")
    assert broken.detail and "\n" not in broken.detail and "{{" not in broken.detail
    assert load_images(root, TINY, keep_duplicates=True).report.used == 12


def test_a_given_split_is_kept(tmp_path: Path) -> None:
    """Folders train, val and test decide the parts."""
    for number, part in enumerate(("train", "val", "test")):
        class_folders(tmp_path / part, {"a": 3, "b": 2}, first_seed=10 * number)
    data = load_images(tmp_path, TINY)
    for part, split in (("train", data.train), ("val", data.validation), ("test", data.test)):
        assert split is not None and split.count == 5
        assert {Path(name).parent.parent.name for name in split.examples()} == {part}


def test_real_photographs_are_used_whole(shared_data: Path, tmp_path: Path) -> None:
    """Ordinary photographs pass the check and give normalised pictures."""
    for number, path in enumerate(sorted((shared_data / "imagenet" / "images").iterdir())[:8]):
        (tmp_path / str(number % 2)).mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / str(number % 2))
    data = load_images(tmp_path, TINY)
    assert (data.report.used, data.report.excluded) == (8, ())
    inputs, _ = next(iter(data.train.batches(4)))
    assert 0.0 <= float(tf.reduce_min(inputs)) < 0.4 < float(tf.reduce_max(inputs)) <= 1.0


def test_pictures_turned_by_exif_are_upright(tmp_path: Path) -> None:
    """A picture whose EXIF says that it lies on its side is trained upright, as it is served."""
    root = class_folders(tmp_path, {"a": 1, "b": 1})
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, :8] = 255  # bright on the left; EXIF 6 turns that to the top
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(root / "a" / "turned.jpg", exif=exif, quality=95)
    data = load_images(root, TINY, validation_fraction=0.0, test_fraction=0.0)
    place = [Path(name).name for name in data.train.examples()].index("turned.jpg")
    upright = next(iter(data.train.batches(3)))[0][place].numpy()
    assert upright[:3].min() > 0.9 and upright[5:].max() < 0.1


@pytest.mark.parametrize(("counts", "message"), [
    ({"cat": 4}, "has only the class 'cat', expected at least two"),
    ({"cat": 4, "dog": 2}, "The class 'dog' in .* has 2 usable examples, expected at least 3"),
    ({"cat": 0, "dog": 1}, "The class 'cat' in .* has 0 usable examples, expected at least 1"),
])
def test_unusable_folders_are_one_clear_line(tmp_path: Path, counts: dict[str, int], message: str) -> None:
    """Missing classes and examples are told in one line."""
    with pytest.raises(DataError, match=message) as caught:
        load_images(class_folders(tmp_path, counts), TINY)
    assert "\n" not in str(caught.value)


def test_no_readable_picture_names_the_first_problem(tmp_path: Path) -> None:
    """A folder of nothing but foreign files says what the first of them is."""
    lines(tmp_path / "a" / "1.jpg", ["x"])
    lines(tmp_path / "b" / "1.jpg", ["y"])
    with pytest.raises(DataError, match=r"Looked at 2; the first: a/1.jpg: not an image, expected JPEG, PNG"):
        load_images(tmp_path, TINY)


def test_a_preprocessing_for_texts_is_refused(tmp_path: Path) -> None:
    """Pictures need a preprocessing for pictures."""
    with pytest.raises(ArgumentError, match=r"must be an ImagePreprocessing. Received: TextPreprocessing"):
        load_images(tmp_path, TextPreprocessing(max_length=3))  # type: ignore[arg-type]


def test_undecodable_finds_exactly_the_broken_files(tmp_path: Path) -> None:
    """The parallel check tells which of many files fails, and nothing else."""
    paths = [str(picture(tmp_path / f"{i}.png", i)) for i in range(20)]
    for index in (3, 17):
        Path(paths[index]).write_bytes(Path(paths[index]).read_bytes()[:60])
    assert sorted(undecodable(picture_reader(ImageTransform(TINY)), paths)) == [3, 17]
    assert undecodable(picture_reader(ImageTransform(TINY)), []) == {}


def test_pictures_too_many_to_keep_are_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder over the memory limit streams from its files and gives the same batches as one that is kept."""
    folder = tmp_path / "pictures"
    for index in range(24):
        (folder / str(index % 2)).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (9, 7, 3), np.uint8)
        Image.fromarray(pixels).save(folder / str(index % 2) / f"{index}.png")
    kept = load_images(folder, TINY)
    monkeypatch.setattr("zoo.data.images.KEPT_BYTES", 0)
    streamed = load_images(folder, TINY)
    assert kept.fingerprint == streamed.fingerprint
    for (a, b), (c, d) in zip(kept.train.batches(5, shuffle_seed=3), streamed.train.batches(5, shuffle_seed=3),
                              strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    (folder / "0" / "0.png").unlink()
    (folder / "1" / "1.png").unlink()
    assert len(list(kept.train.batches(100))) == 1  # nothing is read any more
