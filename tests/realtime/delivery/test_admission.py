"""Admission: at once without message flow, one after the other during it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pytest_django import Settings
from typing_extensions import override

from accounts.auth import Caller
from accounts.kernel.errors import Busy
from accounts.kernel.rate_limits import Rate, buckets
from accounts.tokens import Claims
from realtime.cluster.connection_limits import ConnectionCounter
from realtime.connection import handshake, room_consumer
from realtime.delivery import admission as module
from realtime.delivery import local_state
from realtime.delivery.admission import (
    ADMISSION_INTERVAL,
    REFUSAL_INTERVAL,
    AdmissionQueue,
    RefusalQueue,
)
from realtime.delivery.authorisation import Authorisation, RoomSearch
from realtime.delivery.local_state import MessageFlow
from realtime.runtime import runtime
from rooms.models import Room
from rooms.selectors import rooms_of_members
from tests.realtime.wiring import database, local_leases, make_hub, make_revocation


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


async def test_sockets_are_admitted_at_once_without_message_flow() -> None:
    messages = MessageFlow()
    admission = AdmissionQueue(messages)
    # Without a task or a turn of the loop: no loop resumes this coroutine.
    with pytest.raises(StopIteration):
        admission.wait_for_turn().send(None)


async def test_few_sockets_are_admitted_in_order_with_pauses_during_message_flow() -> None:
    messages, admitted = MessageFlow(), list[tuple[int, float]]()
    admission = AdmissionQueue(messages)

    async def admit(number: int) -> None:
        await admission.wait_for_turn()
        admitted.append((number, time.monotonic()))

    async with messages_flowing(messages):
        begun = time.monotonic()
        await asyncio.gather(*map(admit, range(10)))
    assert [number for number, _ in admitted] == list(range(10))
    assert admitted[0][1] - begun >= 0.9 * ADMISSION_INTERVAL
    assert admitted[-1][1] - begun >= 9 * ADMISSION_INTERVAL


async def test_many_waiting_sockets_shorten_the_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ADMISSION_INTERVAL", 0.010)
    messages = MessageFlow()
    admission = AdmissionQueue(messages)
    async with messages_flowing(messages):
        begun = time.monotonic()
        await asyncio.gather(*(admission.wait_for_turn() for _ in range(1000)))
        took = time.monotonic() - begun
    assert took < 1000 * 0.010 * 0.8


class BusyMessageFlow(MessageFlow):
    """Messages flow, and fan-out takes a share of the loop's time."""

    def __init__(self, load: float) -> None:
        super().__init__()
        self.share = load

    @override
    def is_active(self) -> bool:
        return True

    @override
    def load(self) -> float:
        return self.share


@pytest.mark.parametrize(
    ("load", "pause"), [(0.0, 0.002), (0.5, 0.008), (0.65, 0.0163), (0.9, 0.02), (1.4, 0.02)]
)
async def test_busy_process_pauses_longer_within_a_bound(load: float, pause: float) -> None:
    admission = AdmissionQueue(BusyMessageFlow(load))
    waiting = asyncio.create_task(admission.wait_for_turn())
    await asyncio.sleep(0)
    assert admission._pause() == pytest.approx(pause, rel=0.01)
    await waiting


@pytest.mark.parametrize(
    ("load", "count", "seconds"), [(0, 1000, 1.2), (1, 50, 0.85), (1, 2000, 2.7)]
)
async def test_pauses_of_a_queue_have_a_bound(load: float, count: int, seconds: float) -> None:
    admission = AdmissionQueue(BusyMessageFlow(load))
    loop = asyncio.get_running_loop()
    admission._waiting.extend(loop.create_future() for _ in range(count))
    pauses = 0.0
    while admission._waiting:
        pauses += admission._pause()
        admission._waiting.popleft()
    assert pauses == pytest.approx(seconds, abs=0.05)


def test_load_is_the_share_of_the_time_that_fan_out_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(local_state, "time", SimpleNamespace(monotonic=lambda: now))
    messages = MessageFlow()
    assert messages.load() == 0.0
    for _ in range(400):  # 4 ms in every 10
        now += 0.004
        messages.record_fan_out(now - 0.004)
        now += 0.006
    assert messages.load() == pytest.approx(0.4, abs=0.02)
    now += 5.0
    assert messages.load() == pytest.approx(0.0, abs=0.001)


