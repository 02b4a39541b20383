"""PyTorch's own eager execution, pictures in the layout that its kernels like best."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.engines.prepare import torch_inputs
from benchmarks.engines.table import Engine


def loader(engine: Engine, root: Path, threads: int, compiled: bool = False) -> Callable[[int], Any]:
    """Loads the module; numbers come in and go out in float32."""
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    module = torch.load(root / "torch" / "module.pt", weights_only=False).eval()
    narrow = torch.bfloat16 if engine.precision == "bfloat16" else torch.float32
    module = module.to(narrow)

    def ready(batch: int) -> Callable[[], Any]:
        rows = torch_inputs(root, batch)
        if rows[0].ndim == 4:
            rows = tuple(array.contiguous(memory_format=torch.channels_last) for array in rows)
            module.to(memory_format=torch.channels_last)

        def answer(*given: Any) -> Any:
            return module(*(array.to(narrow) if array.is_floating_point() else array for array in given)).float()

        if compiled:
            torch._dynamo.reset()
            answer = torch.compile(answer, dynamic=False)
        return lambda: answer(*rows).numpy()

    return ready
