"""What a client fills in for REST is what an export says that may be left out."""

from __future__ import annotations

from serving.protocol.generated.tensor_pb2 import DataType
from serving.protocol.generation import GENERATION_DEFAULTS, with_generation_defaults
from serving.protocol.signatures import Signature, TensorSpec
from zoo.generation.options import defaults


def test_the_defaults_are_those_of_an_export() -> None:
    """The same names and values, for a model that reads enough tokens."""
    assert dict(GENERATION_DEFAULTS) == defaults(1024)


def test_only_what_the_signature_has_is_filled_in() -> None:
    """A request keeps its values, and a signature without a prompt is left alone."""
    text = TensorSpec(int(DataType.DT_STRING), (None,))
    takes = Signature({"prompt": text, "seed": text, "top_k": text}, {})
    assert with_generation_defaults({"prompt": ["a"], "seed": [7]}, takes) == {"prompt": ["a"], "seed": [7],
                                                                               "top_k": [0]}
    assert with_generation_defaults({"text": ["a"]}, Signature({"text": text, "seed": text}, {})) == {"text": ["a"]}
