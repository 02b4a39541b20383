"""The study begins, judges, retries and counts trials."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.tuning.study.parts import Counting, configuration, run_all, run_trial
from tuning.errors import SearchError, StoreError
from tuning.folder import SearchFolder
from tuning.objectives import Constraint, Objective
from tuning.study.events import EpochDone, Event, Remark, SearchEnded, TrialBegun, TrialEnded
from tuning.study.study import Study
from tuning.trial import EpochReport, TrialOutcome

OK = TrialOutcome(status="completed", executions=[{"val_loss": 1.0}])


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    return SearchFolder.at(tmp_path / "search")


def test_a_search_runs_to_its_end(folder: SearchFolder) -> None:
    """Four trials are begun one after the other, the best is known, and what happened was told in order."""
    events: list[Event] = []
    with Study.open(folder, configuration(), driver=Counting, listener=events.append) as study:
        assert not study.done and study.best() is None
        run_all(study)
        assert study.ask() is None
        best = study.best()
        assert best is not None and best.measures["val_loss"] == min(t.measures["val_loss"]
                                                                     for t in study.trials.values())
        assert study.front() == (best,)
        assert [trial.epochs for trial in study.trials.values()] == [3, 3, 3, 3]
        assert study.progress.epochs == 12
    kinds = [type(event) for event in events]
    assert kinds == [TrialBegun, EpochDone, EpochDone, EpochDone, TrialEnded] * 4 + [SearchEnded]
    assert events[-1] == SearchEnded(reason="finished")
    assert [event.is_best for event in events if isinstance(event, TrialEnded)] == [True, True, True, True]


def test_tasks_hold_what_a_process_needs(folder: SearchFolder) -> None:
    """Every trial and every execution has a seed of its own, which follows from the search's."""
    with Study.open(folder, configuration(executions=3, seed=40), driver=Counting) as study:
        tasks = list(itertools.islice(iter(study.ask, None), 4))
    assert [task.seed for task in tasks] == [40, 43, 46, 49]
    assert {(task.executions, task.epochs, task.until_epoch, task.attempt) for task in tasks} == {(3, 3, 3, 1)}
    assert json.loads(json.dumps(tasks[1].to_dict())) == tasks[1].to_dict()


def test_reports_are_idempotent(folder: SearchFolder) -> None:
    """An epoch that is told three times is known once, is counted once, and the listener hears of it once."""
    events: list[Event] = []
    with Study.open(folder, configuration(), driver=Counting, listener=events.append) as study:
        task = study.ask()
        assert task is not None
        for _ in range(3):
            assert study.report(task.trial, EpochReport(epoch=1, values={"val_loss": 3.0}))
        size = folder.journal.stat().st_size
        assert study.report(task.trial, EpochReport(epoch=1, values={"val_loss": 9.0}))
        assert folder.journal.stat().st_size == size
        assert [r.values for r in study.trials[task.trial].history] == [{"val_loss": 3.0}]
        assert study.progress.epochs == 1
        study.tell(task.trial, OK)
        study.tell(task.trial, TrialOutcome(status="failed", kind="crash"))
        assert study.trials[task.trial].status == "completed"
        assert not study.report(task.trial, EpochReport(epoch=2, values={"val_loss": 9.0}))
    assert sum(isinstance(event, EpochDone) for event in events) == 1


def test_an_unknown_trial_is_refused(folder: SearchFolder) -> None:
    """A trial that nobody asked for is named with those that are known."""
    with Study.open(folder, configuration(), driver=Counting) as study:
        study.ask()
        with pytest.raises(SearchError, match=r"no trial '0007' .* Known: 0000"):
            study.report("0007", EpochReport(epoch=1, values={}))
        with pytest.raises(SearchError, match="no trial '0007'"):
            study.tell("0007", OK)


