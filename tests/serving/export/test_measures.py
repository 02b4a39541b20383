"""The measures that a search finds among installed packages."""

from __future__ import annotations

import contextlib
import importlib.metadata
import subprocess
import sys

from serving.export.measures import MEASURES
from tests.serving.export.small_models import tensor_classifier


def test_the_entry_point_leads_here() -> None:
    """The group "zoo.measures" has this half's measures, and each says in words what it is."""
    entry, = (one for one in importlib.metadata.entry_points(group="zoo.measures") if one.name == "serving")
    assert entry.load() is MEASURES
    assert list(MEASURES.names) == ["latency_ms", "latency_p99_ms", "size_mb", "memory_mb", "parameters"]
    assert all(MEASURES.names.values()) and list(MEASURES.after_training) == []


def test_the_names_are_listed_without_tensorflow() -> None:
    """Who only wants to know what there is does not wait for TensorFlow."""
    code = "import sys, serving.export.measures; print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True).stdout.strip() == "False"


def test_what_needs_no_export_is_counted_at_once() -> None:
    """The parameters of an unmeasured model; nobody is asked to be quiet for it."""

    def quiet() -> contextlib.AbstractContextManager[None]:
        raise AssertionError("nothing is timed")

    assert MEASURES.measure(tensor_classifier(), ["parameters"], quiet) == {"parameters": 16.0}
