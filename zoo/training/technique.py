"""What a training may do besides minimising the loss: learn from a teacher, quantise while it learns, keep masks.

A technique changes the model, or what is minimised, for as long as a run lasts. `fit` keeps its promises with it: what
the technique holds is saved with each epoch, so a run goes on after a kill with the numbers of an uninterrupted one;
the best epoch's state comes back with the best epoch's parameters; and a folder of other techniques is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import keras

from zoo.errors import ArgumentError
from zoo.spec import ModelRecord
from zoo.training.config import TrainingConfig
from zoo.training.objective import Objective


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a technique may want to know of the run that it takes part in.

    Attributes:
        record: The model's record before the run.
        config: How it is trained.
        objective: What is minimised and measured.
        steps: Batches in one epoch.
        labels: The data's class names, () where there are none.
    """

    record: ModelRecord
    config: TrainingConfig
    objective: Objective
    steps: int
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LossTerm:
    """A change of what is minimised; validation keeps the plain loss, so that "val_loss" compares between runs.

    Attributes:
        total: From (loss, inputs, targets, outputs, taps) to the new loss, float32 []. `loss` is the one so far,
            `inputs` and `targets` are the batch as the train step has it, `outputs` the model's answer while training,
            `taps` the values of `taps` below.
        taps: Symbolic tensors inside the model whose values `total` wants.
        layers: Built layers that learn beside the model and are not part of it, such as projections.
    """

    total: Callable[[Any, Any, Any, Any, tuple[Any, ...]], Any]
    taps: tuple[Any, ...] = ()
    layers: tuple[keras.layers.Layer, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A technique at work.

    Attributes:
        term: What it does to the loss; None for nothing.
        state: Variables that belong neither to the model nor to the term's layers: moving ranges, masks. They are
            saved with every epoch, and those of the best epoch come back with it.
        callbacks: Keras callbacks that see the run before those of the user.
        settled_from: The first epoch (from 1) that may count as the best or end the run early; before it the model
            is not yet what it shall become, such as half pruned.
        outcome: Called at the end, with the best parameters in place: JSON-ready data for the model's record, where it
            stands as `record.training[technique.name]`.
    """

    term: LossTerm | None = None
    state: tuple[keras.Variable, ...] = ()
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    settled_from: int = 1
    outcome: Callable[[], Mapping[str, Any]] | None = None


class Technique(Protocol):
    """Something that takes part in a training run."""

    @property
    def name(self) -> str:
        """A word for it, one per run, such as "distillation"."""

    def identity(self) -> Mapping[str, Any]:
        """Returns what the trained numbers depend on, JSON-ready; a run of another identity is not gone on with."""

    def applied(self, model: keras.Model, facts: RunFacts) -> AbstractContextManager[Applied]:
        """Changes the model for a while; on leaving it is plain again but for its parameters.

        It is entered once in each process of a run, before a checkpoint is read: parameters that it sets are those
        that a fresh run begins with. Inside it, `model.variables` must be the ones they were.

        Args:
            model: The model that is trained.
            facts: The run.

        Raises:
            ArgumentError: Model, data and technique do not fit together.
        """


@dataclass(frozen=True)
class Techniques:
    """All techniques of a run at work, by name, in the order in which they were given."""

    applied: Mapping[str, Applied]

    @property
    def terms(self) -> tuple[LossTerm, ...]:
        """Their changes of the loss."""
        return tuple(applied.term for applied in self.applied.values() if applied.term is not None)

    @property
    def learning(self) -> tuple[keras.Variable, ...]:
        """Variables that learn beside the model's own."""
        return tuple(variable for term in self.terms for layer in term.layers for variable in layer.trainable_variables)

    @property
    def variables(self) -> tuple[keras.Variable, ...]:
        """All that belongs to a checkpoint beside the model and the optimizer."""
        layers = [variable for term in self.terms for layer in term.layers for variable in layer.variables]
        return (*layers, *(variable for applied in self.applied.values() for variable in applied.state))

    @property
    def callbacks(self) -> tuple[keras.callbacks.Callback, ...]:
        """Their callbacks."""
        return tuple(callback for applied in self.applied.values() for callback in applied.callbacks)

    @property
    def settled_from(self) -> int:
        """The first epoch (from 1) that all of them let count."""
        return max((applied.settled_from for applied in self.applied.values()), default=1)

    def outcomes(self) -> dict[str, Any]:
        """Returns what they leave in the model's record."""
        return {name: dict(applied.outcome()) for name, applied in self.applied.items() if applied.outcome is not None}


def identities(techniques: Sequence[Technique]) -> dict[str, Any]:
    """Returns the identities by name; empty without techniques.

    Raises:
        ArgumentError: Two have one name.
    """
    names = [technique.name for technique in techniques]
    if len(set(names)) != len(names):
        raise ArgumentError(f"Each technique takes part once. Received: {', '.join(names)}")
    return {technique.name: dict(technique.identity()) for technique in techniques}


@contextmanager
def techniques_on(model: keras.Model, techniques: Sequence[Technique], facts: RunFacts) -> Iterator[Techniques]:
    """Applies the techniques for a while, the first one first.

    Args:
        model: The model that is trained.
        techniques: What takes part.
        facts: The run.

    Raises:
        ArgumentError: One does not fit the model or the data.
    """
    with ExitStack() as stack:
        applied = {technique.name: stack.enter_context(technique.applied(model, facts)) for technique in techniques}
        late = [name for name, entry in applied.items() if entry.settled_from > facts.config.epochs]
        if late:
            raise ArgumentError(f"The {late[0]} would be complete in epoch {applied[late[0]].settled_from}, and the "
                                f"run has {facts.config.epochs}. Give more `epochs`.")
        yield Techniques(applied)
