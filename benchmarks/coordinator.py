"""What the coordinator of a search costs: trials per second, what bounds them, memory, seconds added to each trial.

    python benchmarks/coordinator.py [--trials 10000] [--oracles random] [--tiny 200] [--jobs 2] [--output FILE.json]

First a study with KerasTuner's oracle and a trial that does nothing (one epoch is reported, then the result), in one
thread, on the disk of the temporary folder and in memory (/dev/shm, where there is one): trials per second at growing
numbers of trials, where the time goes (waiting for the disk, the oracle, KerasTuner's files, the study itself), bytes
written per trial, memory; how long it takes to open the search again; and what these figures come to for 100,000
trials on 1,000 workers. Before that `--tiny` trials of one weight and eight rows run for real on the local engine: the
coordinator's memory as they pass, and the seconds that a trial takes beyond its training.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# This folder has a serving.py, which would stand in front of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tuning.config import SearchConfig
from tuning.executors.local import LocalEngine
from tuning.folder import SearchFolder
from tuning.oracles.driver import make_driver
from tuning.study import journal
from tuning.study.events import Event, TrialEnded
from tuning.study.state import read_search
from tuning.study.study import Study
from tuning.trial import EpochReport, TrialOutcome

PROGRAMS = Path(__file__).resolve().parent / "tuning_programs"
STOPS = (100, 300, 1000, 3000, 10_000, 30_000, 100_000)
SPACE = {"dimensions": [
    {"name": "learning_rate", "kind": "float", "target": "training", "low": 1e-5, "high": 1e-1, "log": True},
    {"name": "dropout", "kind": "float", "target": "build", "low": 0.0, "high": 0.6},
    {"name": "units", "kind": "choice", "target": "build", "choices": [16, 32, 64, 128, 256]},
    {"name": "optimizer", "kind": "choice", "target": "training", "choices": ["adam", "sgd"]}]}


class Clocks:
    """Seconds by what they were spent on; a wrapped call inside another counts for the inner one alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its seconds counted under a name."""
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                taken = time.perf_counter() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + taken - self._inner.pop()
                self._inner[-1] += taken
        return timed


@contextmanager
def disk_waits_timed(clocks: Clocks) -> Iterator[None]:
    """Counts how long the journal waits until the disk has its records."""
    known = journal._flush
    journal._flush = clocks.wrap("waiting for the disk", known)
    try:
        yield
    finally:
        journal._flush = known


def resident_bytes() -> int:
    """Memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def written_bytes() -> int:
    """Bytes that this process has given to write calls."""
    return int(Path("/proc/self/io").read_text().split("wchar:")[1].split()[0])


def throughput(oracle: str, trials: int, folder: Path) -> dict[str, Any]:
    """Runs a study whose trials do nothing."""
    config = SearchConfig.from_dict({"model": "mlp", "space": SPACE, "trials": trials, "epochs": 1, "oracle": oracle})
    clocks = Clocks()

    def driver(*args: Any) -> Any:
        made = make_driver(*args)
        for name, what in (("next", "the oracle"), ("ended", "the oracle"), ("save", "KerasTuner's files")):
            setattr(made, name, clocks.wrap(what, getattr(made, name)))
        return made

    rows = []
    with disk_waits_timed(clocks), Study.open(SearchFolder.at(folder), config, driver=driver) as study:
        clocks.seconds.clear()
        gc.collect()
        done, lap = 0, (0, 0.0, written_bytes(), dict[str, float]())
        start = time.perf_counter()
        while (task := study.ask()) is not None:
            loss = abs(task.values["dropout"] - 0.3) + 1.0 / task.values["units"]
            study.report(task.trial, EpochReport(epoch=1, values={"val_loss": loss}))
            study.tell(task.trial, TrialOutcome(status="completed", executions=[{"val_loss": loss}]))
            done += 1
            if done in STOPS or done == trials:
                now, count = time.perf_counter() - start, done - lap[0]
                spent = {name: (seconds - lap[3].get(name, 0.0)) / count for name, seconds in clocks.seconds.items()}
                row = {"trials": done, "trials_per_second": count / (now - lap[1]), "seconds_per_trial": {
                    **spent, "the study": (now - lap[1]) / count - sum(spent.values())},
                    "written_bytes_per_trial": (written_bytes() - lap[2]) / count, "resident_bytes": resident_bytes()}
                rows.append(row)
                show(row)
                lap = (done, now, written_bytes(), dict(clocks.seconds))
    start = time.perf_counter()
    read_search(SearchFolder.at(folder))
    reading = time.perf_counter() - start
    start = time.perf_counter()
    Study.open(SearchFolder.at(folder), config).close()
    opening = time.perf_counter() - start
    size = SearchFolder.at(folder).journal.stat().st_size
    print(f"    read by others in {reading:.2f} s, opened again in {opening:.2f} s; journal {size / 1e6:.1f} MB")
    if len(rows) > 1:
        project(rows, size, opening)
    return {"rows": rows, "reading_seconds": reading, "opening_seconds": opening, "journal_bytes": size}