@pytest.mark.parametrize("kind", ["memory", "crash", "timeout", "lost"])
def test_what_may_pass_is_tried_again(folder: SearchFolder, kind: str) -> None:
    """A trial that died is tried twice more before other trials begin, with the same seed, and has then failed."""
    with Study.open(folder, configuration(retries=2, trials=2), driver=Counting) as study:
        attempts = [study.ask()]
        for _ in range(3):
            study.tell("0000", TrialOutcome(status="failed", kind=kind, error="it died", seconds=2.0))  # type: ignore[arg-type]
            attempts.append(study.ask())
        tried = [(task.trial, task.attempt, task.seed) for task in attempts if task]
        assert tried == [("0000", 1, 0), ("0000", 2, 0), ("0000", 3, 0), ("0001", 1, 1)]
        trial = study.trials["0000"]
        assert (trial.status, trial.kind, trial.error, trial.attempts, trial.seconds) == (
            "failed", kind, "it died", 3, 6.0)


def test_what_would_come_again_is_not_tried_again(folder: SearchFolder) -> None:
    """A trial that was refused has failed at once."""
    with Study.open(folder, configuration(retries=5), driver=Counting) as study:
        study.ask()
        study.tell("0000", TrialOutcome(status="failed", kind="error", error="no such column"))
        assert study.trials["0000"].status == "failed"


def test_an_interruption_does_not_count(folder: SearchFolder) -> None:
    """A trial may be interrupted more often than it may fail, and goes on before any other begins."""
    with Study.open(folder, configuration(retries=1), driver=Counting) as study:
        first, second = study.ask(), study.ask()
        assert first and second
        study.tell(second.trial, TrialOutcome(status="interrupted"))
        study.tell(first.trial, TrialOutcome(status="interrupted"))
        for _ in range(4):
            again = study.ask()
            assert again is not None and again.trial == first.trial
            study.tell(first.trial, TrialOutcome(status="interrupted"))
        assert study.trials[first.trial].status == "running"
        assert not study.running and not study.done


def test_five_refusals_in_a_row_end_the_search(folder: SearchFolder) -> None:
    """A cause that all trials share is said after five of them; the same search can be opened again and goes on."""
    events: list[Event] = []
    config = configuration(trials=50)
    with Study.open(folder, config, driver=Counting, listener=events.append) as study:
        while task := study.ask():
            study.tell(task.trial, TrialOutcome(status="failed", kind="error", error="no such column"))
        assert len(study.trials) == 5 and study.done
    assert events[-1] == SearchEnded(reason="failing")
    remark, = (event for event in events if isinstance(event, Remark))
    assert "5 trials failed one after the other, the last with: no such column" in remark.text
    with Study.open(folder, config, driver=Counting) as study:
        assert not study.done
        run_all(study)
        assert len(study.trials) == 50


def test_trials_end_the_search(folder: SearchFolder) -> None:
    """With three processes no more trials begin than were wished for."""
    with Study.open(folder, configuration(trials=4), driver=Counting) as study:
        tasks = [study.ask() for _ in range(6)]
        assert [task is None for task in tasks] == [False] * 4 + [True] * 2
        assert not study.done
        for task in tasks[:4]:
            run_trial(study, task)  # type: ignore[arg-type]
        assert study.done


def test_epochs_end_the_search(folder: SearchFolder) -> None:
    """No trial begins whose epochs others will use, and the one that reaches the bound stops there."""
    with Study.open(folder, configuration(trials=None, total_epochs=7), driver=Counting) as study:
        tasks = [study.ask() for _ in range(4)]
        assert [task is None for task in tasks] == [False, False, False, True]
        for task in tasks[:3]:
            run_trial(study, task)  # type: ignore[arg-type]
        assert [trial.status for trial in study.trials.values()] == ["completed", "completed", "stopped"]
        assert study.done and study.progress.used_up == "total_epochs"
        stopped = study.trials["0002"]
        assert stopped.epochs == 1 and stopped.measures == {"val_loss": stopped.history[0].values["val_loss"]}


def test_minutes_end_the_search(folder: SearchFolder) -> None:
    """Minutes are counted while a process works on the search and not between; then trials stop at their epoch."""
    now = [1_000_000.0]
    config = configuration(trials=None, minutes=1)
    for _ in range(2):
        with Study.open(folder, config, driver=Counting, clock=lambda: now[0]) as study:
            now[0] += 25
            task = study.ask()
            assert task is not None
            run_trial(study, task)
        now[0] += 3600
    with Study.open(folder, config, driver=Counting, clock=lambda: now[0]) as study:
        assert study.progress.seconds == 50 and not study.done
        task = study.ask()
        now[0] += 11
        assert task is not None
        run_trial(study, task)
        assert study.trials[task.trial].status == "stopped" and study.trials[task.trial].epochs == 1
        assert study.done and study.ask() is None


