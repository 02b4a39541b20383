"""Searches against the clock: plain KerasTuner's `search()` beside ours on `local` (2 processes) and `ray`.

    python benchmarks/tuning.py --sst2 FOLDER [--quick] [--tasks digits sst2] [--seeds 3] [--seconds 90]
                                [--arms keras_tuner local ray] [--output FOLDER]

Every arm searches the same space (benchmarks/tuning_programs) with the same oracle of KerasTuner's and the same seed,
for the same time, from the start of its process: importing, starting a cluster and saving count. The arms take turns,
seed by seed, and the order turns too. The objective is the validation loss of a trial's best epoch. KerasTuner trains
one trial after another on all cores and to the end; ours stops bad trials early (ASHA).

What is compared is the mean over the seeds of the best loss so far; before its first trial ends a search stands at
the loss of guessing. "Time" is how long an arm takes to where KerasTuner ends, as a share of how long KerasTuner
takes to get there. With few seeds that is mostly luck: who meets a good trial first. So the same is told once more
with chance evened out over the order of the trials, which is free for a random oracle.

FOLDER holds train.tsv and dev.tsv of SST-2. --quick leaves Ray out and takes less than eight minutes. Compare arms
within one run only: the load of the machine stands beside them.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# This folder has a serving.py, which would stand in front of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parent / "tuning_programs"))

from examples import make_digits, make_sst2

from benchmarks.tuning_arms import ARMS
from zoo.plot_style import BLUE, GREY, ORANGE, dress, legend, new_figure, save_figure

REFERENCE = "keras_tuner"
GUESSING = {"digits": math.log(10), "sst2": math.log(2)}
COLOURS = {"keras_tuner": GREY, "local": ORANGE, "ray": BLUE}
QUICK: dict[str, Any] = {"seeds": 2, "seconds": 48.0, "arms": ["keras_tuner", "local"]}
FULL: dict[str, Any] = {"seeds": 3, "seconds": 90.0, "arms": ["keras_tuner", "local", "ray"]}
PATIENCE_S = 120.0  # beyond the time that an arm is given


def search(arm: str, task: str, seed: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Runs an arm in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("tuning_arms.py")), arm, task, str(seed), str(seconds),
               str(folder)]
    load = os.getloadavg()[0]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + PATIENCE_S)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    found |= {"arm": arm, "task": task, "seed": seed, "load": load}
    good = [step["value"] for step in found["steps"] if step["value"] is not None]
    print(f"  {task:7} seed {seed} {arm:22} {len(found['steps']):4} trials, "
          f"{sum(step['epochs'] for step in found['steps']):5} epochs, best {min(good, default=math.nan):.4f}, "
          f"test accuracy {found['test_accuracy']:.4f}, load before {load:.1f}", flush=True)
    return found


class Curve:
    """The best value so far of a search, along time or trials."""

    def __init__(self, run: dict[str, Any], guessing: float, along: str) -> None:
        self.places, self.best = [0.0], [guessing]
        for number, step in enumerate(run["steps"], start=1):
            if step["value"] is not None and step["value"] < self.best[-1]:
                self.places.append(step["seconds"] if along == "seconds" else float(number))
                self.best.append(step["value"])

    def at(self, place: float) -> float:
        """The best value up to a place."""
        return self.best[bisect.bisect_right(self.places, place) - 1]


def mean_steps(curves: list[Curve], end: float) -> list[tuple[float, float]]:
    """The mean of several curves at each place where one of them gets better, up to an end."""
    places = sorted({place for curve in curves for place in curve.places if place <= end})
    return [(place, statistics.fmean(curve.at(place) for curve in curves)) for place in places]


def first_at(steps: list[tuple[float, float]], level: float) -> float | None:
    """The first place where a mean curve is at a level or better; None if it never is."""
    return next((place for place, value in steps if value <= level), None)


def compared(runs: list[dict[str, Any]], task: str, arms: list[str], seconds: float) -> dict[str, Any]:
    """What each arm reached in the time, and how long it took to KerasTuner's levels."""
    found: dict[str, Any] = {}
    reference: list[tuple[float, float]] = []
    for arm in arms:
        own = [run for run in runs if run["task"] == task and run["arm"] == arm]
        steps = mean_steps([Curve(run, GUESSING[task], "seconds") for run in own], seconds)
        reference = reference or steps
        level = reference[-1][1]
        there = first_at(steps, level)
        ratios = [reached / place for place, value in reference[1:]
                  if place >= seconds / 3 and (reached := first_at(steps, value)) is not None]
        found[arm] = {
            "best": steps[-1][1], "each": [Curve(run, GUESSING[task], "seconds").at(seconds) for run in own],
            "trials": statistics.fmean(sum(step["seconds"] <= seconds for step in run["steps"]) for run in own),
            "test_accuracy": statistics.fmean(run["test_accuracy"] for run in own), "seconds_to_reference": there,
            "time": there / reference[-1][0] if there is not None else None, "times_at_levels": ratios}
    return found


