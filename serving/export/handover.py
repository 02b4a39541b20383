"""The exporter of the entry-point group "zoo.exporters": a saved run becomes a published version."""

from __future__ import annotations

import os
from pathlib import Path

from serving.export.export import export_model
from zoo.bundle import load


def export_run(folder: str | os.PathLike[str], root: str | os.PathLike[str], *, name: str | None = None) -> Path:
    """Exports the model that a run saved, validated as every export is.

    Args:
        folder: The run's folder, or any folder that `zoo.save` wrote.
        root: The model repository; made if missing.
        name: The name to serve it under; None takes the model's own.

    Returns:
        The folder of the published version, <root>/<name>/<version>.

    Raises:
        ZooError: The folder holds no model.
        ServingError: The model cannot be exported, or is not fit to be served.
    """
    return export_model(load(folder), Path(root), name=name).path
