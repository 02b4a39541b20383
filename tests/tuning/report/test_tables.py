"""Tables of a search."""

from __future__ import annotations

import csv
import io

from tuning.config import SearchConfig
from tuning.report.tables import epochs_csv, markdown_table, trials_csv
from tuning.trial import EpochReport, Trial

CONFIG = SearchConfig.from_dict({"model": "mlp", "objectives": ["val_accuracy"], "constraints": ["latency_ms<=5"]})
TRIALS = [Trial(id="0000", values={"rate": 0.1, "tuner/epochs": 2}, status="completed", attempts=2, started=1.0,
                ended=4.0, seconds=3.0, measures={"val_loss": 0.5, "val_accuracy": 0.75}, spread={"val_loss": 0.25},
                history=(EpochReport(epoch=1, values={"val_loss": 0.6}, seconds=1.5),)),
          Trial(id="0001", values={"rate": 0.2, "kind": "a"}, status="failed", attempts=1, kind="error",
                error='it said:\n"no, never"')]


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_trial_is_a_row_with_its_hyperparameters_and_measures() -> None:
    """The objectives come before other measures, and what a trial lacks is empty."""
    text = trials_csv(TRIALS, CONFIG)
    assert text.splitlines()[0] == ("trial,status,attempts,parent,epochs,started,ended,seconds,hp/rate,hp/kind,"
                                    "val_accuracy,val_loss,val_loss/spread,failure,error")
    first, second = read(text)
    assert (first["hp/rate"], first["hp/kind"], first["val_accuracy"], first["val_loss/spread"]) == (
        "0.1", "", "0.75", "0.25")
    assert (second["failure"], second["error"], second["val_accuracy"]) == ("error", 'it said:\n"no, never"', "")


def test_every_epoch_is_a_row() -> None:
    """Learning curves can be drawn from the table alone."""
    assert read(epochs_csv(TRIALS)) == [{"trial": "0000", "execution": "0", "epoch": "1", "seconds": "1.5",
                                         "val_loss": "0.6"}]


def test_no_cell_breaks_a_table_in_markdown() -> None:
    """Bars are escaped and line ends become spaces."""
    assert markdown_table(["a"], [["x|y\nz"]]) == "| a |\n| --- |\n| x\\|y z |"
