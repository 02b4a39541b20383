from __future__ import annotations

import tensorflow as tf

from zoo.preprocessing.transform import transform_for
from zoo.preprocessing.whole_text import StringTransform
from zoo.spec import StringPreprocessing, preprocessing_from_dict, preprocessing_to_dict


def test_texts_stay_as_they_are() -> None:
    """Nothing is changed and nothing is cut off, also for no text at all."""
    transform = transform_for(preprocessing_from_dict(preprocessing_to_dict(StringPreprocessing())))
    assert isinstance(transform, StringTransform)
    texts = [" Two  words\n", "", "caf\u00e9"]
    assert [text.decode() for text in transform.batch(texts).numpy()] == texts
    assert transform.truncated(texts).numpy().tolist() == [False] * 3
    assert transform.batch(tf.zeros([0], tf.string)).shape == (0,)
