"""Training: compile, fit epoch by epoch, save, resume, and leave the model with its best parameters."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import keras
import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.spec import ModelRecord, attach_record, record_of
from zoo.training.adapters import adapters_on, freeze_layers
from zoo.training.augmentation import augmenter_for
from zoo.training.callbacks import EpochWatch, RunCallbacks, callbacks_for, failures_explained
from zoo.training.checkpoint import Checkpoints, open_checkpoints
from zoo.training.config import TrainingConfig
from zoo.training.events import BlocksUnfrozen, EpochBegun, EpochEnded, Pause, Progress, ProgressEvent, RunResumed
from zoo.training.feed import Feed, seed_random_layers
from zoo.training.fine_tuning import computing_in, freeze_all_but_head, kernel_penalties, trainable_flags_kept
from zoo.training.layer_groups import layer_groups
from zoo.training.learner import Learner
from zoo.training.objective import Objective, monitored, objective_for
from zoo.training.optimizers import optimizer_for
from zoo.training.phases import Phase, phases_of, unfrozen_blocks, unfrozen_by_epoch
from zoo.training.protocols import TrainingData
from zoo.training.report import StopReason, TrainingReport
from zoo.training.run_state import RunState
from zoo.training.schedules import PhaseSchedule, schedule_for
from zoo.training.technique import RunFacts, Technique, Techniques, identities, techniques_on

TENSORBOARD_FOLDER = "tensorboard"


def fit(model: keras.Model, data: TrainingData, config: TrainingConfig, directory: str | os.PathLike[str], *,
        callbacks: Sequence[keras.callbacks.Callback] = (), progress: Progress | None = None,
        pause: Pause | None = None, restart: bool = False, techniques: Sequence[Technique] = ()) -> TrainingReport:
    """Trains a model, or goes on with a training that was interrupted.

    Each finished epoch is saved in `directory`. The same call after a crash or a kill goes on at the next epoch and
    ends with the numbers of an uninterrupted run; after the end it only loads what was trained. The callbacks see
    one run per process; what they keep in memory is not part of a checkpoint.

    Args:
        model: A model with a record, as `zoo.build` returns it; trained in place. Afterwards it has the parameters
            of the best epoch (of the last with restore_best=False), the `trainable` flags it had, and a record
            that tells how it was trained.
        data: Labels and splits; without a validation split the training measures decide.
        config: How to train.
        directory: Folder of this run.
        callbacks: Keras callbacks; one may set `model.stop_training` at the end of an epoch.
        progress: Called with each event of `zoo.training.events`.
        pause: Asked after each saved epoch, and about the last saved one before a run goes on. True ends this call: the
            model has its best parameters so far, and the same call, in whatever process, goes on and ends with the
            numbers of a run that never paused.
        restart: Whether to remove an earlier run from the folder and start afresh.
        techniques: What takes part besides the loss, such as a teacher; see `zoo.training.technique`. Where one
            changes the loss, the callbacks' `model` is a `Learner` that holds the model.

    Returns:
        What was done, earlier processes included.

    Raises:
        ArgumentError: Model, data and configuration do not fit together.
        TrainingError: The folder holds another run, the loss is no number, memory or disk is full, or an example
            cannot be read.
        MissingDependencyError: TensorBoard is wanted and not installed.
    """
    plan = _plan(model, data, config)
    identity = plan.identity | ({"techniques": identities(techniques)} if techniques else {})  # of the plain model
    with (trainable_flags_kept(model), adapters_on(model, config), techniques_on(model, techniques, plan.facts) as
          taking_part, open_checkpoints(directory, identity, restart=restart) as checkpoints):
        state = checkpoints.read_state()
        resumed_from = state.epoch if state else None
        finished = state is not None and bool(state.stopped)
        if state is not None:
            checkpoints.restore_model(model, taking_part.variables)
        if not finished:
            run = _Run(plan, taking_part, checkpoints, progress or _ignore, pause or _never)
            state = run.train(state, callbacks)
        report = _finish(plan, taking_part, checkpoints, cast(RunState, state))
    return dataclasses.replace(report, already_finished=finished, resumed_from=None if finished else resumed_from)


# === Before ===


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What is decided before the first step."""

    model: keras.Model
    record: ModelRecord
    config: TrainingConfig
    objective: Objective
    feed: Feed
    monitor: str
    labels: tuple[str, ...]
    fingerprint: str
    phases: list[Phase]

    @property
    def facts(self) -> RunFacts:
        """What techniques are told."""
        return RunFacts(record=self.record, config=self.config, objective=self.objective, steps=self.feed.steps,
                        labels=self.labels)

    @property
    def identity(self) -> dict[str, Any]:
        """What the trained numbers depend on."""
        record = self.record.to_dict()
        return {
            "model": {"name": record["name"], "arguments": record["arguments"], "weights": record["weights"],
                      "preprocessing": record["preprocessing"],
                      "parameters": [f"{v.dtype}{list(v.shape)}" for v in self.model.weights]},
            "data": {"fingerprint": self.fingerprint, "labels": list(self.labels)},
            "config": self.config.numeric_identity(),
        }


