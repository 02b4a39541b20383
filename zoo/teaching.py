"""A teacher out of a saved model's folder, for `zoo train STUDENT DATA --teacher FOLDER`."""

from __future__ import annotations

import os
from typing import Any

from zoo.bundle import load
from zoo.compression.distillation import Distillation


def teacher_in(folder: str | os.PathLike[str], **settings: Any) -> Distillation:
    """Loads the teacher of a training run.

    Args:
        folder: What `zoo.save` or a run wrote.
        **settings: Settings of `Distillation`; None takes its own.

    Returns:
        The technique.

    Raises:
        BundleError: There is no model.
        ArgumentError: A setting is out of its range.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    return Distillation(teacher=load(folder), source=os.fspath(folder), **given)
