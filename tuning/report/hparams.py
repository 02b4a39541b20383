"""TensorBoard's HParams: event files of a search, written without TensorFlow.

One run per execution, trial_0007/execution0, grouped by trial, so that TensorBoard shows the mean of a trial's
executions. Curves are tagged by measure ("val_loss"); a finished execution's results are tagged "final/<measure>".
Event files only grow while a search runs, so a TensorBoard that is open follows it.
"""

from __future__ import annotations

import io
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from tuning.config import SearchConfig
from tuning.report.axes import Axis, words_of
from tuning.trial import Trial

MOST_TRIALS = 1000  # TensorBoard becomes slow with more runs; the others stand in the tables
_FILE = "events.out.tfevents.search"
_STATUSES = {"completed": api_pb2.STATUS_SUCCESS, "stopped": api_pb2.STATUS_SUCCESS,
             "infeasible": api_pb2.STATUS_FAILURE, "failed": api_pb2.STATUS_FAILURE}


def write_hparams(folder: Path, trials: Sequence[Trial], axes: Sequence[Axis], config: SearchConfig) -> None:
    """Writes or continues the event files of a search.

    Args:
        folder: What `tensorboard --logdir` is given.
        trials: The trials; of more than `MOST_TRIALS` the last ones are written.
        axes: The hyperparameters to show.
        config: The search.
    """
    trials = trials[-MOST_TRIALS:]
    began = min((trial.started for trial in trials if trial.started is not None), default=0.0)
    _put(folder, [_event(began, [_experiment(trials, axes, config, began)])])
    for trial in trials:
        begun = max((report.execution + 1 for report in trial.history), default=1)
        for execution in range(max(begun, len(trial.executions))):
            _put(folder / f"trial_{trial.id}" / f"execution{execution}", _session(trial, execution, axes))


def _experiment(trials: Sequence[Trial], axes: Sequence[Axis], config: SearchConfig,
                began: float) -> summary_pb2.Summary.Value:
    found = dict.fromkeys(name for trial in trials for values in trial.executions for name in values)
    names = [name for name in config.measured if name in found]
    names += [name for name in found if name not in names]
    experiment = api_pb2.Experiment(
        name=config.model or config.hypermodel, time_created_secs=began, hparam_infos=[_info(axis) for axis in axes],
        metric_infos=[api_pb2.MetricInfo(name=api_pb2.MetricName(tag=f"final/{name}"), display_name=name)
                      for name in names])
    return _value(metadata.EXPERIMENT_TAG, plugin_data_pb2.HParamsPluginData(experiment=experiment))


def _info(axis: Axis) -> api_pb2.HParamInfo:
    info = api_pb2.HParamInfo(name=axis.name, type=api_pb2.DATA_TYPE_FLOAT64 if _holds_numbers(axis)
                              else api_pb2.DATA_TYPE_STRING)
    if axis.choices:
        info.domain_discrete.extend(list(axis.choices) if _holds_numbers(axis) else map(words_of, axis.choices))
    else:
        info.domain_interval.min_value, info.domain_interval.max_value = axis.low, axis.high
    return info


def _holds_numbers(axis: Axis) -> bool:
    return all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in axis.choices)


def _session(trial: Trial, execution: int, axes: Sequence[Axis]) -> list[event_pb2.Event]:
    moment = trial.started or 0.0
    start = plugin_data_pb2.SessionStartInfo(group_name=f"trial_{trial.id}", start_time_secs=moment)
    for axis in axes:
        value = trial.values.get(axis.name)
        if value is not None and _holds_numbers(axis):
            start.hparams[axis.name].number_value = float(value)
        elif value is not None:
            start.hparams[axis.name].string_value = words_of(value)
    events = [_event(moment, [_value(metadata.SESSION_START_INFO_TAG,
                                     plugin_data_pb2.HParamsPluginData(session_start_info=start))])]
    for report in trial.history:
        moment += report.seconds
        if report.execution == execution:
            events.append(_event(moment, _scalars(report.values), report.epoch))
    if trial.has_ended:
        results = trial.executions[execution] if execution < len(trial.executions) else {}
        end = plugin_data_pb2.SessionEndInfo(status=_STATUSES[trial.status], end_time_secs=trial.ended or moment)
        events.append(_event(trial.ended or moment, [
            *_scalars({f"final/{name}": value for name, value in results.items()}),
            _value(metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=end))]))
    return events


def _scalars(values: Mapping[str, float]) -> list[summary_pb2.Summary.Value]:
    return [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in values.items()
            if math.isfinite(value)]


def _value(tag: str, content: Any) -> summary_pb2.Summary.Value:
    return summary_pb2.Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(content),
                                     tensor=metadata.NULL_TENSOR)


def _event(moment: float, values: Sequence[summary_pb2.Summary.Value], step: int = 0) -> event_pb2.Event:
    return event_pb2.Event(wall_time=moment, step=step, summary=summary_pb2.Summary(value=values))


def _put(folder: Path, events: Iterable[event_pb2.Event]) -> None:
    """Writes an event file: what is there already is only added to, unless it says something else."""
    memory = io.BytesIO()
    writer = RecordWriter(memory)
    writer.write(event_pb2.Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
    for event in events:
        writer.write(event.SerializeToString(deterministic=True))
    data, path = memory.getvalue(), folder / _FILE
    folder.mkdir(parents=True, exist_ok=True)
    former = path.read_bytes() if path.exists() else b""
    if former and data.startswith(former):
        with path.open("ab") as file:
            file.write(data[len(former):])
        return
    staging = folder / f".{uuid.uuid4().hex[:8]}.writing"
    staging.write_bytes(data)
    staging.replace(path)