def _plan(model: keras.Model, data: TrainingData, config: TrainingConfig) -> _Plan:
    record = record_of(model)
    if data.train is None:
        raise ArgumentError("The data have no training split.")
    objective = objective_for(model, record, data, config)
    feed = Feed(train=data.train, validation=data.validation, objective=objective, batch_size=config.batch_size,
                seed=config.seed, augment=augmenter_for(config.augmentation, record, objective.outputs))
    feed.check(model)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    return _Plan(model=model, record=record, config=config, objective=objective, feed=feed,
                 monitor=monitored(config, objective, validated=data.validation is not None),
                 labels=tuple(data.labels), fingerprint=data.fingerprint, phases=phases_of(config, model))


# === The run ===


class _Run:
    """Trains from a state to the end; the model is as before afterwards, but for its parameters."""

    def __init__(self, plan: _Plan, taking_part: Techniques, checkpoints: Checkpoints, tell: Progress,
                 pause: Pause) -> None:
        self.plan = plan
        self.model = plan.model
        self.taking_part = taking_part
        self.learner = Learner(plan.model, taking_part.terms) if taking_part.terms else plan.model
        self.config = plan.config
        self.checkpoints = checkpoints
        self.tell = tell
        self.pause = pause
        self.paused = False
        self.watch = EpochWatch(plan.config.epochs, plan.feed.steps, tell)
        self.optimizer: keras.optimizers.Optimizer | None = None

    def train(self, state: RunState | None, given: Sequence[keras.callbacks.Callback]) -> RunState:
        folder = self.checkpoints.directory / TENSORBOARD_FOLDER if self.config.tensorboard else None
        callbacks = callbacks_for(self.learner, self.watch, [*self.taking_part.callbacks, *given], tensorboard=folder)
        if state is None:
            seed_random_layers(self.model, self.config.seed)
            state = RunState(monitor=self.plan.monitor)
        else:
            self.tell(RunResumed(epoch=state.epoch, epochs=self.config.epochs))
            self.paused = self.pause(self._last_epoch(state))
            if self.paused:
                return state
        validating = self.plan.feed.validating()
        try:
            with _in_training_form(self.model, self.config), callbacks.running():
                for phase in self.plan.phases:
                    if phase.first <= state.epoch < phase.last and not state.stopped and not self.paused:
                        state = self._train_phase(phase, state, validating, callbacks)
        finally:
            if self.optimizer is not None:
                # Once more, to drop the compiled steps that still compute in the training form.
                self._compile_with(self.optimizer)
        return state

    def _train_phase(self, phase: Phase, state: RunState, validating: Any, callbacks: RunCallbacks) -> RunState:
        with trainable_flags_kept(self.model):
            schedule = self._compile(phase)
            if self.config.unfreeze_every is not None and not phase.frozen:
                groups = layer_groups(self.model)
                self.tell(BlocksUnfrozen(epoch=state.epoch + 1, unfrozen=unfrozen_blocks(phase, groups),
                                         blocks=groups.blocks))
            if state.epoch == phase.first:
                state = state.unfrozen_further() if phase.continued else state.phase_begun()
            else:
                self.checkpoints.restore_optimizer(self.learner.optimizer)
            while state.epoch < phase.last and not state.stopped and not self.paused:
                schedule.scale.assign(state.learning_rate_scale)
                state = self._train_epoch(phase, state, schedule, validating, callbacks)
        return state

    def _compile(self, phase: Phase) -> PhaseSchedule:
        freeze_layers(self.model, self.config, phase.lowest)
        if phase.frozen:
            freeze_all_but_head(self.model)
        schedule = schedule_for(self.config, peak=phase.peak, epochs=phase.schedule_last - phase.schedule_first,
                                steps_per_epoch=self.plan.feed.steps, done_epochs=phase.first - phase.schedule_first)
        self.optimizer = optimizer_for(self.config, schedule, self.model, self.taking_part.learning)
        self._compile_with(self.optimizer)
        return schedule

    def _compile_with(self, optimizer: keras.optimizers.Optimizer) -> None:
        # No XLA: on a CPU it trains more slowly than TensorFlow's own kernels. The optimizer scales the loss itself.
        self.learner.compile(optimizer=optimizer, loss=self.plan.objective.loss(),
                             metrics=self.plan.objective.metrics(), jit_compile=False, auto_scale_loss=False)

    def _train_epoch(self, phase: Phase, state: RunState, schedule: PhaseSchedule, validating: Any,
                     callbacks: RunCallbacks) -> RunState:
        epoch, rate = state.epoch, float(schedule(self.learner.optimizer.iterations))
        self.tell(EpochBegun(epoch=epoch + 1, epochs=self.config.epochs, batches=self.plan.feed.steps,
                             learning_rate=rate, frozen=phase.frozen))
        # One call per epoch: each epoch has its own order of examples, and a resumed run finds the same one.
        with failures_explained(self.watch, self.config.batch_size):
            self.learner.fit(self.plan.feed.training(epoch), validation_data=validating, initial_epoch=epoch,
                             epochs=epoch + 1, shuffle=False, verbose=0, callbacks=callbacks)
        measures = {"epoch": epoch + 1, "learning_rate": rate, **self.watch.measures}
        state = state.after_epoch(measures, self.config, seconds=self.watch.seconds,
                                  train_seconds=self.watch.train_seconds, asked_to_stop=self.learner.stop_training,
                                  complete=phase.complete, settled=epoch + 1 >= self.taking_part.settled_from)
        self.checkpoints.write(state, self.model, optimizer=self.learner.optimizer, beside=self.taking_part.variables)
        ended = self._last_epoch(state)
        self.tell(ended)
        self.paused = self.pause(ended)
        return state

    def _last_epoch(self, state: RunState) -> EpochEnded:
        return EpochEnded(epoch=state.epoch, epochs=self.config.epochs, logs=state.history[-1],
                          seconds=state.seconds[-1], best=state.is_best)


