"""TensorBoard's HParams, read back by TensorBoard itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tuning.config import SearchConfig
from tuning.report.axes import axes_of
from tuning.report.hparams import write_hparams
from tuning.trial import EpochReport, Trial

CONFIG = SearchConfig.from_dict({"model": "mlp", "objectives": ["val_accuracy"]})

# In a process of its own, where TensorBoard is told that there is no TensorFlow.
_READER = """
import json, sys, types
sys.modules["tensorboard.compat.notf"] = types.ModuleType("notf")
from google.protobuf.json_format import MessageToDict
from tensorboard import context
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups
multiplexer = plugin_event_multiplexer.EventMultiplexer()
multiplexer.AddRunsFromDirectory(sys.argv[1])
multiplexer.Reload()
provider = data_provider.MultiplexerDataProvider(multiplexer, sys.argv[1])
asked = (context.RequestContext(), backend_context.Context(
    base_plugin.TBContext(data_provider=provider, logdir=sys.argv[1])), "")
experiment = get_experiment.Handler(*asked, api_pb2.GetExperimentRequest()).run()
groups = list_session_groups.Handler(*asked, api_pb2.ListSessionGroupsRequest(
    start_index=0, slice_size=100, allowed_statuses=[0, 1, 2, 3])).run()
curves = {run: {tag: [(event.step, round(event.tensor_proto.float_val[0], 4)) for event in
                      multiplexer.Tensors(run, tag)] for tag in multiplexer.GetAccumulator(run).Tags()["tensors"]
                if not tag.startswith("_hparams_")} for run in multiplexer.Runs()}
print(json.dumps({"experiment": MessageToDict(experiment), "groups": MessageToDict(groups), "curves": curves}))
"""


def trial(name: str, *, status: str = "completed", epochs: int = 2, executions: int = 2, **values: Any) -> Trial:
    history = tuple(EpochReport(epoch=epoch, execution=execution, seconds=1.0,
                                values={"val_accuracy": 0.1 * epoch + 0.2 * execution})
                    for execution in range(executions) for epoch in range(1, epochs + 1))
    ended = status != "running"
    results = tuple({"val_accuracy": 0.1 * epochs + 0.2 * i} for i in range(executions)) if ended else ()
    return Trial(id=name, values=values, status=status, history=history, executions=results,  # type: ignore[arg-type]
                 started=1000.0, ended=1010.0 if ended else None)


def read(folder: Path) -> dict[str, Any]:
    answer = subprocess.run([sys.executable, "-c", _READER, str(folder)], capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def write(folder: Path, *trials: Trial) -> None:
    write_hparams(folder, trials, axes_of([], trials), CONFIG)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("tensorboard")
    write(folder, trial("0000", rate=0.1, kind="a"), trial("0001", rate=0.2, kind="b", status="failed", executions=1),
          trial("0002", rate=0.3, kind="b", status="running", executions=1, epochs=1))
    return read(folder)


def test_tensorboard_shows_the_hyperparameters_and_results(found: dict[str, Any]) -> None:
    """The experiment names each hyperparameter with its kind, and the objective."""
    kinds = {info["name"]: info["type"] for info in found["experiment"]["hparamInfos"]}
    assert kinds == {"rate": "DATA_TYPE_FLOAT64", "kind": "DATA_TYPE_STRING"}
    assert [info["name"]["tag"] for info in found["experiment"]["metricInfos"]] == ["final/val_accuracy"]


def test_a_trials_executions_are_one_group_with_their_mean(found: dict[str, Any]) -> None:
    """Two executions of 0.2 and 0.4 are shown as 0.3; failed and running trials are told apart."""
    groups = {group["name"]: group for group in found["groups"]["sessionGroups"]}
    assert groups["trial_0000"]["hparams"] == {"rate": 0.1, "kind": "a"}
    assert groups["trial_0000"]["metricValues"][0]["value"] == pytest.approx(0.3)
    assert [session["name"] for session in groups["trial_0000"]["sessions"]] == ["trial_0000/execution0",
                                                                                  "trial_0000/execution1"]
    assert {name: group["sessions"][0].get("status") for name, group in groups.items()} == {
        "trial_0000": "STATUS_SUCCESS", "trial_0001": "STATUS_FAILURE", "trial_0002": None}


def test_each_execution_has_its_curve(found: dict[str, Any]) -> None:
    """Steps are epochs from 1."""
    assert found["curves"]["trial_0000/execution1"]["val_accuracy"] == [[1, 0.3], [2, 0.4]]
    assert found["curves"]["trial_0002/execution0"] == {"val_accuracy": [[1, 0.1]]}


def test_event_files_only_grow_while_a_trial_goes_on(tmp_path: Path) -> None:
    """A TensorBoard that has a file open finds the later epochs behind the earlier ones; nothing is written twice."""
    short = trial("0000", status="running", epochs=1, executions=1, rate=0.1)
    other = trial("0001", status="running", epochs=1, executions=1, rate=0.2)
    write(tmp_path, short, other)
    (file,) = (tmp_path / "trial_0000" / "execution0").iterdir()
    before, inode = file.read_bytes(), file.stat().st_ino
    write(tmp_path, trial("0000", epochs=3, executions=1, rate=0.1), other)
    assert file.read_bytes().startswith(before) and len(file.read_bytes()) > len(before)
    assert file.stat().st_ino == inode


def test_the_writer_needs_no_tensorflow(tmp_path: Path) -> None:
    """`zoo tune report` does not wait for TensorFlow to load."""
    code = "import sys, tuning.report.hparams, tuning.report.plots; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
