"""What a request for text may leave out: TensorFlow Serving fills it in for gRPC, and for REST the client does.

The metadata of a server does not tell the defaults, so they stand here a second time; a test compares them with those
that are exported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from serving.protocol.signatures import Signature

GENERATE_SIGNATURE: Final = "generate"
PROMPT_INPUT: Final = "prompt"
GENERATION_DEFAULTS: Final[Mapping[str, Any]] = {
    "max_new_tokens": [64], "temperature": [0.0], "top_k": [0], "top_p": [1.0], "repetition_penalty": [1.0],
    "stop": [[""]], "seed": [0],
}


def with_generation_defaults(inputs: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
    """Fills in what a request for text leaves out.

    Args:
        inputs: Arrays or lists by input name.
        signature: What the model takes.

    Returns:
        The same, and the default of every option that the signature has; unchanged where it takes no prompt.
    """
    if PROMPT_INPUT not in signature.inputs:
        return dict(inputs)
    known = {name: value for name, value in GENERATION_DEFAULTS.items() if name in signature.inputs}
    return {**known, **inputs}
