from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zoo.data.keras_datasets import KERAS_DATASETS, as_inputs, fitting_preprocessing, load_keras_dataset
from zoo.data.splitting import SplitFractions
from zoo.errors import ArgumentError, UnknownNameError
from zoo.spec import ImagePreprocessing, TabularPreprocessing, TensorPreprocessing, TextPreprocessing

_PROGRAM = """
import json
from zoo.data import load_named
from zoo.errors import DataError
from zoo.spec import ImagePreprocessing

grey = ImagePreprocessing(height=28, width=28, channels=1, scale=1 / 255)
data = load_named("keras:fashion_mnist", grey)
inputs, targets = next(iter(data.test.batches(40)))
try:
    load_named("keras:mnist", grey)
    error = ""
except DataError as failure:
    error = str(failure)
print("RESULT" + json.dumps({
    "labels": data.labels, "counts": [data.train.count, data.validation.count, data.test.count],
    "targets": targets.numpy().tolist(), "means": inputs.numpy().mean(axis=(1, 2, 3)).tolist(),
    "shape": list(inputs.shape), "excluded": data.report.counts, "error": error}))
"""


def _idx_files(folder: Path) -> None:
    """Writes Fashion-MNIST's four files: 60 and 40 plain pictures, picture i of brightness i and class i % 10."""
    folder.mkdir(parents=True)
    for part, first, count in (("train", 100, 60), ("t10k", 0, 40)):
        pixels = np.repeat(np.arange(first, first + count, dtype=np.uint8), 28 * 28)
        labels = np.arange(count, dtype=np.uint8) % 10
        for name, header, values in ((f"{part}-images-idx3-ubyte", struct.pack(">4i", 2051, count, 28, 28), pixels),
                                     (f"{part}-labels-idx1-ubyte", struct.pack(">2i", 2049, count), labels)):
            (folder / f"{name}.gz").write_bytes(gzip.compress(header + values.tobytes()))


def test_keras_loads_cached_files_and_fails_in_one_line_without_network(tmp_path: Path) -> None:
    """A cached dataset comes with its own test part and class names; one that cannot be fetched says what to do."""
    _idx_files(tmp_path / "datasets" / "fashion-mnist")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    run = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=300,
                         env={**os.environ, **nowhere, "KERAS_HOME": str(tmp_path)})
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout.partition("RESULT")[2])
    assert result["labels"] == list(KERAS_DATASETS["fashion_mnist"].labels)
    assert (result["counts"], result["shape"], result["excluded"]) == ([50, 10, 40], [40, 28, 28, 1], {})
    assert result["targets"] == [i % 10 for i in range(40)]
    np.testing.assert_allclose(result["means"], np.arange(40) / 255, rtol=1e-5)
    assert result["error"].startswith("The dataset keras:mnist could not be fetched: ")
    assert "KERAS_HOME" in result["error"] and "\n" not in result["error"]


def test_numbers_of_words_become_texts_again() -> None:
    """IMDB and Reuters come as texts, so that the same words are seen in training and in serving."""
    texts = as_inputs(KERAS_DATASETS["imdb"], [[2, 1, 9], []], {"film": 1, "good": 2})
    assert texts == ["good film", ""]


def test_tables_become_named_columns() -> None:
    """The housing datasets come as columns, so that a served model is asked by column name."""
    columns = as_inputs(KERAS_DATASETS["california_housing"], np.arange(16.0).reshape(2, 8), None)
    assert list(columns)[:2] == ["MedInc", "HouseAge"]
    assert columns["HouseAge"].tolist() == [1.0, 9.0]


def test_preprocessing_must_fit_the_kind() -> None:
    """Texts and tables can be learnt from; pictures need a size."""
    assert fitting_preprocessing("x", "text", None) == TextPreprocessing(max_length=256)
    assert fitting_preprocessing("x", "tabular", None) == TabularPreprocessing(columns=())
    assert fitting_preprocessing("x", "tabular", TensorPreprocessing()) == TabularPreprocessing(columns=())
    with pytest.raises(ArgumentError, match=r"x has image inputs and needs .* ImagePreprocessing. Received: NoneType"):
        fitting_preprocessing("x", "image", None)
    with pytest.raises(ArgumentError, match=r"x has text inputs and needs .* TextPreprocessing. Received: ImagePrep"):
        fitting_preprocessing("x", "text", ImagePreprocessing(height=1, width=1))


def test_unknown_names_are_told_with_the_nearest() -> None:
    """A typing error gets the right name."""
    with pytest.raises(UnknownNameError, match=r"Unknown Keras dataset 'minst'. Did you mean 'mnist'"):
        load_keras_dataset("minst", None, SplitFractions(), keep_duplicates=True)
