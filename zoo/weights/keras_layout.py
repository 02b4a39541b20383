"""Where Keras 3 puts each variable in a `.weights.h5` file.

Keras names the places by the classes and order of the layers, and offers no public list of them. So we let it "save"
into a store that notes which variable goes where. This is the one place that depends on how Keras walks a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras.src.saving import saving_lib


@dataclass(frozen=True)
class _Computed:
    """A value that a layer computes for the file (LoRA merged into its kernel), with a variable's attributes."""

    path: str
    shape: tuple[int, ...]
    dtype: str


class _NotingStore(saving_lib.H5IOStore):  # type: ignore[misc]  # keras has no types; it insists on its own class
    """Takes variables in the way that Keras's HDF5 store does, and writes nothing."""

    def __init__(self) -> None:
        self.places: dict[str, Any] = {}
        self._prefix = ""

    def __bool__(self) -> bool:
        return True

    def make(self, path: str, metadata: Any = None) -> _NotingStore:
        self._prefix = f"{path}/vars/" if path else "vars/"
        return self

    def __setitem__(self, key: str, value: Any) -> None:
        self.places[f"{self._prefix}{key}"] = value


def keras_places(model: keras.Model) -> dict[str, Any]:
    """Returns the variables of a model by their places in a `.weights.h5` file.

    Args:
        model: A built Keras model.

    Returns:
        Keras variables by paths such as "layers/conv2d/vars/0". Variables of an optimizer or a metric are left out.
    """
    store = _NotingStore()
    saving_lib._save_state(model, weights_store=store, assets_store=None, inner_path="", visited_saveables=set())
    return {place: value if hasattr(value, "path") else _Computed(place, tuple(value.shape), str(value.dtype))
            for place, value in store.places.items() if is_own_place(place)}


def is_own_place(place: str) -> bool:
    """Returns whether a place belongs to the model itself, and not to its optimizer, loss or metrics."""
    return place.startswith(("layers/", "vars/"))
