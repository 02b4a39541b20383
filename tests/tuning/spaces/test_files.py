"""Space files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuning.errors import SpaceError
from tuning.spaces import Dimension, SearchSpace, read_space

SPACE = SearchSpace((Dimension(name="dropout", kind="float", low=0.0, high=0.5, step=0.1),
                     Dimension(name="batch_size", choices=(16, 32), target="training")), "mlp_binary")


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_settings_in_yaml_change_a_space(tmp_path: Path) -> None:
    """A YAML file says the same as the command line; numbers such as 1e-5 are numbers."""
    path = written(tmp_path / "space.yaml", "# what I try\nlearning_rate: log:1e-5..1e-2\nbatch_size: [8, 16]\n"
                   "dropout: {low: 0.1, high: 0.3}\nweight_decay: [1e-5, 1e-4]\nhidden_units: 64\n")
    space = read_space(path, SPACE)
    assert space == SPACE.changed({"learning_rate": "log:1e-5..1e-2", "batch_size": [8, 16],
                                   "dropout": {"low": 0.1, "high": 0.3}, "weight_decay": [1e-5, 1e-4],
                                   "hidden_units": 64})
    assert space["weight_decay"].choices == (1e-5, 1e-4)
    assert (space["hidden_units"].target, space["hidden_units"].default) == ("build", 64)


def test_json_and_yaml_say_the_same(tmp_path: Path) -> None:
    """The same settings in either form give the same space."""
    settings = {"dropout": "0.1..0.2", "batch_size": [8, 64]}
    as_json = written(tmp_path / "space.json", json.dumps(settings))
    as_yaml = written(tmp_path / "space.yml", "dropout: 0.1..0.2\nbatch_size: [8, 64]\n")
    assert read_space(as_json, SPACE) == read_space(as_yaml, SPACE) == SPACE.changed(settings)


def test_a_whole_space_takes_the_place(tmp_path: Path) -> None:
    """What `to_dict` gives is a space file of its own; without a model it is for the one at hand."""
    path = written(tmp_path / "space.json", json.dumps(SPACE.to_dict()))
    assert read_space(path) == SPACE
    path = written(tmp_path / "space.json", json.dumps({"dimensions": SPACE.to_dict()["dimensions"][:1]}))
    assert read_space(path, SPACE) == SearchSpace(SPACE.dimensions[:1], "mlp_binary")


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    """A file of comments alone is the space as it was."""
    assert read_space(written(tmp_path / "space.yaml", "# later\n"), SPACE) == SPACE


@pytest.mark.parametrize(("name", "text", "message"), [
    ("s.yaml", "- dropout\n", r"maps the names of hyperparameters to .*s.yaml holds: \"\['dropout'\]\""),
    ("s.yaml", "a: [1, 2\n", "s.yaml: this is no YAML"), ("s.json", "{", "s.json: this is no JSON"),
    ("s.yaml", "dropout: 0.1\ndropout: 0.2\n", r"s\.\w+: 'dropout' stands there twice"),
    ("s.json", '{"dropout": 0.1, "dropout": 0.2}', r"s\.\w+: 'dropout' stands there twice"),
    ("s.yaml", "dropout: 1..\n", r"s.yaml: The hyperparameter 'dropout' cannot be read"),
    ("s.yaml", "a: !!python/object/apply:os.getcwd []\n", "s.yaml: this is no YAML"),
])
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    """The message names the file and what is wrong in it; nothing in a file is ever run."""
    with pytest.raises(SpaceError, match=message):
        read_space(written(tmp_path / name, text), SPACE)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is an error of the space, with its path."""
    with pytest.raises(SpaceError, match=r"absent.yaml cannot be read"):
        read_space(tmp_path / "absent.yaml", SPACE)
