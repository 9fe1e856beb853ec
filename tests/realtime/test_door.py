"""Who may come in when: at once in silence, one after the other while messages flow."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pytest_django import Settings
from typing_extensions import override

from accounts.auth import Caller
from accounts.kernel.errors import Busy
from accounts.kernel.rate_limits import Rate, buckets
from accounts.tokens import Claims
from realtime.cluster.connection_limits import ConnectionCounter
from realtime.connection import consumer, handshake
from realtime.delivery import admission as module
from realtime.delivery import local_state
from realtime.delivery.admission import ADMISSION_INTERVAL, AdmissionQueue, RefusalQueue
from realtime.delivery.local_state import MessageFlow
from realtime.runtime import runtime
from rooms.models import Room
from tests.realtime.wiring import local_leases, make_hub


@asynccontextmanager
async def messages_flowing(messages: MessageFlow) -> AsyncIterator[None]:
    async def flow() -> None:
        while True:
            messages.record()
            await asyncio.sleep(0.001)

    messages.record()
    flowing = asyncio.create_task(flow())
    try:
        yield
    finally:
        flowing.cancel()


async def test_all_come_in_at_once_while_nothing_is_said() -> None:
    messages = MessageFlow()
    door = AdmissionQueue(messages)
    # Without a task or a turn of the loop: nobody would resume this coroutine.
    with pytest.raises(StopIteration):
        door.wait_for_turn().send(None)


async def test_few_come_in_apart_and_in_order_while_messages_flow() -> None:
    messages, came = MessageFlow(), list[tuple[int, float]]()
    door = AdmissionQueue(messages)

    async def come(number: int) -> None:
        await door.wait_for_turn()
        came.append((number, time.monotonic()))

    async with messages_flowing(messages):
        begun = time.monotonic()
        await asyncio.gather(*map(come, range(10)))
    assert [number for number, _ in came] == list(range(10))
    assert came[0][1] - begun >= 0.9 * ADMISSION_INTERVAL
    assert came[-1][1] - begun >= 9 * ADMISSION_INTERVAL


async def test_a_crowd_does_not_wait_longer_the_larger_it_is() -> None:
    messages = MessageFlow()
    door = AdmissionQueue(messages)
    async with messages_flowing(messages):
        begun = time.monotonic()
        await asyncio.gather(*(door.wait_for_turn() for _ in range(1000)))
        took = time.monotonic() - begun
    assert took < 1000 * ADMISSION_INTERVAL * 0.8


async def test_those_who_wait_come_in_when_nothing_is_said_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    messages = MessageFlow()
    door = AdmissionQueue(messages)
    monkeypatch.setattr(module, "ADMISSION_INTERVAL", 0.5)
    monkeypatch.setattr(module, "MAX_ADMISSION_TIME", 60)
    messages.record()
    begun = time.monotonic()
    await asyncio.gather(*(door.wait_for_turn() for _ in range(20)))
    assert time.monotonic() - begun < 5


async def test_one_who_gives_up_holds_up_nobody() -> None:
    messages = MessageFlow()
    door = AdmissionQueue(messages)
    messages.record()
    gone, room = (asyncio.create_task(door.wait_for_turn()) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait_for(room, 5)
    assert gone.cancelled()


async def test_one_more_than_may_wait_is_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    messages = MessageFlow()
    door = AdmissionQueue(messages)
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    messages.record()
    waiting = asyncio.create_task(door.wait_for_turn())
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await door.wait_for_turn()
    await waiting


class Newcomer(consumer.RoomConsumer):
    """May enter; while that is looked up the process begins to go down."""

    looked_up = False

    @override
    def authorise(self, claims: Claims) -> tuple[Caller, Room]:
        self.looked_up = runtime.lifecycle.draining = True
        return Caller(1, "ila", 1, 2**31), Room(pk=1, name="general", kind="public")

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
    monkeypatch.setattr(runtime, "start", lambda loop: None)
    monkeypatch.setattr(runtime.lifecycle, "draining", False)
    monkeypatch.setattr(handshake, "read_access", lambda token: Claims(1, 1, "jti", 2**31))
    newcomer = Newcomer()
    if when == "at the door":
        runtime.state.message_flow.record()
        asyncio.get_running_loop().call_soon(setattr, runtime.lifecycle, "draining", True)
    assert await newcomer.come() == [
        {"type": "websocket.accept", "subprotocol": None},
        {"type": "websocket.close", "code": 1012, "reason": ""},
    ]
    assert newcomer.looked_up == (when == "behind it")
    assert not runtime.hub.rooms


# Before the queue


class Stranger(Newcomer):
    """Brings whatever token the test says."""

    token = b"token=nonsense"

    @override
    async def come(self) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(event: dict[str, Any]) -> None:
            sent.append(event)

        scope = {"headers": [], "query_string": self.token, "client": ("192.0.2.9", 1)}
        await self(scope, receive, send)
        return sent


class Silent(MessageFlow):
    @override
    def is_active(self) -> bool:
        return False


@pytest.fixture
def tally() -> ConnectionCounter:
    return ConnectionCounter(local_leases())


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch, tally: ConnectionCounter) -> Iterator[None]:
    """Nobody passes the queue, and counts of limits begin anew."""
    monkeypatch.setattr(runtime, "start", lambda loop: None)
    monkeypatch.setattr(runtime, "connections", tally)
    monkeypatch.setattr(module, "ADMISSION_INTERVAL", 3600)
    monkeypatch.setattr(module, "MAX_ADMISSION_TIME", 3600)
    messages = MessageFlow()
    monkeypatch.setattr(runtime, "admission", AdmissionQueue(messages))
    monkeypatch.setattr(runtime, "refusals", RefusalQueue(Silent()))
    messages.record()
    monkeypatch.setattr(local_state, "MESSAGE_FLOW_TTL", 3600)
    buckets.clear()
    yield
    buckets.clear()


async def test_refusals_come_apart_while_messages_flow_and_at_once_beyond_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_REFUSALS", 5)
    messages = MessageFlow()
    door = AdmissionQueue(messages)
    queue = RefusalQueue(messages)
    async with messages_flowing(messages):
        begun = time.monotonic()
        waiting = [asyncio.create_task(queue.wait_for_refusal()) for _ in range(8)]
        await asyncio.sleep(0)
        assert [one.done() for one in waiting] == [False] * 5 + [True] * 3
        await door.wait_for_turn()  # those that are let in do not wait behind them
        assert not waiting[4].done()
        await asyncio.gather(*waiting)
    assert time.monotonic() - begun >= 5 * ADMISSION_INTERVAL * 0.9


async def refusal_of(newcomer: Stranger) -> tuple[int, str]:
    _, error, close = await asyncio.wait_for(newcomer.come(), 5)
    assert json.loads(error["text"])["code"] == close["reason"]
    return close["code"], close["reason"]


@pytest.mark.parametrize("token", [b"token=nonsense", b"token="])
async def test_a_bad_token_takes_no_place_in_the_queue_and_no_database(
    token: bytes, crowded: None
) -> None:
    stranger = Stranger()
    stranger.token = token
    assert await refusal_of(stranger) == (4401, "token_invalid")
    assert not stranger.looked_up


async def test_a_bad_token_counts_as_not_signed_in(
    crowded: None, tally: ConnectionCounter, settings: Settings
) -> None:
    settings.CHAT_PENDING_PER_ADDRESS = 1
    tally.acquire("address:192.0.2.9", None)
    assert await refusal_of(Stranger()) == (4429, "too_many_connections")
    tally.release("address:192.0.2.9")
    for _ in range(3):  # each gives its place back
        assert await refusal_of(Stranger()) == (4401, "token_invalid")


@pytest.fixture
def good_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "read_access", lambda token: Claims(1, 1, "jti", 2**31))


async def test_one_who_waits_in_the_queue_counts_as_not_signed_in(
    crowded: None, good_token: None, tally: ConnectionCounter, settings: Settings
) -> None:
    """A crowd with good tokens comes in all the same: it is those without that are refused."""
    settings.CHAT_PENDING_PER_ADDRESS = 2
    online_total = [asyncio.create_task(Stranger().come()) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert not any(one.done() for one in online_total)
    anonymous = Stranger()
    anonymous.token = b""
    assert await refusal_of(anonymous) == (4429, "too_many_connections")
    for one in online_total:
        one.cancel()
    await asyncio.gather(*online_total, return_exceptions=True)
    assert not tally._counts


async def test_connects_are_counted_per_user_before_the_queue(
    crowded: None, good_token: None, settings: Settings
) -> None:
    settings.CHAT_CONNECT_RATE = Rate(1, 60, 2)
    waiting = [asyncio.create_task(Stranger().come()) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert await refusal_of(Stranger()) == (4429, "rate_limited")
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_session_that_ended_a_moment_ago_takes_nothing_of_its_users_rate(
    crowded: None, good_token: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CHAT_CONNECT_RATE = Rate(1, 60, 2)
    monkeypatch.setattr(runtime, "hub", own := make_hub())
    own.end_sessions([1])
    for _ in range(5):
        assert await refusal_of(Stranger()) == (4401, "session_ended")
    assert buckets.used("CHAT_CONNECT_RATE", 1, settings.CHAT_CONNECT_RATE) == 0
