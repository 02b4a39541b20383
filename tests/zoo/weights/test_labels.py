from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo.errors import DownloadError, WeightsError
from zoo.spec import FileRef, WeightsRef
from zoo.weights.labels import load_labels, read_class_index
from zoo.weights.settings import DownloadSettings


def published(path: Path | None, num_classes: int = 3) -> WeightsRef:
    file = FileRef(file_name="index.json", urls=(path.as_uri(),)) if path else None
    return WeightsRef(tag="t", format="keras_h5", licence="MIT", source="x", num_classes=num_classes, labels_file=file)


def test_labels_stand_in_the_order_of_the_indices(tmp_path: Path, settings: DownloadSettings) -> None:
    """The order in the JSON text says nothing, and names that two classes share stay apart."""
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"2": ["n3", "crane"], "0": ["n1", "tench"], "1": ["n2", "crane"]}))
    assert load_labels(published(path), settings) == ("tench", "crane (n2)", "crane (n3)")
    assert load_labels(published(None), settings) == ()
    with pytest.raises(WeightsError, match="has 3 classes, expected 1000"):
        load_labels(published(path, 1000), settings)


def test_an_absent_labels_file_says_where_it_goes(tmp_path: Path, settings: DownloadSettings) -> None:
    """The labels come through the same cache, with the same help."""
    with pytest.raises(DownloadError, match="Put the file at"):
        load_labels(published(tmp_path / "none.json"), settings)


@pytest.mark.parametrize("text", ["[", "[]x", '{"0": ["a"]}', '{"1": ["a", "b"]}', '{"0": 5}'])
def test_other_forms_are_refused(text: str, tmp_path: Path) -> None:
    """A file in another form is named together with the expected one."""
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(WeightsError, match="must read"):
        read_class_index(tmp_path / "a.json")


def test_the_real_index_of_imagenet(shared_data: Path) -> None:
    """The published file gives a thousand different names, the first of them the tench."""
    labels = read_class_index(shared_data / "imagenet" / "class_index.json")
    assert labels[0] == "tench"
    assert len(set(labels)) == 1000
