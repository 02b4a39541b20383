"""Writes RESULTS.md from what the comparisons left in a folder; pictures and figures are copied beside it.

    python benchmarks/results.py [--output FOLDER]

The folder holds a NAME.md (tables) or a NAME.txt (what a script printed) for each of `SECTIONS` that was run, and
where there are any, NAME.json and NAME.png. Sections that were not run keep what an earlier run left.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECTIONS = {
    "inference": "Answers: exports beside other engines, with the same weights",
    "training": "Training steps: `zoo.training.fit` beside Keras and PyTorch",
    "compression": "Compression: accuracy of small models with and without help",
    "pruning": "Pruning: what is cut, what it costs, what it gains",
    "generation": "Text generation: tokens per second",
    "serving": "Serving: requests per second",
    "tuning": "Searches against the clock",
    "startup": "Start-up: importing, listing, loading, the first answer",
    "export": "Exports: time, size, memory",
}
HEAD = """# The last run of the benchmarks

Written by `python benchmarks/results.py` from what `make bench-full`, or scripts run by hand, left in
`benchmark-output`; each script tells in its first lines what it compares and how. Figures of one table come from one
run and count as ratios; another machine has others. `results/` holds the figures (JSON) and pictures. What a run left
out (a model, a batch size, a script) is not here.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmark-output"))
    source = parser.parse_args().output
    kept = HERE / "results"
    kept.mkdir(exist_ok=True)
    parts = [HEAD]
    for name, title in SECTIONS.items():
        for path in (source / f"{name}{suffix}" for suffix in (".json", ".png", ".md", ".txt")):
            if path.exists():
                shutil.copy(path, kept / path.name)
        tables, printed = kept / f"{name}.md", kept / f"{name}.txt"
        if tables.exists():
            text = tables.read_text(encoding="utf-8").strip()
        elif printed.exists():
            text = f"```text\n{printed.read_text(encoding='utf-8').strip()}\n```"
        else:
            continue
        parts.append(f"## {title}\n\n`benchmarks/{name}.py`\n\n{text}\n")
        if (kept / f"{name}.png").exists():
            parts.append(f"![{title}](results/{name}.png)\n")
    (HERE / "RESULTS.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
