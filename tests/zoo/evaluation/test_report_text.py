from __future__ import annotations

import numpy as np
import pytest

from zoo.evaluation import Predictions, judge
from zoo.evaluation.report_text import markdown, summary_sentence, table


def test_cells_may_hold_anything() -> None:
    """Pipes, stars and line breaks in names do not break the table; underscores inside words stay readable."""
    text = table(["a", "b"], [["x|y *z*\nw", "my_file_1.png _this_ [link] `code` <b>"]])
    assert text.splitlines()[2] == r"| x\|y \*z\* w | my_file_1.png \_this\_ \[link] \`code\` \<b> |"


def test_numbers_are_summed_up_in_words() -> None:
    """The summary of a regression holds its error, interval and R2."""
    targets = np.linspace(0, 10, 50)[:, None]
    good = judge(Predictions((targets + 0.5).astype(np.float32), targets, tuple(map(str, range(50)))), labels=[],
                 task="regression", bootstrap_samples=100)
    assert good.summary.startswith("On 50 examples the prediction is off by 0.5 (95 % interval 0.5 to 0.5) on average")
    assert "It explains 97.1% of the variance" in good.summary
    bad = judge(Predictions(np.full((50, 1), 9.0, np.float32), targets, tuple(map(str, range(50)))), labels=[],
                task="regression", bootstrap_samples=0)
    assert "no better than always saying the mean" in bad.summary


@pytest.mark.parametrize("classes", [3, 150])
def test_every_class_or_the_worst_ones_are_listed(classes: int) -> None:
    """A long table is cut to the classes with the lowest F1, and says so."""
    targets = np.arange(classes)
    outputs = np.eye(classes, dtype=np.float32)[targets]
    outputs[-1] = outputs[0]
    report = judge(Predictions(outputs, targets, tuple(f"{i}.png" for i in targets)),
                   labels=[f"kind{i}" for i in targets], task="classification", bootstrap_samples=0)
    data = report.to_dict() | {"history": []}
    data["mistakes"] = [row | {"text": ""} for row in data["mistakes"]]
    text = markdown(data, {"worst_mistakes.png": "Worst mistakes"})
    section = text.split("## Classes")[1].split("\n## ")[0]
    assert section.count("| kind") == min(classes, 100)
    assert (f"kind{classes - 1} |" in section) and ("lowest F1 of 150" in section) == (classes == 150)
    assert "![Worst mistakes](worst_mistakes.png)" in text.split("## Worst mistakes")[1]
    assert f"{classes - 1}.png" in text
    assert summary_sentence(data) in text
