"""The batching file follows the rules that TensorFlow Serving checks at start."""

from __future__ import annotations

import re

import pytest

from serving.errors import ExportError
from serving.export.batching_file import batching_text, check_batch_sizes


def parse(text: str) -> tuple[dict[str, str], list[int]]:
    values = dict(re.findall(r"^(\w+) \{ value: (\w+) \}$", text, re.MULTILINE))
    return values, [int(size) for size in re.findall(r"^allowed_batch_sizes: (\d+)$", text, re.MULTILINE)]


@pytest.mark.parametrize("sizes", [(1,), (1, 2, 4, 8), (3, 1024)])
def test_rules_of_the_batching_session(sizes: tuple[int, ...]) -> None:
    """With splitting the last allowed size is the execution size, at most the largest request."""
    values, allowed = parse(batching_text(check_batch_sizes("sizes", sizes)))
    assert allowed == sorted(set(allowed)) == list(sizes)
    assert values["enable_large_batch_splitting"] == "true"
    assert int(values["max_execution_batch_size"]) == allowed[-1] <= int(values["max_batch_size"])
    assert set(values) == {"max_batch_size", "max_execution_batch_size", "batch_timeout_micros", "max_enqueued_batches",
                           "num_batch_threads", "enable_large_batch_splitting"}


@pytest.mark.parametrize("sizes", [(), (0, 1), (2, 2), (4, 2), (1, 1025), (1.0,), (True,)])
def test_sizes_that_the_server_would_refuse(sizes: tuple[int, ...]) -> None:
    """Empty, repeated, descending, zero, too large and non-integer sizes are refused with what was expected."""
    with pytest.raises(ExportError, match="`sizes` must be at least one whole number from 1 to 1024"):
        check_batch_sizes("sizes", sizes)
