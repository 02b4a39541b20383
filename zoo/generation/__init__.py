"""Text from a language model: `generate` adds to prompts, `score` says how likely a text is.

Both run in one TensorFlow graph, the same in Python and in an export.
"""

from __future__ import annotations

from zoo.generation.generate import GeneratedText, TextScore, generate, score

__all__ = ["GeneratedText", "TextScore", "generate", "score"]
