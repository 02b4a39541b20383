"""The tables and the picture of `inference.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.engines.table import ENGINES
from benchmarks.side_by_side import told
from zoo.plot_style import BLUE, GREY, ORANGE, dress, new_figure, save_figure

TITLES = {"resnet50": "ResNet-50, 224 x 224", "mobilenet_v2": "MobileNet V2, 224 x 224",
          "efficientnet_b0": "EfficientNet B0, 224 x 224", "bert_base": "BERT base, 128 tokens",
          "small_bert": "Small BERT (4 layers of 512), 128 tokens"}
OURS = {"float32": "zoo safe", "bfloat16": "zoo bfloat16", "int8": "zoo int8"}
Rows = Mapping[str, Mapping[str, Any]]


def tables(results: Mapping[str, Any]) -> str:
    """All results as Markdown."""
    facts = results["facts"]
    lines = [f"Machine: {told(facts['machine'])}; load at the start {results['load']:.1f}; {results['when']}.",
             f"Versions: {told(facts['versions'])}."]
    if "limits" in results:
        limits = results["limits"]
        lines.append("Measured limits: " + ", ".join(f"{name} {limits[name] / 1e9:.0f} G/s" for name in limits)
                     + " (operations by precision; bytes read from memory).")
    for model, entry in results["models"].items():
        if entry["batches"]:
            lines += ["", f"### {TITLES[model]}", "", *_table(entry, results["reference"]), "", *_ratios(entry),
                      *_threads(entry, facts["machine"]["threads"])]
        lines += [f"- Left out: {name}: {trouble}" for name, trouble in entry["faults"].items()]
    return "\n".join(lines) + "\n"


def _table(entry: Mapping[str, Any], reference: str) -> list[str]:
    batches: Mapping[str, Rows] = entry["batches"]
    columns = [f"batch {batch}, ms | against {reference} | of the limit" for batch in batches]
    lines = [f"| engine | precision | {' | '.join(columns)} | error | same label | MB |",
             "|" + "---|" * (5 + 3 * len(batches))]
    first: Rows = next(iter(batches.values()))
    last: Rows = list(batches.values())[-1]
    order = sorted({name for rows in batches.values() for name in rows},
                   key=lambda name: first.get(name, {}).get("median", float("inf")))
    for name in order:
        cells = []
        for rows in batches.values():
            if name not in rows:
                cells.append("| |")
                continue
            row = rows[name]
            speed = f"{row['times_as_fast']:.2f}x" if "times_as_fast" in row else ""
            share = f"{100 * row['share_of_limit']:.0f}%" if "share_of_limit" in row else ""
            cells.append(f"{row['median']:.3g} | {speed} | {share}")
        row = last.get(name) or first[name]
        shown = f"**{name}**" if ENGINES[name].ours else name
        lines.append(f"| {shown} | {ENGINES[name].precision} | {' | '.join(cells)} | {row['error']:.1e} | "
                     f"{100 * row['agreement']:.0f}% | {row['memory_mb']:.0f} |")
    return lines


def _ratios(entry: Mapping[str, Any]) -> list[str]:
    """One line for each precision: how many times as fast as each peer ours is."""
    lines = []
    for precision, ours in OURS.items():
        peers = [name for name, engine in ENGINES.items() if engine.precision == precision and not engine.ours]
        if precision == "int8":
            peers.append(OURS["bfloat16"])
        parts = []
        for peer in peers:
            ratios = [f"{rows[peer]['median'] / rows[ours]['median']:.2f}x at {batch}"
                      for batch, rows in entry["batches"].items() if peer in rows and ours in rows]
            if ratios:
                parts.append(f"{peer} {', '.join(ratios)}")
        if parts:
            lines.append(f"- {ours}: times as fast as {'; '.join(parts)}.")
    return lines


def _threads(entry: Mapping[str, Any], threads: int) -> list[str]:
    """With how many threads ours ran: all others have as many within an operation as across operations."""
    parts = []
    for name, told_of_it in entry.get("optimization", {}).items():
        chosen = told_of_it.get("serving_threads", {}).get("threads", {})
        parts.append(f"{name} {chosen.get('intra_op', threads)} within an operation and "
                     f"{chosen.get('inter_op', threads)} across, rows in up to {told_of_it.get('row_parts', 1)} parts")
    return [f"- Threads: {'; '.join(parts)}; the others {threads}."] if parts else []


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draws the milliseconds of each engine, one row of bars for each model and one column for each batch size."""
    models = [model for model, entry in results["models"].items() if entry["batches"]]
    batches = sorted({batch for model in models for batch in results["models"][model]["batches"]}, key=int)
    if not models:
        return
    figure = new_figure(4.6 * len(batches), 0.9 + 3.0 * len(models))
    grid = figure.subplots(len(models), len(batches), squeeze=False)
    for axes_of_model, model in zip(grid, models, strict=True):
        for axes, batch in zip(axes_of_model, batches, strict=True):
            rows = results["models"][model]["batches"].get(batch, {})
            names = sorted(rows, key=lambda name: -rows[name]["median"])
            colours = [ORANGE if ENGINES[name].ours else GREY if name == results["reference"] else BLUE
                       for name in names]
            axes.barh(names, [rows[name]["median"] for name in names], color=colours)
            for place, name in enumerate(names):
                axes.text(rows[name]["median"], place, f" {rows[name]['median']:.3g}", va="center", fontsize=6)
            dress(axes, title=f"{TITLES[model].split(',')[0]}, batch {batch}", x="milliseconds (median)")
            axes.tick_params(axis="y", labelsize=6)
            axes.margins(x=0.15)
    save_figure(figure, path)
