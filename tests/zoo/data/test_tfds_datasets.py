from __future__ import annotations

import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.zoo.data.sample_files import TINY
from zoo.data.labelled import Split
from zoo.data.named import load_named
from zoo.errors import ArgumentError, DataError, MissingDependencyError, UnknownNameError
from zoo.preprocessing.image import ImageTransform
from zoo.preprocessing.text import TextTransform
from zoo.spec import TextPreprocessing


def _pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (9, 7, 3), np.uint8)


class _Prepared(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
    """Writes a dataset of 30 training and 8 test examples as any TFDS builder does."""

    VERSION = tfds.core.Version("1.0.0")

    def _split_generators(self, manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples(0, 30), "test": self._generate_examples(100, 8)}


class ZooPictures(_Prepared):
    def _info(self) -> Any:
        features = {"image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(names=["odd", "even"])}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features),
                                     supervised_keys=("image", "label"))

    def _generate_examples(self, first: int, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in range(first, first + count):
            repeated = number if number != 29 else 27  # one duplicate
            yield number, {"image": _pixels(repeated), "label": (repeated + 1) % 2}


class ZooSentences(_Prepared):
    def _info(self) -> Any:
        features = {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=["no", "yes"])}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _generate_examples(self, first: int, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in range(first, first + count):
            yield number, {"text": f"sentence number{number}", "label": number % 2}


class ZooNumbers(_Prepared):
    def _info(self) -> Any:
        features = {"x": tfds.features.Tensor(shape=(2,), dtype=np.float32), "y": tfds.features.Scalar(np.float32)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features),
                                     supervised_keys=("x", "y"))

    def _generate_examples(self, first: int, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in range(first, first + count):
            yield number, {"x": np.zeros(2, np.float32), "y": 0.0}


class ZooAway(ZooSentences):
    def _split_generators(self, manager: Any) -> dict[str, Any]:
        # TFDS's own manager would try again for minutes.
        with urllib.request.urlopen("http://127.0.0.1:9/sentences.txt") as answer:
            return {"train": self._generate_examples(0, answer.status)}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tfds")
    for builder in (ZooPictures, ZooSentences, ZooNumbers):
        builder(data_dir=str(folder)).download_and_prepare()
    return folder


def _whole(split: Split | None) -> tuple[np.ndarray, np.ndarray]:
    assert split is not None
    batches = [(inputs.numpy(), targets.numpy()) for inputs, targets in split.batches(4, shuffle_seed=3)]
    return np.concatenate([inputs for inputs, _ in batches]), np.concatenate([targets for _, targets in batches])


def test_pictures_come_from_the_prepared_files(data_dir: Path) -> None:
    """The given test part is whole, validation is cut out of train, and pixels go through our transform."""
    data = load_named("tfds:zoo_pictures", TINY, data_dir=data_dir)
    assert data.labels == ("odd", "even")
    assert data.report.counts == {"duplicate": 1}
    assert data.validation is not None and (data.train.count, data.validation.count) == (25, 4)
    inputs, targets = _whole(data.test)
    expected = {number: ImageTransform(TINY).from_pixels(_pixels(number)).numpy() for number in range(100, 108)}
    for picture, target in zip(inputs, targets, strict=True):
        number = next(n for n, pixels in expected.items() if np.array_equal(pixels, picture))
        assert target == (number + 1) % 2
    assert data.train.examples()[0].startswith("zoo_pictures-train.tfrecord-00000-of-00001@")
    assert data.train.batches(4).element_spec[0].shape.as_list() == [None, 8, 8, 3]


def test_sentences_get_a_vocabulary_of_the_training_part(data_dir: Path) -> None:
    """Texts of TFDS become word ids as those of files do."""
    data = load_named("tfds:zoo_sentences", data_dir=data_dir, validation_fraction=0.0)
    assert isinstance(data.preprocessing, TextPreprocessing)
    assert (data.labels, len(data.preprocessing.vocabulary), data.validation) == (("no", "yes"), 31, None)
    inputs, _ = _whole(data.test)
    expected = TextTransform(data.preprocessing).batch(["sentence number100"]).numpy()
    np.testing.assert_array_equal(inputs, np.repeat(expected, 8, axis=0))
    assert expected[0, :3].tolist() == [2, 1, 0]


def test_same_name_and_seed_give_the_same_fingerprint(data_dir: Path) -> None:
    """Loading twice is loading the same."""
    first, second, other = (load_named("tfds:zoo_sentences", data_dir=data_dir, seed=seed).fingerprint
                            for seed in (0, 0, 1))
    assert first == second != other


def test_what_is_no_classification_is_refused(data_dir: Path) -> None:
    """A dataset of other features is named with what it maps."""
    with pytest.raises(DataError, match=r"tfds:zoo_numbers maps x \(Tensor\) to y \(Scalar\), expected a picture or"):
        load_named("tfds:zoo_numbers", data_dir=data_dir)
    with pytest.raises(ArgumentError, match="tfds:zoo_sentences has text inputs and needs"):
        load_named("tfds:zoo_sentences", TINY, data_dir=data_dir)


def test_unknown_and_unreachable_datasets_are_one_clear_line(data_dir: Path) -> None:
    """A typing error gets the nearest name; a server that does not answer is told with the way out."""
    with pytest.raises(UnknownNameError, match=r"Unknown TFDS dataset 'minst'. Did you mean .*'mnist'"):
        load_named("tfds:minst", TINY, data_dir=data_dir)
    with pytest.raises(DataError, match=r"The dataset tfds:zoo_away could not be fetched: .* `data_dir`") as caught:
        load_named("tfds:zoo_away", data_dir=data_dir)
    assert "\n" not in str(caught.value)


def test_without_tfds_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without the package learns what to install."""
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # an import of it fails as if it were not there
    with pytest.raises(MissingDependencyError, match=r"pip install 'servable-zoo\[datasets\]'"):
        load_named("tfds:mnist", TINY)
