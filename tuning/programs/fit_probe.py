"""Lets a hypermodel's own `fit` ask for its hyperparameters, and ends it before it trains."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import keras_tuner

from tuning.programs.fitting import fit
from tuning.programs.user_code import load_data

_SECONDS = 60


class _Reached(BaseException):
    """The training begins: whatever `fit` asks for was asked for. No `except Exception` of the user's stops it."""


class _Probe(keras.callbacks.Callback):  # type: ignore[misc]
    """For loops that are the user's own and tell callbacks what they do."""

    def on_train_begin(self, logs: Any = None) -> None:
        raise _Reached

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        raise _Reached

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        raise _Reached


def probe_fit(hypermodel: Any, hp: Any, model: keras.Model, data_function: str) -> None:
    """Calls a hypermodel's `fit` up to where it trains; nothing for one that has KerasTuner's.

    Args:
        hypermodel: The hypermodel.
        hp: The `keras_tuner.HyperParameters` that it declares in.
        model: What it built; of no use afterwards.
        data_function: Gives what `fit` is called with, as `SearchConfig` names it.
    """
    if type(hypermodel).fit is keras_tuner.HyperModel.fit:
        return
    model.fit = _reached
    try:
        with _time_limit():
            fit(hypermodel, hp, model, load_data(data_function), epochs=1, callbacks=[_Probe()])
    except _Reached:
        pass
    except Exception:
        traceback.print_exc()  # the trials will tell; what `build` declared counts


def _reached(*arguments: Any, **options: Any) -> Any:
    raise _Reached


@contextmanager
def _time_limit() -> Iterator[None]:
    """Ends a loop that neither Keras nor a callback sees; what it asked for first is known by then."""
    previous = signal.signal(signal.SIGALRM, _reached)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
