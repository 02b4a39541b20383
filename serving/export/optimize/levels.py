"""The levels of speed and size of an export: which passes each runs, and in which numbers the result computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.grappler import optimized
from serving.export.optimize.int8.product_selection import EightBitProducts
from serving.export.optimize.int8.selection import EightBitConvolutions
from serving.export.optimize.passes.bfloat16 import to_bfloat16
from serving.export.optimize.passes.biases import write_biases
from serving.export.optimize.passes.folding import fold
from serving.export.optimize.passes.gelu import write_gelus
from serving.export.optimize.passes.layer_norms import write_layer_norms
from serving.export.optimize.passes.pads import merge_pads
from serving.export.optimize.passes.products import write_products_of_rows
from serving.export.optimize.passes.reshapes import simplify_reshapes
from serving.export.optimize.passes.residuals import write_residuals
from serving.export.optimize.passes.sums import write_sums
from serving.export.optimize.passes.weight_only import eight_bit_weights, four_bit_weights
from serving.export.optimize.rewriting import Pass

NONE = "none"
# Rounding in another order moves the last digits of float32, and the softmax of a sure network makes several tens of
# that; a wrong rewrite moves far more.
EXACT = 1e-4
# Eight bits of mantissa through some dozens of layers: where a network magnifies rounding (deep ones of depthwise
# convolutions do) every engine's bfloat16 is some percent off. What that costs is for the user's metric to say.
ROUGH = 0.1
# Eight bits in all, through some dozens of layers: an order of classes holds, their probabilities move a little.
COARSE = 0.15
# What a further pass may add to what eight bits have moved already.
_BESIDE = 3e-2
# Four bits for most weights.
COARSEST = 0.4
_SIMPLER = ("function", "constfold", "arithmetic", "dependency")

# Rows to learn the ranges of activations from: sets of arrays [N, ...] by pinned input name.
Calibration = Sequence[Mapping[str, Array]]


@dataclass(frozen=True)
class Level:
    """What one word for `optimize` means.

    Attributes:
        passes: Makes its passes for a model; those of int8 learn from the calibration rows.
        precisions: The numbers that the result computes in, "bfloat16" or "int8", by the name of the pass that makes
            it do so, the fewest bits first. Without any of them it is "float32".
    """

    passes: Callable[[Calibration], Sequence[Pass]]
    precisions: Mapping[str, str] = field(default_factory=dict)

    @property
    def precision(self) -> str:
        """The numbers that it is for."""
        return next(iter(self.precisions.values()), "float32")

    def precision_with(self, kept: Callable[[str], bool]) -> str:
        """The numbers that a result computes in.

        Args:
            kept: Whether the pass of a name was kept.
        """
        return next((precision for name, precision in self.precisions.items() if kept(name)), "float32")


def _simplified(graph: ForwardGraph) -> ForwardGraph:
    return optimized(graph, _SIMPLER)


SAFE = (
    Pass("simplify", _simplified, EXACT),
    Pass("products", write_products_of_rows, EXACT),
    Pass("fold", fold, EXACT),
    Pass("sums", write_sums, EXACT),
    Pass("biases", write_biases, EXACT),
    Pass("pads", merge_pads, EXACT),
    Pass("layer_norms", write_layer_norms, EXACT),
    Pass("gelu", write_gelus, EXACT),
    Pass("reshapes", simplify_reshapes, EXACT),
)
_TO_BFLOAT16 = Pass("bfloat16", to_bfloat16, ROUGH)
BFLOAT16 = (*SAFE, _TO_BFLOAT16, Pass("residuals", write_residuals, ROUGH))


def _int8(calibration: Calibration) -> Sequence[Pass]:
    convolutions, products = EightBitConvolutions(calibration, COARSE), EightBitProducts(calibration, COARSE)
    return (*SAFE, Pass("int8_convolutions", convolutions.rewrite, COARSE, convolutions.details),
            Pass("int8_products", products.rewrite, COARSE + _BESIDE, products.details),
            Pass("bfloat16", to_bfloat16, COARSE + _BESIDE), Pass("residuals", write_residuals, COARSE + _BESIDE))


def _with_bfloat16(rewrite: Callable[[ForwardGraph], ForwardGraph]) -> Callable[[ForwardGraph], ForwardGraph]:
    """A rewrite of weights, with the products in bfloat16 where the processor has it: half as much to make per call."""
    def both(graph: ForwardGraph) -> ForwardGraph:
        small = rewrite(graph)
        try:
            return to_bfloat16(small)
        except ValueError:
            return small
    return both


# Where the weights are kept as they are, what is left is bfloat16.
INT8_WEIGHTS = (*SAFE, Pass("int8_weights", _with_bfloat16(eight_bit_weights), COARSE), _TO_BFLOAT16)
INT4_WEIGHTS = (*SAFE, Pass("int4_weights", _with_bfloat16(four_bit_weights), COARSEST), _TO_BFLOAT16)

LEVELS: Mapping[str, Level] = MappingProxyType({
    "safe": Level(lambda _: (*SAFE, Pass("residuals", write_residuals, EXACT))),
    "bfloat16": Level(lambda _: BFLOAT16, {"bfloat16": "bfloat16"}),
    "int8": Level(_int8, {"int8_convolutions": "int8", "int8_products": "int8", "bfloat16": "bfloat16"}),
    # What is written is judged as int8 is, by the answers of its own graph.
    "int8_weights": Level(lambda _: INT8_WEIGHTS, {"int8_weights": "int8", "bfloat16": "bfloat16"}),
    "int4_weights": Level(lambda _: INT4_WEIGHTS, {"int4_weights": "int8", "bfloat16": "bfloat16"}),
})
