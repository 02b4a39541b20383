"""server.env and server.flags of a version."""

from __future__ import annotations

from pathlib import Path

from serving.export.server_files import (
    ENVIRONMENT_FILE,
    FLAGS_FILE,
    server_environment,
    server_threads,
    write_server_files,
)
from serving.fixed_weights import VARIABLE
from serving.server.flag_table import ALL_FLAGS, THEIR_FLAGS
from serving.server.flags import parse_flags
from tests.serving.test_fixed_weights import PICTURES, Weighted, computed, dense, filtered
from tests.serving.tiny_models import save


def environment(folder: Path) -> dict[str, str]:
    """As `docker run --env-file` reads it: names and values, no quotes, comments at the beginning of a line."""
    write_server_files(folder)
    lines = (folder / ENVIRONMENT_FILE).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_weights_are_assumed_to_stay_where_they_do(tmp_path: Path) -> None:
    """A version of variables says 1, one that computes weights from the request says 0."""
    assert environment(save(Weighted(dense), tmp_path / "1"))[VARIABLE] == "1"
    assert environment(save(Weighted(computed), tmp_path / "2"))[VARIABLE] == "0"
    assert environment(save(Weighted(filtered, PICTURES), tmp_path / "3"))[VARIABLE] == "0"


def test_flags_are_those_of_the_model_server(tmp_path: Path) -> None:
    """Every line is a flag that tensorflow_model_server has, with a value that it takes."""
    write_server_files(save(Weighted(dense), tmp_path / "1"))
    words = (tmp_path / "1" / FLAGS_FILE).read_text().split()
    flags = parse_flags(words, ALL_FLAGS)
    assert set(flags.given) <= {flag.name for flag in THEIR_FLAGS}
    assert flags.bool("enable_batching")
    assert flags.int("grpc_max_threads") == 256


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """The environment as docker reads it, threads only where they were chosen, nothing where there are no files."""
    folder = save(Weighted(dense), tmp_path / "1")
    assert (server_environment(folder), server_threads(folder)) == ({}, {})
    assert environment(folder) == server_environment(folder) != {}
    assert server_threads(folder) == {}
    write_server_files(folder, {"intra_op": 1, "inter_op": 12})
    assert server_threads(folder) == {"intra_op": 1, "inter_op": 12}
    flags = parse_flags((folder / FLAGS_FILE).read_text().split(), ALL_FLAGS)
    assert (flags.int("tensorflow_intra_op_parallelism"), flags.int("tensorflow_inter_op_parallelism")) == (1, 12)
