"""A real sentence encoder, from a folder of Hugging Face to the answers of a server: it equals its own reference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import zoo
from serving.client import PredictClient
from serving.export import export_model
from serving.server.app import running_server
from serving.server.settings import ServerSettings
from zoo.preprocessing.transform import transform_for

REFERENCE = json.loads((Path(__file__).parents[1] / "zoo" / "weights" / "minilm_embeddings.json").read_text())
TEXTS, VECTORS = REFERENCE["texts"], np.array(REFERENCE["embeddings"])
ALIKE = [("A man is eating food.", "A man is eating a piece of bread."),
         ("The girl is carrying a baby.", "A woman holds her child."),
         ("How do I serve a model?", "In which way can a neural network be put into production?")]


@pytest.fixture(scope="module")
def model(minilm_folder: Path) -> Any:
    return zoo.build("minilm_l6_h384", weights=minilm_folder, task="embedding")


@pytest.fixture(scope="module")
def version(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return export_model(model, tmp_path_factory.mktemp("models"), name="minilm", batch_sizes=(1,))


@pytest.fixture(scope="module")
def clients(version: Any) -> Iterator[list[PredictClient]]:
    settings = ServerSettings(root=version.path.parents[1], grpc_port=0, rest_port=0)
    with (running_server(settings, settle_seconds=300.0) as server,
          PredictClient(f"grpc://127.0.0.1:{server.grpc_port}") as grpc,
          PredictClient(f"http://127.0.0.1:{server.rest_port}") as rest):
        yield [grpc, rest]


def test_sentence_vectors_equal_the_reference(model: Any, clients: list[PredictClient]) -> None:
    """Keras, gRPC and REST give the reference's vectors within 1e-4, in a batch and alone."""
    in_keras = model(transform_for(zoo.record_of(model).preprocessing).batch(tf.constant(TEXTS)), training=False)
    np.testing.assert_allclose(in_keras, VECTORS, atol=1e-4)
    for client in clients:
        together = client.predict("minilm", {"text": TEXTS}, signature_name="embed")
        assert not together["truncated"].any()
        np.testing.assert_allclose(together["embedding"], VECTORS, atol=1e-4)
        np.testing.assert_allclose(together["embedding"], in_keras, atol=1e-5)
        for row, text in enumerate(TEXTS):
            alone = client.predict("minilm", {"text": [text]}, signature_name="serve_text")["embedding"]
            np.testing.assert_allclose(alone[0], together["embedding"][row], atol=1e-5)


def test_similar_sentences_rank_first(clients: list[PredictClient]) -> None:
    """Of all other sentences, the one that says the same is the nearest."""
    sentences = [sentence for pair in ALIKE for sentence in pair]
    vectors = clients[0].predict("minilm", {"text": sentences}, signature_name="embed")["embedding"]
    similarity = vectors @ vectors.T - 2 * np.eye(len(sentences))
    assert similarity.argmax(axis=1).tolist() == [row ^ 1 for row in range(len(sentences))]


def test_a_long_text_is_cut_off_and_says_so(clients: list[PredictClient]) -> None:
    """The words behind the limit make no difference, and the answer tells."""
    texts = ["word " * 254, "word " * 300 + "something else"]
    answer = clients[1].predict("minilm", {"text": texts}, signature_name="embed")
    assert answer["truncated"].tolist() == [False, True]
    np.testing.assert_allclose(answer["embedding"][0], answer["embedding"][1], atol=1e-5)


def test_the_version_is_small_and_validated(version: Any) -> None:
    """The vocabulary of 30,522 words stands in the graph once and in the manifest as a digest."""
    assert version.validation.ok
    assert (version.path / "manifest.json").stat().st_size < 100_000
    assert version.manifest.record["preprocessing"]["vocabulary"]["size"] == 30522
    assert (version.path / "saved_model.pb").stat().st_size < 4_000_000