def project(rows: list[dict[str, Any]], journal_bytes: int, opening_seconds: float) -> None:
    """Prints what the slopes measured here come to for 100,000 trials on 1,000 workers."""
    first, last = rows[0], rows[-1]
    each = (last["resident_bytes"] - first["resident_bytes"]) / (last["trials"] - first["trials"])
    scale = 100_000 / last["trials"]
    print(f"    100,000 trials on 1,000 workers, if all grows so: {each * 1e5 / 1e6:.0f} MB more memory, a journal "
          f"of {journal_bytes * scale / 1e6:.0f} MB, opened again in {opening_seconds * scale:.0f} s; no worker waits "
          f"while a trial takes longer than {1000 / last['trials_per_second']:.1f} s")


def show(row: dict[str, Any]) -> None:
    spent = ", ".join(f"{name} {1e3 * seconds:.2f}" for name, seconds in sorted(row["seconds_per_trial"].items()))
    print(f"    to {row['trials']:6}: {row['trials_per_second']:7.0f} trials/s; ms per trial: {spent}; "
          f"{row['written_bytes_per_trial'] / 1e3:.1f} kB written; {row['resident_bytes'] / 1e6:.0f} MB", flush=True)


def tiny(count: int, jobs: int, folder: Path) -> dict[str, Any]:
    """Runs trials of next to no work on the local engine."""
    config = SearchConfig.from_dict({"hypermodel": f"{PROGRAMS / 'tiny.py'}:build", "epochs": 1, "trials": count,
                                     "data_function": f"{PROGRAMS / 'tiny.py'}:data"})
    memory: list[tuple[int, int]] = []
    moments: list[float] = []

    def look(event: Event) -> None:
        if isinstance(event, TrialEnded):
            moments.append(time.perf_counter())
            memory.append((len(moments), resident_bytes()))

    from tuning.programs.declaring import declare  # KerasTuner and TensorFlow: only where trials are run

    with Study.open(SearchFolder.at(folder), config, listener=look, declare=declare) as study:
        start = time.perf_counter()
        LocalEngine(jobs=jobs).run(study)
        statuses = [trial.status for trial in study.trials.values()]
        trained = [sum(report.seconds for report in trial.history) for trial in study.trials.values()]
        whole = [trial.seconds for trial in study.trials.values()]
    first, passed = moments[0] - start, moments[-1] - moments[0]
    quarter = len(memory) // 4
    found = {"trials": count, "completed": statuses.count("completed"), "jobs": jobs,
             "seconds_to_first": first, "seconds_per_trial": passed / (count - 1),
             "process_seconds_per_trial": sum(whole) / count, "training_seconds_per_trial": sum(trained) / count,
             "resident_bytes": [size for _, size in memory], "resident_bytes_first_quarter": memory[quarter][1],
             "resident_bytes_last": memory[-1][1],
             "largest_child_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024}
    print(f"  {count} tiny trials, {jobs} at once: {found['completed']} completed; the first after {first:.1f} s, "
          f"then one every {found['seconds_per_trial']:.3f} s; a trial's process {sum(whole) / count:.2f} s, of which "
          f"training {sum(trained) / count:.2f} s; the coordinator {memory[quarter][1] / 1e6:.1f} MB after a quarter, "
          f"{memory[-1][1] / 1e6:.1f} MB at the end")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--oracles", nargs="*", default=["random"])
    parser.add_argument("--tiny", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    places = {"disk": Path(tempfile.mkdtemp(prefix="zoo_coordinator_"))}
    if Path("/dev/shm").is_dir():
        places["memory"] = Path(tempfile.mkdtemp(prefix="zoo_coordinator_", dir="/dev/shm"))
    found: dict[str, Any] = {"cores": os.cpu_count(), "load": os.getloadavg()}
    try:
        if options.tiny > 1:
            found["tiny"] = tiny(options.tiny, options.jobs, places["disk"] / "tiny")
        for oracle in options.oracles if options.trials else ():
            for place, folder in places.items():
                print(f"  {oracle}, {options.trials} trials, folder on {place}")
                found[f"{oracle}, {place}"] = throughput(oracle, options.trials, folder / oracle)
    finally:
        for folder in places.values():
            shutil.rmtree(folder, ignore_errors=True)
    print(f"load of the machine {found['load'][0]:.1f} before, {os.getloadavg()[0]:.1f} after")
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
