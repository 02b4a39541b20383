"""From a trained Keras model to a version folder that TensorFlow Serving loads.

    from serving.export import export_model
    result = export_model(model, "models")        # models/<name>/1/

Importing this package loads nothing: `python -m serving.export.validate` runs without keras and zoo.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.export.export import ExportResult, export_model
    from serving.export.validation import ValidationReport

__all__ = ["ExportResult", "ValidationReport", "export_model"]

_HOME = {
    "ExportResult": "serving.export.export",
    "ValidationReport": "serving.export.validation",
    "export_model": "serving.export.export",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
