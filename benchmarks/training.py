"""`zoo.training.fit` beside plain Keras `fit` and PyTorch on this processor: examples per second, turn by turn.

    python benchmarks/training.py [--quick] [--subjects imagenet_cnn resnet50 small_bert_L4_H512]
                                  [--arms "zoo fit" "Keras fit" ...] [--seconds 6] [--threads 2] [--output FOLDER]

All arms train the same weights on the same rows with Adam and the same rate (dropout off, so that the losses can be
compared). Each is a process of its own that stands still while another trains; in each round every arm has its turn,
and the order turns too. The first step, which compiles, is not timed. Keras turns XLA on by itself where it can
("Keras fit"); the arms in 16 bits use Keras's mixed policy, Grappler's rewrite of the step, or PyTorch's autocast.
"... from files" reads JPEG pictures through the library's own pipeline instead of rows in memory: where it is as fast,
the pipeline is no bottleneck.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

# This folder has a serving.py, which would stand in front of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.engines.training_worker import ARMS
from benchmarks.side_by_side import Worker, WorkerError, machine, told, versions
from zoo.plot_style import BLUE, GREY, ORANGE, dress, new_figure, save_figure

BATCHES = {"imagenet_cnn": 32, "resnet50": 8, "bert_base_uncased": 8, "small_bert_L4_H512": 8}
DEFAULT = ("imagenet_cnn", "resnet50", "small_bert_L4_H512")
_PLAIN = ["zoo fit", "zoo fit mixed_bfloat16", "Keras fit", "Keras fit without XLA", "Keras fit mixed_bfloat16",
          "PyTorch eager", "PyTorch eager bfloat16"]
# All arms stand in memory at once, so larger models have fewer.
OF_SUBJECT = {"imagenet_cnn": list(ARMS), "small_bert_L4_H512": [*_PLAIN, "PyTorch compiled"],
              "resnet50": [*_PLAIN, "PyTorch compiled"],
              "bert_base_uncased": ["zoo fit", "Keras fit", "Keras fit without XLA", "PyTorch eager"]}
REFERENCE = "Keras fit"
ROUNDS = 3
QUICK: dict[str, Any] = {"subjects": ["small_bert_L4_H512"], "seconds": 2.0,
                         "arms": ["zoo fit", "Keras fit", "Keras fit without XLA", "PyTorch eager"]}
PACKAGES = ("tensorflow", "keras", "torch", "transformers", "numpy")


def compare(subject: str, options: argparse.Namespace) -> dict[str, Any]:
    """Trains a subject in all arms, in turns."""
    batch = BATCHES[subject]
    rows: dict[str, dict[str, Any]] = {}
    faults: dict[str, str] = {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for arm in options.arms or OF_SUBJECT[subject]:
            workers[arm] = stack.enter_context(Worker(
                ["-m", "benchmarks.engines.training_worker", arm, subject, str(batch), str(options.threads)],
                options.threads, patience=900.0))
        for arm, worker in workers.items():
            print(f"  {subject}: {arm} begins", file=sys.stderr, flush=True)
            try:
                first = worker.ask(steps=1)["loss"]
                pace = worker.ask(steps=1)["milliseconds"][0]  # memory is laid out by now
                rows[arm] = {"first_loss": first, "milliseconds": [],
                             "steps": max(1, round(1e3 * options.seconds / ROUNDS / pace))}
            except WorkerError as error:
                faults[arm] = str(error)
                print(f"  {subject}: {arm} fails: {error}", file=sys.stderr, flush=True)
        arms = list(rows)
        for turn in range(ROUNDS):
            for arm in arms[turn % len(arms):] + arms[:turn % len(arms)]:
                try:
                    rows[arm]["milliseconds"] += workers[arm].ask(steps=rows[arm]["steps"])["milliseconds"]
                except (WorkerError, KeyError) as error:  # what failed in an earlier turn has no row any more
                    faults.setdefault(arm, str(error))
                    rows.pop(arm, None)
    for arm, row in rows.items():
        row["median"] = statistics.median(row["milliseconds"])
        row["per_second"] = 1e3 * batch / row["median"]
        row["milliseconds"] = [float(f"{value:.4g}") for value in row["milliseconds"]]
        print(f"  {subject}: {arm} {row['median']:.0f} ms a step, {row['per_second']:.1f} examples/s, first loss "
              f"{row['first_loss']:.4f}", file=sys.stderr, flush=True)
    return {"batch": batch, "arms": rows, "faults": faults}


def tables(results: dict[str, Any]) -> str:
    """All results as Markdown."""
    lines = [f"Machine: {told(results['machine'])}.", f"Versions: {told(results['versions'])}."]
    for subject, entry in results["subjects"].items():
        rows = entry["arms"]
        lines += ["", f"### {subject}, batch {entry['batch']}", "",
                  f"| arm | ms a step | examples/s | against {REFERENCE} | first loss | steps |",
                  "|" + "---|" * 6]
        for arm in sorted(rows, key=lambda arm: rows[arm]["median"]):
            row = rows[arm]
            speed = f"{rows[REFERENCE]['median'] / row['median']:.2f}x" if REFERENCE in rows else ""
            shown = f"**{arm}**" if arm.startswith("zoo") else arm
            lines.append(f"| {shown} | {row['median']:.0f} | {row['per_second']:.1f} | {speed} | "
                         f"{row['first_loss']:.4f} | {len(row['milliseconds'])} |")
        lines += [f"- Left out: {arm}: {trouble}" for arm, trouble in entry["faults"].items()]
    return "\n".join(lines) + "\n"


def draw(results: dict[str, Any], path: Path) -> None:
    """Draws the examples per second."""
    subjects = [subject for subject, entry in results["subjects"].items() if entry["arms"]]
    if not subjects:
        return
    figure = new_figure(4.8 * len(subjects), 4.2)
    for axes, subject in zip(figure.subplots(1, len(subjects), squeeze=False)[0], subjects, strict=True):
        rows = results["subjects"][subject]["arms"]
        names = sorted(rows, key=lambda arm: rows[arm]["per_second"])
        colours = [ORANGE if arm.startswith("zoo") else GREY if arm.startswith("Keras") else BLUE for arm in names]
        axes.barh(names, [rows[arm]["per_second"] for arm in names], color=colours)
        for place, arm in enumerate(names):
            axes.text(rows[arm]["per_second"], place, f" {rows[arm]['per_second']:.3g}", va="center", fontsize=7)
        dress(axes, title=f"{subject}, batch {results['subjects'][subject]['batch']}", x="examples per second")
        axes.tick_params(axis="y", labelsize=7)
        axes.margins(x=0.15)
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"small: {QUICK}")
    parser.add_argument("--subjects", nargs="+", choices=list(BATCHES))
    parser.add_argument("--arms", nargs="+", choices=list(ARMS))
    parser.add_argument("--seconds", type=float, help="that each arm trains for each subject")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, default=Path("benchmark-output"))
    options = parser.parse_args()
    wanted = QUICK if options.quick else {"subjects": list(DEFAULT), "seconds": 6.0, "arms": None}
    for name, value in wanted.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    results: dict[str, Any] = {"machine": machine(options.threads), "versions": versions(PACKAGES), "subjects": {}}
    options.output.mkdir(parents=True, exist_ok=True)
    for subject in options.subjects:
        results["subjects"][subject] = compare(subject, options)
        (options.output / "training.json").write_text(json.dumps(results, indent=1))
        (options.output / "training.md").write_text(tables(results), encoding="utf-8")
        draw(results, options.output / "training.png")
    print(tables(results))


if __name__ == "__main__":
    main()
