"""Builds models without giving their parameters any memory, so that shapes of the largest ones can be tested."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
from keras.src.backend.common import global_state


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Inside, Keras variables have a shape and no value; automatic names start from the beginning."""
    names = "object_name_uids"
    before = global_state.get_global_attribute(names)
    global_state.set_global_attribute(names, None)
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute(names, before)
        # Keras remembers them, to give them values at the next occasion.
        global_state.set_global_attribute("uninitialized_variables", [])
