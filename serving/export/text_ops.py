"""The operations of TensorFlow Text: TensorFlow Serving has them built in, a Python process must load them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from serving.export.graph_checks import Graph
from serving.export.op_lists import KnownOp
from serving.export.replay import one_line


def op_names(graph: Graph) -> set[str]:
    """Returns the kinds of operations in a graph, its own functions left out.

    Args:
        graph: The graph of a SavedModel.
    """
    return {node.op for _, node in graph.nodes() if node.op not in graph.functions}


def needs_text_ops(graph: Graph, known: Mapping[str, KnownOp]) -> bool:
    """Tells whether a graph has an operation of TensorFlow Text.

    Args:
        graph: The graph of a SavedModel.
        known: The operations of a TensorFlow Serving release.
    """
    return any(known[name].from_text for name in op_names(graph) if name in known)


def load_text_ops() -> tuple[int, list[str]]:
    """Makes the operations known to this process, without the package's Python code, which wants Keras.

    Returns:
        The number of libraries, and in words what hinders.
    """
    spec = importlib.util.find_spec("tensorflow_text")
    if spec is None or spec.origin is None:
        return 0, ["The model uses operations of TensorFlow Text, which is not installed here. Install it with: "
                   "pip install 'servable-zoo[hub]'"]
    libraries = sorted((Path(spec.origin).parent / "python" / "ops").glob("*.so"))
    faults = []
    for library in libraries:
        try:
            tf.load_op_library(str(library))
        except tf.errors.OpError as error:
            faults.append(f"TensorFlow Text's {library.name} does not fit this TensorFlow ({one_line(error)}). "
                          "Install releases that belong together.")
    return len(libraries), faults
