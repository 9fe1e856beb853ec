"""Who may come in when: at once in silence, one after the other while messages flow."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from accounts.auth import SignIn
from accounts.errors import Busy
from accounts.tokens import Claims
from realtime import base
from realtime import door as module
from realtime.door import APART, Door, door
from realtime.hub import hub
from realtime.shutdown import shutdown
from rooms.models import Room


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


class Newcomer(base.RoomConsumer):
    """May enter; while that is looked up the process begins to go down."""

    looked_up = False

    def _admit(self, claims: Claims) -> tuple[SignIn, Room]:
        self.looked_up = shutdown.leaving = True
        return SignIn(1, "ila", 1, 2**31), Room(pk=1, name="general", kind="public")

    async def come(self) -> list[dict[str, Any]]:
        """What the server was told to send."""
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(event: dict[str, Any]) -> None:
            sent.append(event)

        await self({"headers": [], "query_string": b"token=x"}, receive, send)
        return sent


@pytest.mark.parametrize("when", ["at the door", "behind it"])
async def test_one_who_waits_while_the_process_goes_down_is_sent_to_another(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once all sockets have been closed nobody would close this one."""
    monkeypatch.setattr(base, "run_on", lambda loop: None)
    monkeypatch.setattr(shutdown, "leaving", False)
    monkeypatch.setattr(base, "read_access", lambda token: Claims(1, 1, "jti", 2**31))
    newcomer = Newcomer()
    if when == "at the door":
        door.note_message()
        asyncio.get_running_loop().call_soon(setattr, shutdown, "leaving", True)
    assert await newcomer.come() == [
        {"type": "websocket.accept", "subprotocol": None},
        {"type": "websocket.close", "code": 1012, "reason": ""},
    ]
    assert newcomer.looked_up == (when == "behind it")
    assert not hub.rooms
