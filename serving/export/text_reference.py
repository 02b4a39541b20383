"""Golden answers for words and gaps, counted out in Python from what the Keras model says: not by the graph's way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.export.samples import strings

Array = NDArray[Any]


def labelled(probabilities: Array, transform: Any, texts: Array, names: Sequence[str],
             tolerance: Mapping[str, float]) -> tuple[dict[str, Array], dict[str, Any]]:
    """The label of every word by its first piece, see `serving.export.text_answers.labelled_words`.

    Returns:
        The outputs, and "certain" and "ordered" of the golden vector.
    """
    pieces = transform.words(texts)
    words, starts, ends = (part.to_list() for part in (pieces.words, pieces.starts, pieces.ends))
    rows, certain = [], []
    margin = 2 * (tolerance["absolute"] + tolerance["relative"])
    for row, of_row in enumerate(words):
        firsts = [column for column, word in enumerate(of_row) if column == 0 or of_row[column - 1] != word]
        scores = [probabilities[row, column + 1] for column in firsts]
        spans = [(starts[row][column], max(end for end, word in zip(ends[row], of_row, strict=True)
                                           if word == of_row[column])) for column in firsts]
        rows.append([(texts[row][start:end], names[int(np.argmax(score))].encode(), score.max(), start, end)
                     for (start, end), score in zip(spans, scores, strict=True)])
        certain.append([place for place, score in enumerate(scores)
                        if np.sum(score >= score.max() - margin) == 1])
    longest = max(map(len, rows), default=0)
    padded = [row + [(b"", b"", 0.0, -1, -1)] * (longest - len(row)) for row in rows]
    columns = [[[cell[part] for cell in row] for row in padded] for part in range(5)]
    tokens, labels = (strings([text for row in part for text in row]).reshape(len(rows), longest)
                      for part in columns[:2])
    outputs = {"tokens": tokens, "labels": labels, "scores": _grid(columns[2], np.float32, len(rows), longest),
               "starts": _grid(columns[3], np.int32, len(rows), longest),
               "ends": _grid(columns[4], np.int32, len(rows), longest)}
    return outputs, {"certain": certain, "ordered": ["labels"]}


def filled(logits: Array, token_ids: Array, transform: Any, k: int,
           tolerance: Mapping[str, float]) -> tuple[dict[str, Array], dict[str, Any]]:
    """The best words of every gap, see `serving.export.text_answers.filled_masks`.

    Returns:
        The outputs, and "certain" and "ordered" of the golden vector.
    """
    places = [np.flatnonzero(row == transform.mask_id) for row in token_ids]
    most = max(map(len, places), default=0)
    tokens = strings([b""] * (len(places) * most * k)).reshape(len(places), most, k)
    scores = np.zeros((len(places), most, k), np.float32)
    certain: list[list[int]] = []
    for row, columns in enumerate(places):
        certain.append([])
        for gap, column in enumerate(columns):
            exact = logits[row, column].astype(np.float64)
            chances = np.exp(exact - exact.max())
            chances /= chances.sum()
            best = np.argsort(-chances, kind="stable")[:k]
            tokens[row, gap] = [transform.spec.vocabulary[word].encode() for word in best]
            scores[row, gap] = chances[best]
            # The order of logits is what is at stake, and they are not as exact as their largest is large.
            margin = 2 * (tolerance["absolute"] + tolerance["relative"] * float(np.abs(exact).max()))
            certain[-1] += [gap * k + place for place, word in enumerate(best)
                            if np.sum(np.abs(exact - exact[word]) <= margin) == 1]
    return {"tokens": tokens, "scores": scores}, {"certain": certain, "ordered": ["tokens"]}


def _grid(values: list[list[Any]], dtype: Any, rows: int, columns: int) -> Array:
    return np.array(values, dtype).reshape(rows, columns)
