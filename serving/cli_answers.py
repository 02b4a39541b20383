"""How `zoo predict` shows answers to people: tables of labels and numbers, words with labels, gaps, generated texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.console import output_console

_SHOWN_NUMBERS = 8
_CUT_OFF = "truncated"
Outputs = dict[str, np.ndarray[Any, Any]]


def plain(value: Any) -> Any:
    """An array's content as JSON-ready data; bytes become text."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def show_answers(sources: Sequence[str], outputs: Outputs) -> None:
    """Prints the answers.

    Args:
        sources: Where each example came from.
        outputs: Arrays [N, ...] by output name.
    """
    console = output_console()
    cut_off = outputs.get(_CUT_OFF)
    if {"tokens", "labels", "starts"} <= set(outputs):
        _show_words(console, sources, outputs)
    elif "text" in outputs:
        _show_texts(console, sources, outputs)
    elif "tokens" in outputs and outputs["tokens"].ndim == 3:
        _show_gaps(console, sources, outputs)
    else:
        _show_table(console, sources, {name: value for name, value in outputs.items()
                                       if name != _CUT_OFF or np.any(value)})
        return
    for source, was_cut in zip(sources, [] if cut_off is None else cut_off, strict=False):
        if was_cut:
            console.print(f"cut off, because it is longer than the model reads: {source}", markup=False)


def _show_table(console: Any, sources: Sequence[str], outputs: Outputs) -> None:
    from rich.text import Text

    table = _table("input", *sorted(outputs))
    for index, source in enumerate(sources):
        table.add_row(Text(source), *(Text(_cell(plain(outputs[name][index]))) for name in sorted(outputs)))
    console.print(table)


def _show_words(console: Any, sources: Sequence[str], outputs: Outputs) -> None:
    from rich.text import Text

    for index, source in enumerate(sources):
        console.print(source, markup=False)
        table = _table("word", "label", "score", "bytes")
        rows = zip(*(plain(outputs[name][index]) for name in ("tokens", "labels", "scores", "starts", "ends")),
                   strict=True)
        for word, label, score, start, end in rows:
            if start >= 0:
                table.add_row(Text(word), Text(label), f"{score:.4f}", f"{start}-{end}")
        console.print(table)


def _show_gaps(console: Any, sources: Sequence[str], outputs: Outputs) -> None:
    from rich.text import Text

    table = _table("input", "gap", "words")
    for index, source in enumerate(sources):
        gaps = zip(plain(outputs["tokens"][index]), plain(outputs["scores"][index]), strict=True)
        found = [(words, scores) for words, scores in gaps if any(words)]
        for number, (words, scores) in enumerate(found, start=1):
            ranked = ", ".join(f"{word} {score:.4f}" for word, score in zip(words, scores, strict=True))
            table.add_row(Text(source if number == 1 else ""), str(number), Text(ranked))
        if not found:
            table.add_row(Text(source), "none", "")
    console.print(table)


def _show_texts(console: Any, sources: Sequence[str], outputs: Outputs) -> None:
    for source, text in zip(sources, plain(outputs["text"]), strict=True):
        console.print(f"{source}", markup=False, style="bold", highlight=False)
        console.print(f"{text}\n", markup=False, highlight=False, soft_wrap=True)


def _table(*titles: str) -> Any:
    from rich import box
    from rich.table import Table

    return Table(*titles, box=box.SIMPLE)


def _cell(value: Any) -> str:
    if not isinstance(value, list):
        return f"{value:.4f}" if isinstance(value, float) else str(value)
    shown = ", ".join(_cell(item) for item in value[:_SHOWN_NUMBERS])
    return shown + (", ..." if len(value) > _SHOWN_NUMBERS else "")
