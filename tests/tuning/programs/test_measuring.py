"""Objectives that no training gives: who measures them, when, and what a broken constraint ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import zoo
from tests.tuning.programs.in_memory import MemoryContext, points, search, task
from tuning.config import SearchConfig
from tuning.errors import MeasureError
from tuning.folder import SearchFolder
from tuning.programs.known_measures import installed_measures
from tuning.programs.measuring import ConstraintBroken, Measurer
from tuning.programs.running import run_task
from zoo.data_source import DataSource


class Counting:
    """Measures that a package could offer; counts how often it is asked."""

    names: Mapping[str, str] = {"layers": "number of layers", "bias": "the head's bias"}
    after_training = ("bias",)

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def measure(self, model: Any, names: Sequence[str], quiet: Any) -> dict[str, float]:
        self.asked.append(tuple(names))
        with quiet():
            values = {"layers": float(len(model.layers)), "bias": float(model.get_layer("predictions").bias[0])}
        return {name: values[name] for name in names}


def config(*names: str, constraints: tuple[str, ...] = ()) -> SearchConfig:
    return search(DataSource(path="points.csv", target=("side",)), objectives=("val_loss", *names),
                  constraints=constraints)


def measurer(folder: Path, known: Counting, *names: str, constraints: tuple[str, ...] = ()) -> Measurer:
    context = MemoryContext(folder, task())
    return Measurer(config(*names, constraints=constraints), context.folder, context.quiet,
                    dict.fromkeys(known.names, known))


def test_only_what_the_search_names_is_measured(tmp_path: Path) -> None:
    """A measure is taken where it is an objective or a constraint, before or after the training as it wants."""
    model, known = zoo.build("mlp_binary", seed=0), Counting()
    assert measurer(tmp_path, known).names == ()
    assert measurer(tmp_path, known).before(model) == {} == measurer(tmp_path, known).after(model)
    assert known.asked == []
    both = measurer(tmp_path, known, "min:layers", constraints=("bias<=1",))
    assert both.names == ("layers", "bias")
    assert both.before(model) == {"layers": len(model.layers)}
    assert both.after(model) == {"bias": 0.0}
    assert known.asked == [("layers",), ("bias",)]


def test_equal_architectures_are_measured_once(tmp_path: Path) -> None:
    """Another seed and other weights change nothing; another argument does. What is known stays in the folder."""
    known = Counting()
    for seed in (0, 1):
        measurer(tmp_path, known, "min:layers").before(zoo.build("mlp_binary", seed=seed))
    assert len(known.asked) == 1
    measurer(tmp_path, known, "min:layers").before(zoo.build("mlp_binary", dropout=0.5))
    assert len(known.asked) == 2
    files = list((tmp_path / "measures").glob("*.json"))
    assert len(files) == 2
    files[0].write_text("{half a fi")
    files[1].write_text("[]")
    measurer(tmp_path, known, "min:layers").before(zoo.build("mlp_binary", dropout=0.5))
    assert len(known.asked) == 3  # a damaged file is measured anew


def test_two_trials_of_one_architecture_agree(tmp_path: Path) -> None:
    """The second waits for the first one's values: equal models must not differ by the noise of a measurement."""
    begun, go_on, model = threading.Event(), threading.Event(), zoo.build("mlp_binary", seed=0)

    class Slow(Counting):
        def measure(self, model: Any, names: Sequence[str], quiet: Any) -> dict[str, float]:
            begun.set()
            assert go_on.wait(60)
            self.asked.append(tuple(names))
            return {"layers": 1000.0 + len(self.asked)}

    known = Slow()
    found: list[dict[str, float]] = []
    threads = [threading.Thread(target=lambda: found.append(measurer(tmp_path, known, "min:layers").before(model)))
               for _ in range(2)]
    threads[0].start()
    assert begun.wait(60)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert found == [{"layers": 1001.0}] * 2


def test_a_measure_that_fails_says_which(tmp_path: Path) -> None:
    """The message names the measure and keeps the reason; no number and infinity are refused as well."""

    class Broken(Counting):
        def measure(self, model: Any, names: Sequence[str], quiet: Any) -> dict[str, float]:
            raise RuntimeError("no scales here")

    class Infinite(Counting):
        def measure(self, model: Any, names: Sequence[str], quiet: Any) -> dict[str, float]:
            return {"layers": float("inf")}

    class Silent(Counting):
        def measure(self, model: Any, names: Sequence[str], quiet: Any) -> dict[str, float]:
            return {}

    model = zoo.build("mlp_binary")
    for known, words in ((Broken(), "layers could not be measured: no scales here"),
                         (Infinite(), "layers was measured as inf"), (Silent(), "layers could not be measured")):
        with pytest.raises(MeasureError, match=words):
            measurer(tmp_path, known, "min:layers").before(model)
    assert not list((tmp_path / "measures").glob("*.json"))


def test_a_broken_constraint_is_told_before_the_training(tmp_path: Path) -> None:
    """Bounds are held against what is known by then, and what else is bound waits."""
    model, known = zoo.build("mlp_binary"), Counting()
    with pytest.raises(ConstraintBroken) as raised:
        measurer(tmp_path, known, constraints=("layers<=1", "bias<=-5")).before(model)
    assert raised.value.measures == {"layers": len(model.layers)}
    assert measurer(tmp_path, known, constraints=("layers>=1", "bias<=-5")).before(model) != {}


def test_installed_packages_offer_measures() -> None:
    """Speed, size and memory of the exported model come with the serving half, each with words for people."""
    known = installed_measures()
    assert {"latency_ms", "latency_p99_ms", "size_mb", "memory_mb", "parameters"} <= set(known)
    assert "median milliseconds" in known["latency_ms"].names["latency_ms"]


def test_trials_are_measured_as_they_will_be_served(tmp_path: Path) -> None:
    """The exported model's latency is an objective of a real trial; one that breaks a bound is not trained."""
    data = points(tmp_path)
    whole = search(data, objectives=("val_accuracy", "latency_ms", "size_mb"), constraints=("latency_ms<=10000",))
    context = MemoryContext(tmp_path / "search", task(values={"learning_rate": 0.1}, epochs=1))
    outcome = run_task(whole.to_dict(), context)
    assert outcome.status == "completed", outcome.error
    measures = outcome.executions[0]
    assert 0 < measures["latency_ms"] < 10000 and 0 < measures["size_mb"] < 5 and "val_accuracy" in measures
    assert context.quiet_times == 1
    known = json.loads(next((tmp_path / "search" / "measures").glob("*.json")).read_text())
    assert known == {name: measures[name] for name in ("latency_ms", "size_mb")}

    strict = whole.replace(constraints=search(data, constraints=("latency_ms<=1e-6",)).constraints)
    refused = MemoryContext(tmp_path / "search", task("0001", values={"learning_rate": 0.2}, epochs=1))
    outcome = run_task(strict.to_dict(), refused)
    assert (outcome.status, refused.reports, refused.quiet_times) == ("infeasible", [], 0)
    assert outcome.executions == (known,)
    assert outcome.error == f"latency_ms is {known['latency_ms']:g} and latency_ms<=1e-06 was wanted"
    assert not SearchFolder.at(tmp_path / "search").execution("0001").exists()
