"""Small SavedModels that keep the contract of TF Hub, written by TensorFlow itself."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

WORDS = ("good", "bad", "film")


class TextModule(tf.Module):
    """An embedding of texts: a vocabulary in a file, a table, and the sum of the words' vectors."""

    def __init__(self, vocabulary: Path) -> None:
        super().__init__()
        vocabulary.write_text("\n".join(WORDS) + "\n")
        self.vocabulary = tf.saved_model.Asset(str(vocabulary))
        words = tf.lookup.TextFileInitializer(self.vocabulary, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
                                              tf.lookup.TextFileIndex.LINE_NUMBER)
        self.table = tf.lookup.StaticVocabularyTable(words, 1)
        self.embeddings = tf.Variable(tf.random.stateless_normal([len(WORDS) + 1, 8], [1, 2]), name="embeddings")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, sentences: Any) -> Any:
        ids = tf.ragged.map_flat_values(self.table.lookup, tf.strings.split(sentences))
        vectors = tf.ragged.map_flat_values(lambda flat: tf.gather(self.embeddings, flat), ids)
        return tf.reduce_sum(vectors.to_tensor(), axis=1)


class ImageModule(tf.Module):
    """A feature vector of pictures, with a moving mean, a regularization loss and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.random.stateless_normal([3, 5], [3, 4]), name="conv/kernel")
        self.moving_mean = tf.Variable(tf.zeros([5]), trainable=False, name="norm/moving_mean")
        self.regularization_losses = [self._penalty]

    @tf.function(input_signature=[])
    def _penalty(self) -> Any:
        return 0.5 * tf.reduce_sum(self.kernel**2)

    @tf.function
    def __call__(self, inputs: Any, training: bool = False) -> Any:
        vector = tf.reduce_mean(inputs, [1, 2]) @ self.kernel
        if training:
            mean = tf.reduce_mean(vector, 0)
            self.moving_mean.assign(0.5 * self.moving_mean + 0.5 * mean)
        else:
            mean = tf.convert_to_tensor(self.moving_mean)
        return {"default": vector - mean, "doubled": 2.0 * (vector - mean)}


class PairModule(tf.Module):
    """An encoder that takes and gives a dict, like the BERT encoders of TF Hub."""

    def __init__(self) -> None:
        super().__init__()
        self.table = tf.Variable(tf.random.stateless_normal([50, 4], [5, 6]), name="word_embeddings")

    @tf.function
    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        mask = tf.cast(inputs["input_mask"], tf.float32)[..., tf.newaxis]
        sequence = tf.gather(self.table, inputs["input_word_ids"]) * mask
        return {"pooled_output": tf.reduce_sum(sequence, 1), "sequence_output": sequence}


class PreprocessorModule(tf.Module):
    """Makes of texts what `PairModule` takes: one number per character, and a mask."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, sentences: Any) -> Any:
        ids = tf.strings.unicode_decode(sentences, "UTF-8").to_tensor(shape=[None, 6])
        return {"input_word_ids": tf.math.floormod(ids, 50), "input_mask": tf.cast(ids > 0, tf.int32)}


def save_text(folder: Path) -> Path:
    tf.saved_model.save(TextModule(folder.with_name(f"{folder.name}-words.txt")), str(folder))
    folder.with_name(f"{folder.name}-words.txt").unlink()
    return folder


def save_image(folder: Path, side: int | None = None) -> Path:
    module = ImageModule()
    spec = tf.TensorSpec([None, side, side, 3], tf.float32, name="inputs")
    signature = module.__call__.get_concrete_function(spec, training=False)
    module.__call__.get_concrete_function(spec, training=True)
    tf.saved_model.save(module, str(folder), signatures=signature)
    return folder


def save_pair(folder: Path) -> Path:
    module = PairModule()
    specs = {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in ("input_word_ids", "input_mask")}
    for training in (False, True):
        module.__call__.get_concrete_function(specs, training=training)
    tf.saved_model.save(module, str(folder))
    return folder


def save_preprocessor(folder: Path) -> Path:
    tf.saved_model.save(PreprocessorModule(), str(folder))
    return folder


def save_tf1(folder: Path, *, resources: bool) -> Path:
    """A module in the format of TensorFlow 1: a signature "default", a graph without tags beside one for training."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        pictures = v1.placeholder(tf.float32, [None, None, None, 3])
        kernel = v1.get_variable("kernel", initializer=tf.ones([3, 5]), use_resource=resources)
        vector = tf.reduce_mean(pictures, [1, 2]) @ kernel
        session.run(v1.global_variables_initializer())
        information = [{name: v1.saved_model.build_tensor_info(tensor)} for name, tensor in
                       (("images", pictures), ("default", vector))]
        signature = {"default": v1.saved_model.build_signature_def(*information)}
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, [], signature_def_map=signature)
        builder.add_meta_graph(["train"], signature_def_map=signature)
        builder.save()
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")
    message = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    for graph in message.meta_graphs:  # height 224, width 160
        graph.collection_def["hub_module_attachments"].bytes_list.value.append(
            b"\x0a\x11image_module_info\x12\x08\x0a\x06\x08\xe0\x01\x10\xa0\x01")
    (folder / "saved_model.pb").write_bytes(message.SerializeToString())
    return folder


def packed(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=".")
    return archive