class Expected:
    """What a search of random trials reaches in a time, chance evened out over the order of the trials.

    Random trials are drawn alike and could have come in any order, so the trials of all seeds are one pool. The best of
    n draws has an exact mean, and n trials take the time to the first end and n - 1 mean gaps between two ends.
    """

    def __init__(self, runs: list[dict[str, Any]], guessing: float) -> None:
        worst = guessing  # a trial that was stopped early or failed gives no model
        self.values = sorted(step["value"] if step["value"] is not None else worst
                             for run in runs for step in run["steps"])
        ends = [[step["seconds"] for step in run["steps"]] for run in runs if run["steps"]]
        gaps = [later - earlier for own in ends for earlier, later in itertools.pairwise(own)]
        self.gap = statistics.fmean(gaps) if gaps else math.inf
        self.first = statistics.fmean(own[0] for own in ends) if ends else math.inf

    def best_of(self, trials: float) -> float:
        """The mean of the best of so many draws from the pool."""
        count = len(self.values)
        shares = [((count - place) / count) ** trials for place in range(count + 1)]
        return sum(value * (shares[place] - shares[place + 1]) for place, value in enumerate(self.values))

    def after(self, seconds: float) -> float:
        """The expected best after a time that at least one trial takes."""
        return self.best_of(max(1.0, 1.0 + (seconds - self.first) / self.gap))

    def seconds_to(self, level: float) -> float | None:
        """The time after which the expected best is at a level; None if no draw of the pool is that good."""
        if not self.values or self.values[0] > level:
            return None
        low, high = 1.0, 1.0
        while self.best_of(high) > level:
            low, high = high, high * 2
            if high > 1e6:
                return None
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self.best_of(middle) > level else (low, middle)
        return self.first + (high - 1.0) * self.gap


def evened(runs: list[dict[str, Any]], task: str, arms: list[str], seconds: float) -> dict[str, Any]:
    """Each arm's expected best after the time, and its time to what is expected of KerasTuner then."""
    expected = {arm: Expected([run for run in runs if run["task"] == task and run["arm"] == arm], GUESSING[task])
                for arm in arms}
    level = expected[REFERENCE].after(seconds)
    found = {}
    for arm, one in expected.items():
        there = one.seconds_to(level)
        found[arm] = {"trials_in_the_pool": len(one.values), "first_trial_s": one.first, "gap_s": one.gap,
                      "best": one.after(seconds), "seconds_to_reference": there,
                      "time": there / seconds if there is not None else None}
    return found


def show_evened(found: dict[str, Any], seconds: float) -> None:
    print(f"  chance evened out over the order of the trials, after {seconds:.0f} s\n  {'':22} {'first trial':>11} "
          f"{'then each':>10} {'best loss':>10} {'s to reference':>15} {'time':>6}")
    for arm, row in found.items():
        reached = row["seconds_to_reference"]
        there, time = (f"{reached:.1f}", f"{row['time']:.0%}") if reached is not None else ("not reached", "-")
        print(f"  {arm:22} {row['first_trial_s']:10.1f}s {row['gap_s']:9.2f}s {row['best']:10.4f} {there:>15} "
              f"{time:>6}")


