"""Import TensorFlow without the Keras that it imports by itself."""

from __future__ import annotations

import importlib
import os
import sys

from serving.fixed_weights import VARIABLE


def import_tensorflow_without_keras() -> None:
    """Import TensorFlow, keeping Keras out of this process.

    TensorFlow imports `keras.src.optimizers` when it is imported itself; that costs a second and 100 MB, and no
    SavedModel needs it. It goes on where Keras cannot be found, so Keras is hidden for as long as the import takes.
    Only for a process that does nothing but serve: `from tensorflow.keras import ...` fails in it afterwards (`import
    keras` works). Does nothing where TensorFlow or Keras is imported already.
    """
    if "tensorflow" in sys.modules or "keras" in sys.modules:
        return
    # The start-up notices (no CUDA found, instruction sets) say nothing to whoever serves on what is there.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # oneDNN's own allocator never gives memory back to the system, so an unloaded model would stay in the books.
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
    # Read once by TensorFlow's kernels; `load_servable` sees to the models of which it is not true.
    os.environ.setdefault(VARIABLE, "1")
    sys.modules["keras"] = None  # type: ignore[assignment]
    try:
        importlib.import_module("tensorflow")
    finally:
        del sys.modules["keras"]