@contextmanager
def _in_training_form(model: keras.Model, config: TrainingConfig) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(computing_in(model, config.mixed_precision))
        stack.enter_context(kernel_penalties(model, config.l1, config.l2))
        yield


def _ignore(event: ProgressEvent) -> None:
    """Nobody watches."""


def _never(event: EpochEnded) -> bool:
    return False


# === After ===


def _finish(plan: _Plan, taking_part: Techniques, checkpoints: Checkpoints, state: RunState) -> TrainingReport:
    restored = plan.config.restore_best and state.best_epoch > 0
    if restored:
        checkpoints.restore_best(plan.model, state, taking_part.variables)
    speeds = [plan.feed.train.count / seconds for seconds in state.train_seconds]
    report = TrainingReport(history=state.history, monitor=state.monitor, best_epoch=state.best_epoch,
                            best_value=state.best_value, stopped=cast(StopReason, state.stopped or "paused"),
                            restored_best=restored, seconds=state.seconds,
                            examples_per_second=statistics.median(speeds), directory=str(checkpoints.directory))
    checkpoints.write_report(report)
    _record_training(plan, report, taking_part.outcomes())
    return report


def _record_training(plan: _Plan, report: TrainingReport, outcomes: Mapping[str, Any]) -> None:
    training = {"config": plan.config.to_dict(), "data": plan.fingerprint, "epochs": report.epochs,
                "best_epoch": report.best_epoch, "monitor": report.monitor, "stopped": report.stopped,
                "measures": dict(report.final), "history": [dict(epoch) for epoch in report.history]}
    if plan.config.unfreeze_every is not None:
        training["unfrozen"] = unfrozen_by_epoch(plan.model, plan.phases)
    training |= outcomes
    attach_record(plan.model, plan.record.replace(training=training, labels=plan.record.labels or plan.labels))