def show(task: str, found: dict[str, Any], seconds: float) -> None:
    print(f"{task}: after {seconds:.0f} s\n  {'':22} {'trials':>7} {'best loss':>10} {'test acc.':>10} "
          f"{'s to reference':>15} {'time':>6} {'median time over levels':>24}")
    for arm, row in found.items():
        there = f"{row['seconds_to_reference']:.1f}" if row["seconds_to_reference"] is not None else "not reached"
        time = f"{row['time']:.0%}" if row["time"] is not None else "-"
        levels = f"{statistics.median(row['times_at_levels']):.0%}" if row["times_at_levels"] else "-"
        print(f"  {arm:22} {row['trials']:7.1f} {row['best']:10.4f} {row['test_accuracy']:10.4f} {there:>15} "
              f"{time:>6} {levels:>24}")


def draw(runs: list[dict[str, Any]], tasks: list[str], arms: list[str], seconds: float, path: Path) -> None:
    """The best loss so far by seconds and by trials: thin lines are seeds, thick ones their mean."""
    figure = new_figure(11, 4.2 * len(tasks))
    spare = iter(["#38a169", "#805ad5", "#d53f8c", "#319795", "#975a16"])
    colours = {arm: COLOURS.get(arm) or next(spare) for arm in arms}
    for (left, right), task in zip(figure.subplots(len(tasks), 2, squeeze=False), tasks, strict=True):
        for arm in arms:
            own = [run for run in runs if run["task"] == task and run["arm"] == arm]
            for axes, along in ((left, "seconds"), (right, "trials")):
                curves = [Curve(run, GUESSING[task], along) for run in own]
                end = seconds if along == "seconds" else float(max(len(run["steps"]) for run in own))
                for curve in curves:
                    axes.step([*curve.places, end], [*curve.best, curve.best[-1]], where="post", color=colours[arm],
                              linewidth=0.7, alpha=0.4)
                mean = mean_steps(curves, end)
                axes.step([*(place for place, _ in mean), end], [*(value for _, value in mean), mean[-1][1]],
                          where="post", color=colours[arm], linewidth=2.2, label=arm.replace("_", " "))
        for axes, words in ((left, "seconds since the process began"), (right, "ended trials")):
            axes.set_yscale("log")
            dress(axes, title=task, x=words, y="best validation loss")
            legend(axes)
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sst2", type=Path, help="folder with train.tsv and dev.tsv")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tasks", nargs="+", choices=sorted(GUESSING), default=["digits", "sst2"])
    parser.add_argument("--arms", nargs="+", choices=sorted(ARMS))
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--output", type=Path, default=Path("tuning-benchmark"))
    options = parser.parse_args()
    usual = QUICK if options.quick else FULL
    seeds, seconds = options.seeds or usual["seeds"], options.seconds or usual["seconds"]
    arms = [REFERENCE, *(arm for arm in options.arms or usual["arms"] if arm != REFERENCE)]
    if "sst2" in options.tasks and options.sst2 is None:
        parser.error("--sst2 FOLDER names the folder of SST-2; or leave it out with --tasks digits")
    if "digits" in options.tasks:
        make_digits()
    if "sst2" in options.tasks:
        make_sst2(options.sst2)
    options.output.mkdir(parents=True, exist_ok=True)
    runs: list[dict[str, Any]] = []
    folder = Path(tempfile.mkdtemp(prefix="zoo_tuning_"))
    try:
        for seed in range(seeds):
            for task in options.tasks:
                turn = seed % len(arms)
                for arm in arms[turn:] + arms[:turn]:
                    runs.append(search(arm, task, seed, seconds, folder / f"{task}{seed}{arm}"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = {task: compared(runs, task, arms, seconds) for task in options.tasks}
    for task, rows in found.items():
        show(task, rows, seconds)
        if all(ARMS[arm].oracle == "random" for arm in arms):
            rows["evened"] = evened(runs, task, arms, seconds)
            show_evened(rows["evened"], seconds)
    data = {"cores": os.cpu_count(), "seconds": seconds, "seeds": seeds, "compared": found, "runs": runs}
    (options.output / "tuning.json").write_text(json.dumps(data, indent=1) + "\n")
    draw(runs, options.tasks, arms, seconds, options.output / "tuning.png")
    print(f"written: {options.output / 'tuning.json'}, {options.output / 'tuning.png'}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
