"""Who may come in when: at once in silence, one after the other while messages flow."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from accounts.errors import Busy
from realtime import door as module
from realtime.door import APART, Door


@asynccontextmanager
async def messages_flowing_past(door: Door) -> AsyncIterator[None]:
    async def flow() -> None:
        while True:
            door.note_message()
            await asyncio.sleep(0.001)

    door.note_message()
    flowing = asyncio.create_task(flow())
    try:
        yield
    finally:
        flowing.cancel()


async def test_all_come_in_at_once_while_nothing_is_said() -> None:
    door = Door()
    # Without a task or a turn of the loop: nobody would resume this coroutine.
    with pytest.raises(StopIteration):
        door.pass_through().send(None)


async def test_few_come_in_apart_and_in_order_while_messages_flow() -> None:
    door, came = Door(), list[tuple[int, float]]()

    async def come(number: int) -> None:
        await door.pass_through()
        came.append((number, time.monotonic()))

    async with messages_flowing_past(door):
        begun = time.monotonic()
        await asyncio.gather(*map(come, range(10)))
    assert [number for number, _ in came] == list(range(10))
    assert came[0][1] - begun >= 0.9 * APART
    assert came[-1][1] - begun >= 9 * APART


async def test_a_crowd_does_not_wait_longer_the_larger_it_is() -> None:
    door = Door()
    async with messages_flowing_past(door):
        begun = time.monotonic()
        await asyncio.gather(*(door.pass_through() for _ in range(1000)))
        took = time.monotonic() - begun
    assert took < 1000 * APART * 0.8


async def test_those_who_wait_come_in_when_nothing_is_said_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = Door()
    monkeypatch.setattr(module, "APART", 0.5)
    monkeypatch.setattr(module, "CROWD_WITHIN", 60)
    door.note_message()
    begun = time.monotonic()
    await asyncio.gather(*(door.pass_through() for _ in range(20)))
    assert time.monotonic() - begun < 5


async def test_one_who_gives_up_holds_up_nobody() -> None:
    door = Door()
    door.note_message()
    gone, here = (asyncio.create_task(door.pass_through()) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait_for(here, 5)
    assert gone.cancelled()


async def test_one_more_than_may_wait_is_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = Door()
    monkeypatch.setattr(module, "MOST_WAITING", 1)
    door.note_message()
    waiting = asyncio.create_task(door.pass_through())
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await door.pass_through()
    await waiting
