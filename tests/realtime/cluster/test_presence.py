"""Presence publishes join and exit in a process without Redis."""

import asyncio
import json

import pytest
from pytest_django import Settings

from accounts.auth import Caller
from accounts.kernel.rate_limits import Rate, buckets
from realtime.cluster import presence as module
from realtime.cluster.broadcaster import Broadcaster
from realtime.cluster.presence import Presence
from realtime.delivery.subscriber import Subscriber
from rooms.models import Room, RoomKind
from tests.factories import Wire
from tests.realtime.wiring import Observer, local_leases, make_hub, make_revocation, send_queue

ROOM = Room(pk=1, kind=RoomKind.PUBLIC)


class RoomWithVisitor:
    """A room with one observer, and a user who enters and leaves."""

    def __init__(self) -> None:
        observer = Observer()
        self.hub = make_hub(observer)
        self.presence = Presence(
            self.hub, Broadcaster(self.hub, make_revocation(self.hub)), local_leases()
        )
        observer.user_left = self.presence.leave  # type: ignore[method-assign]
        self.wire = Wire()
        self._attach(1, self.wire)

    def _attach(self, user_id: int, wire: Wire) -> Subscriber:
        caller = Caller(user_id, f"user{user_id}", user_id, 0)
        subscriber = Subscriber(send_queue(wire), caller, ROOM.pk, 0)
        self.hub.subscribe(subscriber, ROOM)
        subscriber.ready = subscriber.announced = True
        return subscriber

    async def enters(self) -> Subscriber:
        subscriber = self._attach(2, Wire())
        room = self.hub.rooms[ROOM.pk]
        if (await self.presence.arrive(room, subscriber)).first:
            self.presence.publish_join(room, subscriber)
        return subscriber

    async def enters_and_leaves(self) -> None:
        self.hub.unsubscribe(await self.enters())

    @property
    def received(self) -> list[str]:
        return [json.loads(text)["type"] for text in self.wire.texts]


@pytest.fixture
def room(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> RoomWithVisitor:
    settings.CHAT_PRESENCE_RATE = Rate(1, 3600, 2)
    monkeypatch.setattr(module, "MAX_EXIT_DELAY", 0.05)
    buckets.clear()
    return RoomWithVisitor()


async def test_exit_above_the_rate_is_published_later(room: RoomWithVisitor) -> None:
    for _ in range(3):
        await room.enters_and_leaves()
    assert room.received == ["join", "exit"] * 2 + ["join"]
    await asyncio.sleep(0.1)
    assert room.received == ["join", "exit"] * 3


async def test_user_who_returned_before_the_exit_stays_online(room: RoomWithVisitor) -> None:
    for _ in range(20):
        await room.enters_and_leaves()
    visitor = await room.enters()
    await asyncio.sleep(0.1)
    assert room.received == ["join", "exit"] * 2 + ["join"]
    room.hub.unsubscribe(visitor)
    await asyncio.sleep(0.1)
    assert room.received[-1] == "exit"
