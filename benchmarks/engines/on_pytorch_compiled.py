"""PyTorch compiled by Inductor with the weights frozen into the program, for the size of the batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.engines.on_pytorch import loader as eager
from benchmarks.engines.table import Engine


def loader(engine: Engine, root: Path, threads: int) -> Callable[[int], Any]:
    """Loads the module; compiled programs stay in the folder for the next run."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(root / "inductor")
    import torch._inductor.config

    torch._inductor.config.freezing = True
    return eager(engine, root, threads, compiled=True)
