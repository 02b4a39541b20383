"""What the journal tells is what the study knew, after any sequence of things that can happen."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from tests.tuning.study.parts import Counting, as_a_crash_leaves_it, configuration
from tuning.folder import SearchFolder
from tuning.study.state import read_search
from tuning.study.study import Study
from tuning.trial import EpochReport, Trial, TrialOutcome


def random_outcome(chance: random.Random) -> TrialOutcome:
    status = chance.choice(["completed", "completed", "stopped", "infeasible", "failed", "failed", "interrupted"])
    kind = chance.choice(["error", "memory", "crash", "timeout", "lost"]) if status == "failed" else ""
    measures = [{"val_loss": chance.choice([0.25, 0.5, math.inf])} for _ in range(chance.randrange(3))]
    return TrialOutcome(status=status, kind=kind, executions=measures, error=kind,  # type: ignore[arg-type]
                        seconds=chance.random())


@pytest.mark.parametrize("seed", range(8))
def test_a_study_is_what_its_journal_tells(tmp_path: Path, seed: int) -> None:
    """Trials are asked for, reported, told and lost by crashes at random; study, reader and next study agree.

    What has ended never changes, no trial runs twice at once, and no more begin than the budgets allow.
    """
    chance = random.Random(seed)
    folder = SearchFolder.at(tmp_path / "0")
    config = configuration(trials=12, epochs=4, executions=2, retries=1, total_epochs=60)
    study = Study.open(folder, config, driver=Counting)
    running: list[str] = []
    ended: dict[str, Trial] = {}
    for step in range(70):
        action = chance.random()
        if action < 0.3:
            task = study.ask()
            if task is not None:
                assert task.trial not in running and task.trial not in ended
                running.append(task.trial)
        elif action < 0.75 and running:
            report = EpochReport(epoch=chance.randint(1, 4), execution=chance.randint(0, 1),
                                 values={"val_loss": chance.random()})
            study.report(chance.choice(running), report)
        elif action < 0.95 and running:
            trial = running.pop(chance.randrange(len(running)))
            study.tell(trial, random_outcome(chance))
            if study.trials[trial].has_ended:
                ended[trial] = study.trials[trial]
        else:
            folder = as_a_crash_leaves_it(folder, tmp_path / str(step + 1))
            known, best = dict(study.trials), study.best()
            study.close()
            study, running = Study.open(folder, driver=Counting), []
            assert dict(study.trials) == known and study.best() == best
        assert set(study.running) == set(running)
    view = read_search(folder)
    assert dict(view.trials) == dict(study.trials) and view.best == study.best()
    assert {trial: study.trials[trial] for trial in ended} == ended
    assert view.progress.epochs == sum(trial.epochs for trial in view.trials.values())
    assert (view.progress.begun, view.progress.ended) == (len(view.trials), len(ended))
    assert len(view.trials) <= 12 and view.progress.epochs <= 60 + len(running) * 8
    study.close()
