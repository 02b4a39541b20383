"""TensorFlow without Keras."""

from __future__ import annotations

import os
import sys

from serving.server.lean_tensorflow import import_tensorflow_without_keras


def test_nothing_is_touched_where_tensorflow_is_loaded_already() -> None:
    """Beside other code the import is a no-op: no environment, no modules change. (A fresh process: see test_app.)"""
    import tensorflow  # noqa: F401

    modules, environment = set(sys.modules), dict(os.environ)
    import_tensorflow_without_keras()
    assert set(sys.modules) == modules
    assert dict(os.environ) == environment
