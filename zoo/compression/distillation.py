"""Distillation: a small model learns from the answers of a large one, and, if wished, from its insides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from zoo.compression.hidden_states import Pair, distance, hidden_pairs
from zoo.compression.soft_targets import logits_of, soft_loss
from zoo.compression.teacher_inputs import inputs_for_teacher
from zoo.compression.teacher_layers import take_layers
from zoo.errors import ArgumentError
from zoo.spec import ModelRecord, record_of
from zoo.training.fine_tuning import computing_in
from zoo.training.objective import gives_logits
from zoo.training.technique import Applied, LossTerm, RunFacts
from zoo.training.token_objective import LANGUAGE_TASKS

_PADDING_MASK = "padding_mask"


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """A teacher for a training run: `zoo.training.fit(student, ..., techniques=(Distillation(teacher=...),))`.

    The teacher sees the same batches as the student, augmentation and mixup included, and does not learn. What is
    minimised is (1 - weight) * loss of the labels + weight * loss of the teacher's answers + hidden * distance of the
    states; validation measures the labels alone.

    Attributes:
        teacher: A trained model with a record, for the student's task and the same labels.
        weight: Share of the teacher's answers in the loss, in [0, 1].
        temperature: What the logits are divided by, above 0: the higher, the more the wrong classes tell.
        hidden: Weight of the distance between the states of student and teacher, at least 0; 0 compares none.
        take_layers: Whether the student begins with the parameters of the teacher's blocks.
        source: Where the teacher comes from, for the record.
    """

    teacher: keras.Model
    weight: float = 0.5
    temperature: float = 2.0
    hidden: float = 0.0
    take_layers: bool = False
    source: str = ""

    name = "distillation"

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight <= 1.0:
            raise ArgumentError(f"`weight` is the teacher's share of the loss, in [0, 1]. Received: {self.weight}")
        if not 0.0 < self.temperature < float("inf"):
            raise ArgumentError(f"`temperature` must be a number above 0. Received: {self.temperature}")
        if not 0.0 <= self.hidden < float("inf"):
            raise ArgumentError(f"`hidden` must be a number of at least 0. Received: {self.hidden}")
        if self.weight == 0.0 and self.hidden == 0.0 and not self.take_layers:
            raise ArgumentError("A teacher without a share in the loss, hidden states and layers teaches nothing. Give "
                                "`weight` or `hidden` above 0.")

    def identity(self) -> Mapping[str, Any]:
        """Returns the teacher's sha256 and the settings."""
        return {"teacher": _sha256(self.teacher), **self._settings()}

    @contextmanager
    def applied(self, model: keras.Model, facts: RunFacts) -> Iterator[Applied]:
        """Lets the teacher take part for a while.

        Args:
            model: The student.
            facts: The run.

        Raises:
            ArgumentError: The two do not fit together.
        """
        known = record_of(self.teacher)
        _check(model, self.teacher, known, facts)
        prepare = inputs_for_teacher(facts.record, known, self.teacher)
        blocks = take_layers(model, self.teacher) if self.take_layers else {}
        pairs = hidden_pairs(model, self.teacher, facts.config.seed) if self.hidden else []
        with ExitStack() as stack:
            stack.enter_context(computing_in(self.teacher, facts.config.mixed_precision))
            yield Applied(term=self._term(prepare, pairs, facts),
                          outcome=lambda: self._outcome(known, pairs, blocks))

    def _term(self, prepare: Any, pairs: list[Pair], facts: RunFacts) -> LossTerm:
        objective = facts.objective
        soft = soft_loss(objective, self.temperature)
        theirs_are_logits = objective.task in LANGUAGE_TASKS or gives_logits(self.teacher)
        watched = keras.Model(self.teacher.input, [*self.teacher.outputs, *(pair.theirs.tensor for pair in pairs)])

        def total(loss: Any, inputs: Any, targets: Any, outputs: Any, taps: tuple[Any, ...]) -> Any:
            answers = watched(prepare(inputs), training=False)
            answers = answers if isinstance(answers, list | tuple) else [answers]
            loss = (1.0 - self.weight) * loss
            if self.weight:
                loss += self.weight * soft(
                    targets, logits_of(outputs, objective, from_logits=objective.from_logits),
                    keras.ops.stop_gradient(logits_of(answers[0], objective, from_logits=theirs_are_logits)))
            mask = inputs.get(_PADDING_MASK) if isinstance(inputs, dict) else None
            apart = [distance(pair, ours, keras.ops.stop_gradient(theirs), mask)
                     for pair, ours, theirs in zip(pairs, taps, answers[1:], strict=True)]
            return loss + self.hidden * sum(apart) / len(apart) if apart else loss

        return LossTerm(total=total, taps=tuple(pair.ours.tensor for pair in pairs),
                        layers=tuple(pair.projection for pair in pairs if pair.projection is not None))

    def _settings(self) -> dict[str, Any]:
        return {"weight": self.weight, "temperature": self.temperature, "hidden": self.hidden,
                "take_layers": self.take_layers}

    def _outcome(self, known: ModelRecord, pairs: list[Pair], blocks: Mapping[str, str]) -> dict[str, Any]:
        return {"teacher": known.name, "source": self.source, "sha256": _sha256(self.teacher),
                "parameters": int(self.teacher.count_params()), **self._settings(), "layers": dict(blocks),
                "states": [[pair.ours.name, pair.theirs.name] for pair in pairs]}


def _sha256(model: keras.Model) -> str:
    digest = hashlib.sha256()
    for variable in model.weights:
        digest.update(f"{variable.dtype}{tuple(variable.shape)}".encode())
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


def _check(student: keras.Model, teacher: keras.Model, known: ModelRecord, facts: RunFacts) -> None:
    ours = facts.record
    if any(mine is other for mine in student.weights for other in teacher.weights):
        raise ArgumentError("The teacher shares parameters with the student. Load it on its own: zoo.load.")
    if facts.objective.task == "embedding":
        raise ArgumentError("A teacher gives classes, tags, tokens or values to learn from; embeddings learn from "
                            "pairs of texts alone. Leave the teacher out.")
    if known.task != ours.task:
        raise ArgumentError(f"The teacher {known.name!r} is made for {known.task.replace('_', ' ')} and the student "
                            f"{ours.name!r} for {ours.task.replace('_', ' ')}. Choose a teacher for the same task.")
    labels = tuple(ours.labels or facts.labels)
    if known.labels and labels and tuple(known.labels) != labels:
        raise ArgumentError("The teacher's labels are not the student's in the same order: "
                            f"{', '.join(known.labels[:10])} against {', '.join(labels[:10])}. Train the student on "
                            "data with the teacher's labels.")
    if teacher.output_shape[-1] != student.output_shape[-1]:
        raise ArgumentError(f"The teacher's answer has {teacher.output_shape[-1]} values and the student's "
                            f"{student.output_shape[-1]}. Choose a teacher for the same task and vocabulary.")
