"""From a trained model to an answered request: `serving.export`, `serving.server`, `serving.client`, `serving.errors`.

This package itself offers nothing, so that importing a part of it loads that part alone: a client needs no TensorFlow.
"""

__all__: list[str] = []