async def test_waiting_sockets_are_admitted_when_message_flow_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    messages = MessageFlow()
    admission = AdmissionQueue(messages)
    monkeypatch.setattr(module, "ADMISSION_INTERVAL", 0.5)
    monkeypatch.setattr(module, "SHARED_PAUSE", 60)
    messages.record()
    begun = time.monotonic()
    await asyncio.gather(*(admission.wait_for_turn() for _ in range(20)))
    assert time.monotonic() - begun < 5


async def test_cancelled_wait_does_not_block_the_next_socket() -> None:
    messages = MessageFlow()
    admission = AdmissionQueue(messages)
    messages.record()
    leaving, staying = (asyncio.create_task(admission.wait_for_turn()) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait_for(staying, 5)
    assert leaving.cancelled()


async def test_full_admission_queue_raises_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    messages = MessageFlow()
    admission = AdmissionQueue(messages)
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    messages.record()
    waiting = asyncio.create_task(admission.wait_for_turn())
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await admission.wait_for_turn()
    await waiting


class DrainingAuthorisation(Authorisation):
    """Authorises the caller; meanwhile the process begins to drain."""

    authorised = False

    @override
    async def authorise(self, claims: Claims, search: RoomSearch) -> tuple[Caller, Room]:
        self.authorised = runtime.lifecycle.draining = True
        return Caller(1, "ila", 1, 2**31), Room(pk=1, name="general", kind="public")


@pytest.fixture
def authorisation(monkeypatch: pytest.MonkeyPatch) -> DrainingAuthorisation:
    monkeypatch.setattr(runtime, "authorisation", DrainingAuthorisation(database))
    monkeypatch.setattr(runtime.lifecycle, "draining", False)
    return cast(DrainingAuthorisation, runtime.authorisation)


class Client(room_consumer.RoomConsumer):
    known_rooms = staticmethod(rooms_of_members)

    async def connect(self) -> list[dict[str, Any]]:
        """Returns the events that were sent."""
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(event: dict[str, Any]) -> None:
            sent.append(event)

        route = {"kwargs": {"name": "general"}}
        await self({"headers": [], "query_string": b"token=x", "url_route": route}, receive, send)
        return sent


@pytest.mark.parametrize("when", ["waiting for admission", "authorising"])
async def test_socket_in_its_handshake_during_drain_is_closed_for_restart(
    when: str, authorisation: DrainingAuthorisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The close of all sockets at shutdown is over: this socket would stay open."""
    monkeypatch.setattr(runtime, "start", lambda loop: None)
    monkeypatch.setattr(handshake, "read_access", lambda token: Claims(1, 1, "jti", 2**31))
    client = Client()
    if when == "waiting for admission":
        runtime.state.message_flow.record()
        asyncio.get_running_loop().call_soon(setattr, runtime.lifecycle, "draining", True)
    assert await client.connect() == [
        {"type": "websocket.accept", "subprotocol": None},
        {"type": "websocket.close", "code": 1012, "reason": ""},
    ]
    assert authorisation.authorised == (when == "authorising")
    assert not runtime.hub.rooms


# Before the queue


class ClientWithToken(Client):
    """Connects with the test's token."""

    token = b"token=nonsense"

    @override
    async def connect(self) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(event: dict[str, Any]) -> None:
            sent.append(event)

        scope = {
            "headers": [],
            "query_string": self.token,
            "client": ("192.0.2.9", 1),
            "url_route": {"kwargs": {"name": "general"}},
        }
        await self(scope, receive, send)
        return sent


class NoMessageFlow(MessageFlow):
    @override
    def is_active(self) -> bool:
        return False


@pytest.fixture
def connections() -> ConnectionCounter:
    return ConnectionCounter(local_leases())


@pytest.fixture
def full_queue(monkeypatch: pytest.MonkeyPatch, connections: ConnectionCounter) -> Iterator[None]:
    """No socket passes the queue, and all limits begin at zero."""
    monkeypatch.setattr(runtime, "start", lambda loop: None)
    monkeypatch.setattr(runtime, "connections", connections)
    monkeypatch.setattr(module, "ADMISSION_INTERVAL", 3600)
    monkeypatch.setattr(module, "SHARED_PAUSE", 3600)
    messages = MessageFlow()
    monkeypatch.setattr(runtime, "admission", AdmissionQueue(messages))
    monkeypatch.setattr(runtime, "refusals", RefusalQueue(NoMessageFlow()))
    messages.record()
    monkeypatch.setattr(local_state, "MESSAGE_FLOW_TTL", 3600)
    buckets.clear()
    yield
    buckets.clear()


async def test_refusals_are_paced_during_message_flow_and_immediate_above_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_REFUSALS", 5)
    messages = MessageFlow()
    admission = AdmissionQueue(messages)
    queue = RefusalQueue(messages)
    async with messages_flowing(messages):
        begun = time.monotonic()
        waiting = [asyncio.create_task(queue.wait_for_refusal()) for _ in range(8)]
        await asyncio.sleep(0)
        assert [one.done() for one in waiting] == [False] * 5 + [True] * 3
        await admission.wait_for_turn()  # admissions do not wait behind refusals
        assert not waiting[4].done()
        await asyncio.gather(*waiting)
    assert time.monotonic() - begun >= 5 * REFUSAL_INTERVAL * 0.9


async def refusal_of(client: ClientWithToken) -> tuple[int, str]:
    _, error, close = await asyncio.wait_for(client.connect(), 5)
    assert json.loads(error["text"])["code"] == close["reason"]
    return close["code"], close["reason"]


@pytest.mark.parametrize("token", [b"token=nonsense", b"token="])
async def test_bad_token_uses_neither_the_queue_nor_the_database(
    token: bytes, full_queue: None, authorisation: DrainingAuthorisation
) -> None:
    client = ClientWithToken()
    client.token = token
    assert await refusal_of(client) == (4401, "token_invalid")
    assert not authorisation.authorised


async def test_socket_with_a_bad_token_counts_as_not_signed_in(
    full_queue: None, connections: ConnectionCounter, settings: Settings
) -> None:
    settings.CHAT_PENDING_PER_ADDRESS = 1
    connections.acquire("address:192.0.2.9", None)
    assert await refusal_of(ClientWithToken()) == (4429, "too_many_connections")
    connections.release("address:192.0.2.9")
    for _ in range(3):  # each releases its count
        assert await refusal_of(ClientWithToken()) == (4401, "token_invalid")


@pytest.fixture
def good_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "read_access", lambda token: Claims(1, 1, "jti", 2**31))


async def test_waiting_socket_counts_as_not_signed_in(
    full_queue: None, good_token: None, connections: ConnectionCounter, settings: Settings
) -> None:
    """Many sockets with good tokens still connect: only those without are refused."""
    settings.CHAT_PENDING_PER_ADDRESS = 2
    clients = [asyncio.create_task(ClientWithToken().connect()) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert not any(one.done() for one in clients)
    anonymous = ClientWithToken()
    anonymous.token = b""
    assert await refusal_of(anonymous) == (4429, "too_many_connections")
    for one in clients:
        one.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    assert not connections._counts


async def test_connects_are_counted_per_user_before_the_queue(
    full_queue: None, good_token: None, settings: Settings
) -> None:
    settings.CHAT_CONNECT_RATE = Rate(1, 60, 2)
    waiting = [asyncio.create_task(ClientWithToken().connect()) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert await refusal_of(ClientWithToken()) == (4429, "rate_limited")
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_recently_ended_session_consumes_no_connect_rate(
    full_queue: None, good_token: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CHAT_CONNECT_RATE = Rate(1, 60, 2)
    monkeypatch.setattr(runtime, "revocation", revocation := make_revocation(make_hub()))
    revocation.end_sessions([1])
    for _ in range(5):
        assert await refusal_of(ClientWithToken()) == (4401, "session_ended")
    assert buckets.used("CHAT_CONNECT_RATE", 1, settings.CHAT_CONNECT_RATE) == 0
