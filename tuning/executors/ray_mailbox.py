"""Orders from the search to the processes of its trials, kept in one small actor beside the search.

Tune can end a trial only by taking its process away. A trial that stops early shall still save its model and be
measured, so the word is passed on here and the trial ends by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any


class Mailbox:
    """Holds what every trial's process must know, and the orders. Runs as an asynchronous actor of Ray.

    Args:
        facts: What every trial's process must know, JSON-ready.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = dict(facts)
        self._stopped: set[str] = set()
        self._end = asyncio.Event()

    async def facts(self) -> dict[str, Any]:
        """Returns what every trial's process must know."""
        return self._facts

    async def stop(self, attempt: str) -> None:
        """Leaves word that an attempt is to stop after the epoch that it has just reported.

        Args:
            attempt: Tune's id.
        """
        self._stopped.add(attempt)

    async def goes_on(self, attempt: str) -> bool:
        """Tells whether an attempt goes on; that it does not is told once.

        Args:
            attempt: Tune's id.
        """
        if attempt in self._stopped:
            self._stopped.remove(attempt)
            return False
        return True

    async def end(self) -> None:
        """Tells all attempts to end at once."""
        self._end.set()

    async def ended(self) -> None:
        """Waits until all attempts are to end."""
        await self._end.wait()
