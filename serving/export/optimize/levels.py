"""The levels of speed and size of an export: which passes each runs, and in which numbers the result computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.grappler import optimized
from serving.export.optimize.passes.bfloat16 import to_bfloat16
from serving.export.optimize.passes.biases import write_biases
from serving.export.optimize.passes.folding import fold
from serving.export.optimize.passes.gelu import write_gelus
from serving.export.optimize.passes.layer_norms import write_layer_norms
from serving.export.optimize.passes.pads import merge_pads
from serving.export.optimize.passes.reshapes import simplify_reshapes
from serving.export.optimize.passes.sums import write_sums
from serving.export.optimize.rewriting import Pass

NONE = "none"
# Rounding in another order moves the last digits of float32; a wrong rewrite moves more.
EXACT = 1e-5
# Eight bits of mantissa through some dozens of layers.
ROUGH = 3e-2
_SIMPLER = ("function", "constfold", "arithmetic", "dependency")

# Rows to learn the ranges of activations from: sets of arrays [N, ...] by pinned input name.
Calibration = Sequence[Mapping[str, Array]]


@dataclass(frozen=True)
class Level:
    """What one word for `optimize` means.

    Attributes:
        passes: Makes its passes for a model; those of int8 learn from the calibration rows.
        precision: The numbers that the result computes in: "float32", "bfloat16" or "int8".
        final: The name of the pass without which the result is not of that precision; empty if there is none.
    """

    passes: Callable[[Calibration], Sequence[Pass]]
    precision: str = "float32"
    final: str = ""


def _simplified(graph: ForwardGraph) -> ForwardGraph:
    return optimized(graph, _SIMPLER)


SAFE = (
    Pass("simplify", _simplified, EXACT),
    Pass("fold", fold, EXACT),
    Pass("sums", write_sums, EXACT),
    Pass("biases", write_biases, EXACT),
    Pass("pads", merge_pads, EXACT),
    Pass("reshapes", simplify_reshapes, EXACT),
    Pass("gelu", write_gelus, EXACT),
    Pass("layer_norms", write_layer_norms, EXACT),
)
BFLOAT16 = (*SAFE, Pass("bfloat16", to_bfloat16, ROUGH))

LEVELS: Mapping[str, Level] = MappingProxyType({
    "safe": Level(lambda _: SAFE),
    "bfloat16": Level(lambda _: BFLOAT16, "bfloat16", "bfloat16"),
})
