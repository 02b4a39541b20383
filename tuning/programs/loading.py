"""From a search's description to the program of its trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuning.config import SearchConfig
from tuning.programs.keras_tuner_program import KerasTunerProgram
from tuning.programs.protocol import Program
from tuning.programs.zoo_program import ZooProgram


def load_program(description: Mapping[str, Any]) -> Program:
    """Makes the program that a search's trials run.

    Args:
        description: `SearchConfig.to_dict()`, as a study offers it.

    Returns:
        The program.

    Raises:
        ZooError: The description cannot be read, or what it names cannot be found.
    """
    config = SearchConfig.from_dict(description)
    return ZooProgram(config) if config.model else KerasTunerProgram(config)