def test_a_finite_space_ends_the_search(folder: SearchFolder) -> None:
    """An oracle that has nothing left ends a search before its budget."""

    class OnlyTwo(Counting):
        last = 2

    with Study.open(folder, configuration(), driver=OnlyTwo) as study:
        run_all(study)
        assert len(study.trials) == 2 and not study.progress.used_up


def test_a_stop_rests_the_trials(folder: SearchFolder) -> None:
    """A stop file makes running trials stop after their epoch and keeps them for the next time."""
    events: list[Event] = []
    with Study.open(folder, configuration(), driver=Counting, listener=events.append) as study:
        task = study.ask()
        assert task is not None
        folder.stop_request.touch()
        run_trial(study, task)
        assert study.stopping and study.ask() is None and not study.done
        assert study.trials["0000"].status == "running"
    assert events[-1] == SearchEnded(reason="asked")
    with Study.open(folder, driver=Counting) as study:
        assert not study.stopping and not folder.stop_request.exists()
        again = study.ask()
        assert again is not None and (again.trial, again.attempt) == ("0000", 2)
        assert study.report("0000", EpochReport(epoch=1, values={"val_loss": 9.0}))
        run_trial(study, again)
        assert study.trials["0000"].epochs == 3


def test_a_rule_stops_a_trial(folder: SearchFolder) -> None:
    """The median rule stops a bad trial, its best epoch counts, and the stop is told again after a crash."""
    config = configuration(trials=5, epochs=4, stopper="median", stopper_options={"min_samples_required": 2})
    with Study.open(folder, config, driver=Counting) as study:
        for _ in range(3):
            task = study.ask()
            assert task is not None
            run_trial(study, task)
        bad = study.ask()
        assert bad is not None
        reports = [EpochReport(epoch=epoch, values={"val_loss": 50.0 - epoch}) for epoch in (1, 2, 3)]
        said = [study.report(bad.trial, report) for report in reports]
        assert False in said
    with Study.open(folder, driver=Counting) as study:
        assert study.ask() is not None
        assert [study.report(bad.trial, report) for report in reports] == said
        study.tell(bad.trial, TrialOutcome(status="stopped"))
        assert study.trials[bad.trial].status == "stopped"
        assert study.trials[bad.trial].measures == {"val_loss": 47.0}


def test_executions_are_averaged(folder: SearchFolder) -> None:
    """A trial of three executions counts with their mean, and its spread is their standard deviation."""
    with Study.open(folder, configuration(executions=3), driver=Counting) as study:
        study.ask()
        study.tell("0000", TrialOutcome(status="completed", executions=[
            {"val_loss": 1.0, "size_mb": 2}, {"val_loss": np.float32(2.0)}, {"val_loss": 6.0}]))  # type: ignore[dict-item]
        trial = study.trials["0000"]
        assert trial.measures == {"val_loss": 3.0, "size_mb": 2.0}
        assert trial.spread == {"val_loss": pytest.approx(math.sqrt(7.0))}


def test_a_diverged_trial_never_wins(folder: SearchFolder) -> None:
    """A loss that is no number is kept as what it is, through the journal too, and another trial is the best."""
    with Study.open(folder, configuration(), driver=Counting) as study:
        study.ask(), study.ask()
        study.report("0000", EpochReport(epoch=1, values={"val_loss": math.nan, "loss": math.inf}))
        study.tell("0000", TrialOutcome(status="completed"))
        assert study.best() is None and not folder.winner.exists()
        study.tell("0001", OK)
        assert study.best() == study.trials["0001"]
    with Study.open(folder, driver=Counting) as study:
        assert math.isnan(study.trials["0000"].measures["val_loss"])
        assert study.trials["0000"].history[0].values["loss"] == math.inf


