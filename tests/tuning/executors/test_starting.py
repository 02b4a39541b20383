"""Which way trials' processes are begun."""

from __future__ import annotations

import pytest

from tests.tuning.executors.errand_search import RUNNER
from tuning.executors.forking import ZygoteLauncher
from tuning.executors.fresh_start import FreshLauncher
from tuning.executors.starting import make_launcher


def test_forking_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself it forks on Linux without cards; it can be told to, and not to."""
    for fork, cards, kind in ((False, (), FreshLauncher), (None, ("0",), FreshLauncher), (None, (), ZygoteLauncher),
                              (True, ("0",), ZygoteLauncher)):
        monkeypatch.setattr("tuning.executors.forking.visible_gpus", lambda cards=cards: cards)
        launcher = make_launcher(RUNNER, (), fork=fork)
        launcher.close()
        assert isinstance(launcher, kind)
