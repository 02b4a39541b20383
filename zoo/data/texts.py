"""Texts with labels or numbers, from class folders of .txt files or from CSV, TSV and JSON lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from zoo.data.labelled import LabelledData
from zoo.data.planning import plan_split
from zoo.data.rows import has_row_files
from zoo.data.splitting import SplitFractions
from zoo.data.text_encoding import AnyText, text_data
from zoo.data.text_folders import text_files
from zoo.data.text_rows import TextColumns, text_rows
from zoo.errors import ArgumentError
from zoo.spec import TEXT_PREPROCESSING, TextPreprocessing

TextTask = Literal["classification", "regression"]
TASKS: tuple[TextTask, ...] = ("classification", "regression")


def load_texts(path: str | Path, preprocessing: AnyText | None = None, *, task: TextTask = "classification",
               text_column: str | int | None = None, text_pair_column: str | int | None = None,
               label_column: str | int | None = None, header: bool | None = None, max_length: int = 128,
               max_words: int | None = None, lowercase: bool = True, validation_fraction: float = 0.15,
               test_fraction: float = 0.15, seed: int = 0, keep_duplicates: bool = False,
               labels: Sequence[str] | None = None) -> LabelledData:
    """Checks and splits labelled texts; they are read from their files as training goes on.

    Memory holds a path per file or less than 100 bytes per row, and the vocabulary.

    Args:
        path: A folder of class folders of UTF-8 .txt files; or a CSV, TSV or JSON lines file with a text and a label
            column; or a folder with train.csv (.tsv, .jsonl ...) and at will validation (val, dev) and test files
            beside it, or train/, validation/ and test/ folders of class folders: then this split is kept and only a
            part that is missing is cut out of train.
        preprocessing: How a text becomes ids: words, word pieces or byte pairs. None takes words. A vocabulary that
            is missing is learnt from the training part only (that of byte pairs is then the 256 bytes).
        task: "classification", or "regression" for a label column of numbers.
        text_column: Name or position of the text column; None guesses it.
        text_pair_column: Name or position of the column with the second text of each example (word pieces only);
            None for single texts.
        label_column: Name or position of the label column; None guesses it.
        header: Whether the first row of a CSV or TSV holds column names; None finds out by usual names.
        max_length: Words that are kept of each text, where no `preprocessing` is given.
        max_words: Size of a learnt vocabulary; None takes the 20,000 most frequent words, or 8,000 word pieces.
        lowercase: Whether case is ignored, where no `preprocessing` is given.
        validation_fraction: Fraction of each class in [0, 1) to choose by; 0 for no validation part.
        test_fraction: Fraction of each class in [0, 1) to judge by; 0 for no test part.
        seed: Chooses the examples of the parts; see `zoo.data.splitting` for what the split depends on.
        keep_duplicates: Uses equal texts nevertheless. By default the first of each is used, and none of those with
            different labels (of a regression the first, whatever the numbers).
        labels: Class names to use, in the order of the class index; None for all.

    Returns:
        Inputs int32 [B, max_length] of words, or a dict of int32 [B, L] with the longest text of the batch deciding
        L; targets int32 [B] or float32 [B, 1]. `preprocessing` of the result has the vocabulary.

    Raises:
        ArgumentError: An argument out of range, or pairs for a preprocessing of single texts.
        DataError: Missing or empty files, no such column, fewer than two classes, or too few examples of one.
        UnknownNameError: No such column.
    """
    if preprocessing is not None and not isinstance(preprocessing, TEXT_PREPROCESSING):
        raise ArgumentError("`preprocessing` must be a TextPreprocessing, WordPiecePreprocessing, "
                            f"BytePairPreprocessing or StringPreprocessing. Received: {type(preprocessing).__name__}")
    if task not in TASKS:
        raise ArgumentError(f"`task` must be one of {', '.join(TASKS)}. Received: {task!r}")
    fractions = SplitFractions(validation=validation_fraction, test=test_fraction, seed=seed)
    path = Path(path).expanduser()
    if path.is_dir() and not has_row_files(path):
        _refuse_in_folders(path, task, text_pair_column)
        texts = text_files(path, labels)
    else:
        columns = TextColumns(text=text_column, pair=text_pair_column, label=label_column)
        texts = text_rows(path, columns, header, labels, numbers=task == "regression")
    plan = plan_split(texts.found, fractions, keep_duplicates=keep_duplicates)
    wanted = preprocessing or TextPreprocessing(max_length=max_length, lowercase=lowercase)
    return text_data(plan, texts, wanted, max_words)


def _refuse_in_folders(path: Path, task: str, pair: str | int | None) -> None:
    if task == "regression":
        raise ArgumentError(f"{path} is a folder of class folders, which hold no numbers. Give a CSV, TSV or JSON "
                            "lines file with a column of numbers for a regression.")
    if pair is not None:
        raise ArgumentError(f"`text_pair_column` names a column, and {path} is a folder of class folders. Give a CSV, "
                            "TSV or JSON lines file for pairs of texts.")