def test_constraints_decide_who_wins(folder: SearchFolder) -> None:
    """The better model that answers too late is infeasible, and what it lacks is said."""
    config = configuration(constraints=(Constraint.parse("latency_ms<=5"),))
    with Study.open(folder, config, driver=Counting) as study:
        study.ask(), study.ask()
        study.tell("0000", TrialOutcome(status="completed", executions=[{"val_loss": 0.1, "latency_ms": 5.5}]))
        study.tell("0001", TrialOutcome(status="completed", executions=[{"val_loss": 0.2, "latency_ms": 4.5}]))
        assert study.trials["0000"].status == "infeasible"
        assert study.trials["0000"].error == "latency_ms is 5.5, which does not meet latency_ms<=5"
        assert study.best() == study.trials["0001"]


def test_two_objectives_have_a_front(folder: SearchFolder) -> None:
    """Of four trials the one that another beats in both is not on the front; the first objective names the best."""
    config = configuration(objectives=(Objective.parse("val_accuracy"), Objective.parse("latency_ms")))
    with Study.open(folder, config, driver=Counting) as study:
        for accuracy, latency in ((0.9, 5.0), (0.8, 1.0), (0.7, 2.0), (0.95, 9.0)):
            task = study.ask()
            assert task is not None
            study.tell(task.trial, TrialOutcome(status="completed", executions=[
                {"val_accuracy": accuracy, "latency_ms": latency}]))
        assert {trial.id for trial in study.front()} == {"0000", "0001", "0003"}
        assert study.best() == study.trials["0003"]


def test_a_trial_without_its_objective_has_failed(folder: SearchFolder) -> None:
    """A search for what training does not give says so, with what it gives."""
    with Study.open(folder, configuration(objectives=(Objective.parse("val_auc"),)), driver=Counting) as study:
        study.ask()
        study.tell("0000", OK)
        trial = study.trials["0000"]
        assert (trial.status, trial.kind) == ("failed", "error")
        assert "val_auc. It has: val_loss" in trial.error


def test_a_batch_is_one_line(folder: SearchFolder) -> None:
    """What is told in a batch is written as one line, which a new study reads like many."""
    with Study.open(folder, configuration(trials=30), driver=Counting) as study:
        before = len(folder.journal.read_text().splitlines())
        with study.batch():
            run_all(study)
        assert len(folder.journal.read_text().splitlines()) == before + 1
        trials, best = dict(study.trials), study.best()
    with Study.open(folder, driver=Counting) as study:
        assert dict(study.trials) == trials and study.best() == best
        assert json.loads(folder.winner.read_text())["trial"] == best.id  # type: ignore[union-attr]


def test_a_closed_study_refuses_calls(folder: SearchFolder) -> None:
    """After `close` nothing is taken, and closing again does nothing."""
    study = Study.open(folder, configuration(), driver=Counting)
    study.close()
    study.close()
    for call in (study.ask, lambda: study.remark("hello")):
        with pytest.raises(StoreError, match="closed"):
            call()


@pytest.fixture
def finished(folder: SearchFolder) -> Iterator[SearchFolder]:
    with Study.open(folder, configuration(), driver=Counting) as study:
        run_all(study)
    yield folder


def test_a_finished_search_goes_on_with_a_larger_budget(finished: SearchFolder) -> None:
    """The same search with more trials keeps those it has; what else differs is refused."""
    with Study.open(finished, configuration(trials=6), driver=Counting) as study:
        before = dict(study.trials)
        assert not study.done
        run_all(study)
        assert len(study.trials) == 6
        assert {name: study.trials[name] for name in before} == before
    with Study.open(finished, driver=Counting) as study:
        assert study.config.trials == 6 and study.done
    with pytest.raises(StoreError, match="`epochs` is 3 there, and 5 was given"):
        Study.open(finished, configuration(epochs=5), driver=Counting)


def test_the_clock_may_be_put_back(finished: SearchFolder) -> None:
    """A clock that went back takes no minutes from the search and breaks nothing."""
    config = dataclasses.replace(configuration(trials=6), minutes=5.0)
    with Study.open(finished, config, driver=Counting, clock=lambda: 1000.0) as study:
        run_all(study)
        assert 0 <= study.progress.seconds < 60
