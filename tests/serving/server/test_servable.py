"""Loading and running one version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serving.errors import ModelLoadError
from serving.server.servable import load_servable
from tests.serving.tiny_models import Heavy, save, save_broken


def test_a_version_is_loaded_with_its_signatures(tiny_root: Path) -> None:
    """All signatures are there, the initializer is not, and outputs can be chosen."""
    servable = load_servable("mixed", 1, tiny_root / "mixed" / "1")
    assert sorted(servable.signatures) == ["conjugate", "scalar", "serving_default"]
    inputs = {"weights": np.array([2]), "values": np.ones((1, 3), np.float32)}
    outputs = servable.run("serving_default", inputs, ["total", "word"])
    assert {name: array.tolist() for name, array in outputs.items()} == {"total": [6.0], "word": [b"2"]}
    servable.close()


def test_defaults_come_with_the_signature(tiny_root: Path) -> None:
    """An input's default is part of the loaded signature."""
    servable = load_servable("with_default", 1, tiny_root / "with_default" / "1")
    assert servable.signatures["serving_default"].defaults["factor"] == 10.0
    servable.close()


def test_a_broken_folder_is_named(tmp_path: Path) -> None:
    """What cannot be loaded is a ModelLoadError with folder, model, version and reason."""
    for folder in (save_broken(tmp_path / "5"), tmp_path / "missing"):
        with pytest.raises(ModelLoadError, match=rf"Version 5 of model 'm' in {folder} cannot be loaded: \S"):
            load_servable("m", 5, folder)


def test_closing_gives_the_memory_back(tmp_path: Path) -> None:
    """Three loads and closes of a 128 MB model leave less than half of one behind."""
    save(Heavy(32 * 1024 * 1024), tmp_path / "1")
    program = """
import sys
from pathlib import Path
from serving.server.lean_tensorflow import import_tensorflow_without_keras
import_tensorflow_without_keras()
from serving.server.servable import load_servable
import numpy as np

def megabytes():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

def load_and_close():
    servable = load_servable("heavy", 1, Path(sys.argv[1]))
    servable.run("serving_default", {"index": np.array([1], np.int32)}, ["value"])
    loaded = megabytes()
    servable.close()
    return loaded

load_and_close()
before = megabytes()
loaded = [load_and_close() for _ in range(3)]
print(before, loaded, megabytes())
assert min(loaded) > before + 100, (before, loaded)
assert megabytes() < before + 64, (before, megabytes())
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "1"], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_text_operations_are_loaded_when_a_graph_needs_them(tmp_path: Path) -> None:
    """A graph with TensorFlow Text's operations loads in a process that did not import the package itself."""
    export = """
import sys, tensorflow as tf, tensorflow_text as text
class Folded(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def predict(self, text_):
        return {"folded": text.case_fold_utf8(text_)}
module = Folded()
tf.saved_model.save(module, sys.argv[1], signatures={"serving_default": module.predict})
"""
    serve = """
import sys
from pathlib import Path
from serving.server.lean_tensorflow import import_tensorflow_without_keras
import_tensorflow_without_keras()
from serving.server.servable import load_servable
import numpy as np
assert "tensorflow_text" not in sys.modules
servable = load_servable("folded", 1, Path(sys.argv[1]))
outputs = servable.run("serving_default", {"text": np.array([b"AB"], object)}, ["folded"])
assert outputs["folded"].tolist() == [b"ab"]
assert "keras" not in sys.modules
"""
    pytest.importorskip("tensorflow_text", reason="tensorflow-text (extra hub) is not installed")
    for program in (export, serve):
        command = [sys.executable, "-c", program, tmp_path / "1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr[-2000:]
