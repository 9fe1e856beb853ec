"""What a room is told of users who come and go, in a process without Redis."""

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
from tests.realtime.wiring import Observer, local_leases, make_hub, send_queue

ROOM = Room(pk=1, kind=RoomKind.PUBLIC)


class Town:
    """A room with somebody who listens, and a user who comes and goes."""

    def __init__(self) -> None:
        observer = Observer()
        self.hub = make_hub(observer)
        self.presence = Presence(self.hub, Broadcaster(self.hub), local_leases())
        observer.user_left = self.presence.leave  # type: ignore[method-assign]
        self.wire = Wire()
        self._attach(1, self.wire)

    def _attach(self, user_id: int, wire: Wire) -> Subscriber:
        caller = Caller(user_id, f"user{user_id}", user_id, 0)
        subscriber = Subscriber(send_queue(wire), caller, ROOM.pk, 0)
        self.hub.subscribe(subscriber, ROOM)
        subscriber.ready = subscriber.announced = True
        return subscriber

    async def comes(self) -> Subscriber:
        subscriber = self._attach(2, Wire())
        room = self.hub.rooms[ROOM.pk]
        if (await self.presence.arrive(room, subscriber)).first:
            self.presence.publish_join(room, subscriber)
        return subscriber

    async def comes_and_goes(self) -> None:
        self.hub.unsubscribe(await self.comes())

    @property
    def told(self) -> list[str]:
        return [json.loads(text)["type"] for text in self.wire.texts]


@pytest.fixture
def town(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Town:
    settings.CHAT_PRESENCE_RATE = Rate(1, 3600, 2)
    monkeypatch.setattr(module, "MAX_EXIT_DELAY", 0.05)
    buckets.clear()
    return Town()


async def test_an_exit_too_many_is_told_later(town: Town) -> None:
    for _ in range(3):
        await town.comes_and_goes()
    assert town.told == ["join", "exit"] * 2 + ["join"]
    await asyncio.sleep(0.1)
    assert town.told == ["join", "exit"] * 3


async def test_a_user_who_returned_before_an_exit_was_told_never_left(town: Town) -> None:
    for _ in range(20):
        await town.comes_and_goes()
    stays = await town.comes()
    await asyncio.sleep(0.1)
    assert town.told == ["join", "exit"] * 2 + ["join"]
    town.hub.unsubscribe(stays)
    await asyncio.sleep(0.1)
    assert town.told[-1] == "exit"
