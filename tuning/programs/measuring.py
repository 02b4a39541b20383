"""Takes the measures that no training gives, on the model as it will be served: each once per architecture."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence

import keras

from tuning.config import SearchConfig
from tuning.errors import MeasureError
from tuning.folder import SearchFolder
from tuning.objectives import unmet
from tuning.programs.known_measures import Measures, Quiet, installed_measures
from zoo.spec import record_of

FOLDER = "measures"

# Of a build's arguments: what decides the numbers in a model and not its speed or size.
_WITHOUT_EFFECT = ("seed", "weights")


class ConstraintBroken(Exception):
    """A measure that was taken before the training breaks a constraint.

    Attributes:
        measures: What was measured.
    """

    def __init__(self, measures: Mapping[str, float]) -> None:
        super().__init__("A constraint is broken.")
        self.measures = dict(measures)


class Measurer:
    """Takes a search's measures of trials' models; equal architectures are measured once.

    Args:
        config: What is searched; only what it names is measured.
        folder: The search's folder.
        quiet: Gives a context in which nothing else computes.
        known: Who measures what; None takes the installed packages.
    """

    def __init__(self, config: SearchConfig, folder: SearchFolder, quiet: Quiet,
                 known: Mapping[str, Measures] | None = None) -> None:
        offered = installed_measures() if known is None else known
        self._config = config
        self._folder = folder.path / FOLDER
        self._quiet = quiet
        self._by_name = {name: offered[name] for name in config.measured if name in offered}

    @property
    def names(self) -> tuple[str, ...]:
        """What is measured here; everything else must come from the training."""
        return tuple(self._by_name)

    def before(self, model: keras.Model) -> dict[str, float]:
        """Takes the measures that depend on the architecture alone.

        Args:
            model: A model with a record, trained or not.

        Returns:
            The values by name.

        Raises:
            ConstraintBroken: One of them breaks a constraint.
            MeasureError: Something could not be measured.
        """
        names = [name for name, measures in self._by_name.items() if name not in _after_training(measures)]
        if not names:
            return {}
        architecture = _architecture(model)
        with self._one_at_a_time(architecture):
            values = self._known(architecture)
            missing = [name for name in names if name not in values]
            if missing:
                values |= self._measure(model, missing)
                self._keep(architecture, values)
        wanted = {name: values[name] for name in names}
        if unmet(self._config.constraints, wanted):
            raise ConstraintBroken(wanted)
        return wanted

    def after(self, model: keras.Model) -> dict[str, float]:
        """Takes the measures that depend on what was learned.

        Args:
            model: A trained model with a record.

        Raises:
            MeasureError: Something could not be measured.
        """
        return self._measure(model, [name for name, measures in self._by_name.items()
                                     if name in _after_training(measures)])

    @contextlib.contextmanager
    def _one_at_a_time(self, architecture: str | None) -> Iterator[None]:
        """Lets a second trial of the same architecture wait for the first one's values: equals must not differ."""
        if architecture is None:
            yield
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f".{architecture}.lock").open("a") as lock:
            with contextlib.suppress(OSError):  # a network's file system may have no locks; then both measure
                fcntl.flock(lock, fcntl.LOCK_EX)  # let go of when the file is closed, however this process ends
            yield

    def _known(self, architecture: str | None) -> dict[str, float]:
        try:
            values = json.loads((self._folder / f"{architecture}.json").read_text())
            return {str(name): float(value) for name, value in values.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # it is measured anew

    def _keep(self, architecture: str | None, values: Mapping[str, float]) -> None:
        if architecture is None:
            return
        temporary = self._folder / f".{architecture}.{os.getpid()}.tmp"
        temporary.write_text(json.dumps(values) + "\n")
        temporary.replace(self._folder / f"{architecture}.json")

    def _measure(self, model: keras.Model, names: Sequence[str]) -> dict[str, float]:
        values: dict[str, float] = {}
        for measures in dict.fromkeys(self._by_name[name] for name in names):
            own = [name for name in names if self._by_name[name] is measures]
            try:
                got = measures.measure(model, own, self._quiet)
                values |= {name: float(got[name]) for name in own}
            except Exception as error:
                raise MeasureError(f"{', '.join(own)} could not be measured: {' '.join(str(error).split())}") from error
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise MeasureError(f"{bad[0]} was measured as {values[bad[0]]}, which is no number to choose by.")
        return values


def _after_training(measures: Measures) -> Sequence[str]:
    return getattr(measures, "after_training", ())


def _architecture(model: keras.Model) -> str | None:
    """Returns a digest of everything but the numbers, which two models share that answer alike fast.

    None where a model from elsewhere has no configuration to tell it by.
    """
    record = record_of(model).to_dict()
    try:
        layers = "" if record["registered"] else model.to_json()
    except (NotImplementedError, TypeError, ValueError):
        return None
    arguments = {name: value for name, value in record["arguments"].items() if name not in _WITHOUT_EFFECT}
    content = {"name": record["name"], "arguments": arguments, "task": record["task"], "labels": record["labels"],
               "preprocessing": record["preprocessing"], "versions": record["versions"], "layers": layers,
               "variables": [f"{variable.path} {variable.dtype}{list(variable.shape)}" for variable in model.variables]}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
