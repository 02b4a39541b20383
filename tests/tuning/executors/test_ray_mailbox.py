"""Orders to trials, as the actor keeps them."""

from __future__ import annotations

import asyncio

from tuning.executors.ray_mailbox import Mailbox


def test_a_trial_is_told_to_stop_once() -> None:
    """The order reaches the attempt that it is for, and no other; a later trial is not stopped by an old order."""
    async def talk() -> list[bool]:
        mailbox = Mailbox({})
        await mailbox.stop("a")
        return [await mailbox.goes_on(attempt) for attempt in ("b", "a", "a")]

    assert asyncio.run(talk()) == [True, False, True]


def test_all_hear_of_the_end() -> None:
    """Who waits for the end, and who asks after it has come, is told."""
    async def talk() -> list[bool]:
        mailbox = Mailbox({"folder": "somewhere"})
        assert await mailbox.facts() == {"folder": "somewhere"}
        waiting = [asyncio.ensure_future(mailbox.ended()) for _ in range(3)]
        await asyncio.sleep(0)
        before = any(task.done() for task in waiting)
        await mailbox.end()
        await asyncio.gather(*waiting, mailbox.ended())
        return [before, all(task.done() for task in waiting)]

    assert asyncio.run(talk()) == [False, True]
