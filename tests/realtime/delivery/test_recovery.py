"""Recovery: replays are complete and in order, also when the database fails."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pytest_django import Settings
from typing_extensions import override

from accounts.auth import Caller
from accounts.kernel.errors import Busy, RateLimited
from accounts.kernel.rate_limits import buckets
from messaging.editing import edit_message
from realtime.delivery import recovery as recovery_module
from realtime.delivery import replay_cache, replay_pages
from realtime.delivery import replay_turns as replay_turns_module
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.replay_limits import REPLAY_RATE, consume_replay
from realtime.delivery.replay_pages import Page, Place, read_page
from realtime.delivery.replay_turns import ReplayTurns
from realtime.delivery.subscriber import Subscriber, VersionedFrame, text_event
from realtime.errors import Removed
from realtime.servers.interface import Event
from rooms.models import Ban, Member
from tests.factories import Wire, make_caller, make_room, store_message
from tests.realtime.wiring import database, local_room, make_recovery, send_queue

recovery = make_recovery()


@pytest.fixture
def room() -> LocalRoom:
    return local_room(1, version=5, access_epoch=0)


def subscribe(room: LocalRoom, version: int) -> tuple[Subscriber, Wire]:
    """Subscribes a socket that read `version`; its live frames are buffered."""
    wire = Wire()
    subscriber = Subscriber(send_queue(wire), Caller(1, "ila", 1, 0), room.id, version)
    room.add(subscriber)
    subscriber.ready = True
    return subscriber, wire


@pytest.fixture
def busy(room: LocalRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delivers version 6, then lets the database fail."""

    async def fail(*_: Any) -> None:
        room.deliver(VersionedFrame(6, 0, text_event(json.dumps({"version": 6}))))
        raise Busy(retry_after=1)

    monkeypatch.setattr(database, "run", fail)


@pytest.mark.parametrize(
    "catch_up",
    [lambda room, one: recovery.replay(room, one, 2), recovery.catch_up],
    ids=["with since", "without"],
)
async def test_new_socket_receives_no_frames_after_a_failed_read(
    room: LocalRoom, busy: None, catch_up: Callable[[LocalRoom, Subscriber], Awaitable[None]]
) -> None:
    subscriber, wire = subscribe(room, version=3)
    with pytest.raises(Busy):
        await catch_up(room, subscriber)
    assert wire.texts == []


async def test_open_socket_continues_after_a_failed_resume(room: LocalRoom, busy: None) -> None:
    subscriber, wire = subscribe(room, version=5)
    room.finish_catch_up(subscriber, 5)
    with pytest.raises(Busy):
        await recovery.replay(room, subscriber, 2)
    assert [json.loads(text)["version"] for text in wire.texts] == [6]


def test_replays_are_limited_per_user_and_not_per_socket() -> None:
    buckets.clear()
    for _ in range(REPLAY_RATE.burst):
        consume_replay(1)
    with pytest.raises(RateLimited):
        consume_replay(1)
    consume_replay(2)


# Page by page


class Stored:
    """A stored room with one page for each message, and actions between the pages."""

    def __init__(self) -> None:
        self.caller = make_caller()
        self.author = make_caller()
        self.row = make_room(member=[self.caller.user_id, self.author.user_id])
        self.ids = [store_message(self.author, self.row, f"{number}").id for number in range(4)]
        self.between: dict[int, Callable[[], object]] = {}
        self.read = 0

    def page(self, place: Place) -> Page:
        self.between.pop(self.read, int)()
        self.read += 1
        return read_page(place)

    def edit(self, number: int) -> None:
        edit_message(
            caller=self.author,
            room_id=self.row.pk,
            message_id=self.ids[number],
            content=f"{number} edited",
        )

    def remove(self) -> None:
        Member.objects.filter(room=self.row, user_id=self.caller.user_id).delete()
        Ban.objects.create(room=self.row, user_id=self.caller.user_id)

    async def replay(self, wire: Wire, since: int, version: int) -> None:
        """Replays to a socket that subscribed at a version."""
        subscriber = Subscriber(send_queue(wire), self.caller, self.row.pk, version)
        room = local_room(self.row.pk, version, access_epoch=0)
        room.add(subscriber)
        try:
            await recovery.replay(room, subscriber, since)
        finally:
            room.discard(subscriber)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, unlimited: None) -> Stored:
    stored = Stored()
    monkeypatch.setattr(replay_pages, "MAX_PAGE_BYTES", 1)
    monkeypatch.setattr(replay_cache, "read_page", stored.page)
    return stored


def received(wire: Wire) -> list[tuple[str, int, str]]:
    frames = [json.loads(text) for text in wire.texts]
    return [(one["type"], one["seq"], one["message"]) for one in frames if "seq" in one]


@pytest.mark.django_db(transaction=True)
async def test_message_changed_during_a_replay_is_sent_once_and_then_its_change(
    stored: Stored,
) -> None:
    """One message changes after it was sent, one before."""
    stored.between = {2: lambda: stored.edit(0), 3: lambda: stored.edit(3)}
    wire = Wire()
    await stored.replay(wire, since=0, version=4)
    assert received(wire) == [
        ("message", 1, "0"),
        ("message", 2, "1"),
        ("message", 3, "2"),
        ("edit", 1, "0 edited"),
        ("message", 4, "3 edited"),
    ]
    assert json.loads(wire.texts[-1]) == {
        "type": "resumed",
        "from": 1,
        "to": 6,
        "complete": True,
    }


@pytest.mark.django_db(transaction=True)
async def test_member_removed_during_a_replay_receives_no_further_page(stored: Stored) -> None:
    stored.between = {3: stored.remove}
    wire = Wire()
    with pytest.raises(Removed):
        await stored.replay(wire, since=0, version=1)
    assert [seq for _, seq, _ in received(wire)] == [1, 2, 3]


@pytest.mark.django_db(transaction=True)
async def test_slow_reader_receives_the_replay_over_several_turns(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_pages, "MAX_PAGE_BYTES", 1024 * 1024)
    monkeypatch.setattr(recovery_module, "STALL_TIMEOUT", 0.01)

    class SlowWire(Wire):
        @override
        async def send(self, event: Event) -> None:
            await asyncio.sleep(0.03)
            await super().send(event)

    wire = SlowWire()
    await stored.replay(wire, since=0, version=4)
    while not wire.texts or "resumed" not in wire.texts[-1]:
        await asyncio.sleep(0.01)
    assert [seq for _, seq, _ in received(wire)] == [1, 2, 3, 4]
    assert len(recovery.turns) == 0


async def test_replay_turns_are_limited_per_user(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_turns_module, "WAIT_TIMEOUT", 0.05)
    settings.CHAT_REPLAYS_PER_USER = 2
    turns = ReplayTurns()
    async with turns.turn(1), turns.turn(1), turns.turn(2):
        assert len(turns) == 3
        with pytest.raises(Busy):
            async with turns.turn(1):
                pass
    async with turns.turn(1), turns.turn(1):
        pass
    assert len(turns) == 0
