"""The README's script for TF Hub runs word for word, on modules of the same form from a hub on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import hub_modules
from tests.zoo.weights.file_server import FileServer

README = Path(__file__).resolve().parents[2] / "README.md"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
GOOD, BAD, FILLERS = ("lovely", "superb", "fine"), ("awful", "dull", "bad"), ("the", "film", "was", "very")
LENGTH = 12


class Preprocessor(tf.Module):
    """Texts to the three tensors of a BERT encoder, with TensorFlow Text and a vocabulary file."""

    def __init__(self, vocabulary: Path) -> None:
        text = pytest.importorskip("tensorflow_text")
        super().__init__()
        self.vocabulary = tf.saved_model.Asset(str(vocabulary))
        self.tokenizer = text.BertTokenizer(self.vocabulary.asset_path, lower_case=True, token_out_type=tf.int32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, sentences: Any) -> Any:
        pieces = self.tokenizer.tokenize(sentences).merge_dims(-2, -1)[:, :LENGTH - 2]
        rows = pieces.nrows()
        ends = [tf.fill([rows, 1], tf.constant(number, tf.int32)) for number in (2, 3)]
        ids = tf.concat([ends[0], pieces, ends[1]], 1).to_tensor(shape=[None, LENGTH])
        return {"input_word_ids": ids, "input_mask": tf.cast(ids > 0, tf.int32), "input_type_ids": tf.zeros_like(ids)}


class Encoder(tf.Module):
    """An encoder with the inputs and outputs of TF Hub's BERT, small enough to learn in a second."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.table = tf.Variable(tf.random.stateless_normal([words, 8], [1, 2], stddev=0.3), name="word_embeddings")
        self.kernel = tf.Variable(tf.random.stateless_normal([8, 8], [3, 4], stddev=0.3), name="pooler")

    @tf.function
    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        mask = tf.cast(inputs["input_mask"], tf.float32)[..., tf.newaxis]
        sequence = tf.gather(self.table, inputs["input_word_ids"]) * mask
        pooled = tf.tanh(tf.reduce_sum(sequence, 1) @ self.kernel)
        return {"pooled_output": pooled, "default": pooled, "sequence_output": sequence}


def save_encoder(folder: Path, words: int) -> Path:
    module = Encoder(words)
    names = ("input_word_ids", "input_mask", "input_type_ids")
    specs = {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in names}
    for training in (False, True):
        module.__call__.get_concrete_function(specs, training=training)
    tf.saved_model.save(module, str(folder))
    return folder


def write_reviews(folder: Path, count: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for label, telling in (("negative", BAD), ("positive", GOOD)):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            words = [*generator.choice(FILLERS, 4), generator.choice(telling)]
            (folder / label / f"{number:03}.txt").write_text(" ".join(generator.permutation(words)))


def test_the_script_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It trains, stops early, keeps the best epoch, judges, exports, and the export answers strings."""
    script = next(block for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
                  if "EarlyStopping" in block)
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join((*SPECIAL, *FILLERS, *GOOD, *BAD)) + "\n")
    tf.saved_model.save(Preprocessor(vocabulary), str(tmp_path / "preprocess"))
    vocabulary.unlink()  # what the module needs is inside it
    save_encoder(tmp_path / "encoder", len((*SPECIAL, *FILLERS, *GOOD, *BAD)))
    write_reviews(tmp_path / "reviews" / "train", 80, seed=1)
    write_reviews(tmp_path / "reviews" / "test", 20, seed=2)
    archives = {f"/{handle}": hub_modules.packed(tmp_path / name, tmp_path / f"{name}.tar.gz").read_bytes()
                for handle, name in (("tensorflow/bert_en_uncased_preprocess/3", "preprocess"),
                                     ("tensorflow/small_bert/bert_en_uncased_L-2_H-128_A-2/2", "encoder"))}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    names: dict[str, Any] = {}
    with FileServer(files=archives) as server:
        monkeypatch.setenv("ZOO_TFHUB_ENDPOINT", server.url(""))
        exec(compile(script.replace("3e-4", "3e-2"), "README.md", "exec"), names)  # the small modules learn faster
        assert len(server.requests) == 2
    assert names["accuracy"] > 0.9
    assert len(names["model"].trainable_variables) == 4  # the encoder's two and the head's
    assert Path("best.keras").is_file()
    version = Path("models/reviews/1")
    assert [path.name for path in (version / "assets").iterdir()] == ["vocab.txt"]
    answers = tf.saved_model.load(str(version)).signatures["serve_text"](text=tf.constant(["a superb film", "so dull"]))
    assert [label[0] for label in answers["labels"].numpy()] == [b"positive", b"negative"]
