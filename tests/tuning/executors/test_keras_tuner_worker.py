"""The command of a host that joins a search."""

from __future__ import annotations

import pytest

from tuning.errors import EngineError
from tuning.executors.keras_tuner_worker import main, run_worker


def test_the_command_says_what_is_wrong_and_fails(tmp_path, capsys):
    """Every problem on standard error, and the exit code 1."""
    assert main(["127.0.0.1:9", str(tmp_path / "none")]) == 1
    errors = capsys.readouterr().err
    assert "no chief answers at 127.0.0.1:9" in errors
    assert "is not there" in errors
    assert main(["nonsense", str(tmp_path)]) == 1
    assert "HOST:PORT" in capsys.readouterr().err


def test_missing_arguments_are_named(capsys):
    """As every command does."""
    with pytest.raises(SystemExit):
        main([])
    assert "address" in capsys.readouterr().err


def test_the_function_raises_what_the_command_prints(tmp_path):
    """For who starts workers from Python."""
    with pytest.raises(EngineError, match="cannot join the search"):
        run_worker("127.0.0.1:9", tmp_path / "none")
