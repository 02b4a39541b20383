"""Loading a SavedModel of a stranger: whole, checked before it is run, with the operations that it needs."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from zoo.errors import MissingDependencyError, WeightsError
from zoo.weights.saved_model_check import check_graph
from zoo.weights.saved_model_folder import problem_with

_TF1_MODULE = "tfhub_module.pb"  # marks a module in the format of TensorFlow 1


def load_saved_model(folder: Path, tags: Sequence[str] | None = None) -> Any:
    """Loads a SavedModel, after checking that it is whole and that its graph does nothing but compute.

    Args:
        folder: Its folder.
        tags: Tags of the graph, where there are several; None takes the only one, or the one of a TF1 module for use.

    Returns:
        What `tf.saved_model.load` returns. Keep it for as long as its functions are called.

    Raises:
        WeightsError: The folder is not whole, or the graph is refused or cannot be loaded.
        MissingDependencyError: The graph uses operations of TensorFlow Text, which is not installed.
    """
    problem = problem_with(folder)
    if problem:
        raise WeightsError(f"{folder} is no whole SavedModel: {problem}. Fetch or copy it again.")
    _register_operations(check_graph(folder), folder)
    if tags is None and (folder / _TF1_MODULE).is_file():
        tags = []
    try:
        with tf.init_scope():
            return tf.saved_model.load(str(folder), tags=tags)
    except (OSError, ValueError, LookupError, RuntimeError, AttributeError, tf.errors.OpError) as error:
        raise WeightsError(f"{folder} cannot be loaded as a SavedModel: {_first_line(error)}. It may be damaged, or "
                           "made by another TensorFlow; fetch it again.") from error


def _register_operations(names: Iterable[str], folder: Path) -> None:
    """Loads TensorFlow Text where the graph has operations that TensorFlow itself does not know."""
    if not _unknown(names):
        return
    try:
        importlib.import_module("tensorflow_text")
    except ImportError as error:
        raise MissingDependencyError("tensorflow-text", "hub", f"The SavedModel in {folder.name!r}") from error
    unknown = _unknown(names)
    if unknown:
        raise WeightsError(f"The SavedModel in {folder.name!r} uses operations that neither TensorFlow nor TensorFlow "
                           f"Text has: {', '.join(unknown[:5])}. It needs a package that registers them; import it "
                           "first.")


def _unknown(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if op_def_registry.get(name) is None)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
