"""Typing and join frames are throttled (contract §3, client frames)."""

from types import SimpleNamespace
from typing import cast

import pytest
from pytest_django import Settings

from accounts.auth import Caller
from accounts.kernel.errors import RateLimited
from accounts.kernel.rate_limits import Rate, buckets
from realtime.connection.handlers import FrameHandlers
from realtime.delivery import local_room
from realtime.delivery.hub import Hub
from realtime.delivery.subscriber import Subscriber
from realtime.protocol.client_frames import AnyClientFrame, Join, Typing
from realtime.runtime import Runtime
from rooms.models import Room, RoomKind
from tests.factories import Wire
from tests.realtime.wiring import make_hub, send_queue


class Clock:
    """Replaces `time` in `local_room`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def hub() -> Hub:
    """A hub without other processes."""
    return make_hub()


def handlers_of(hub: Hub, subscriber: Subscriber, row: Room) -> FrameHandlers:
    """Uses the hub as broadcaster: there is no other process."""
    runtime = cast(Runtime, SimpleNamespace(hub=hub, broadcaster=hub))
    return FrameHandlers(runtime, subscriber, hub.rooms[row.pk], row)


def subscribe(hub: Hub, room: Room, user_id: int) -> tuple[Subscriber, Wire]:
    wire = Wire()
    subscriber = Subscriber(
        send_queue(wire), Caller(user_id, f"user{user_id}", user_id, 0), room.pk, 0
    )
    hub.subscribe(subscriber, room)
    subscriber.ready = True
    return subscriber, wire


@pytest.mark.parametrize(
    ("frame", "interval"), [(Typing(), 1), (Join(), 10)], ids=["typing", "join"]
)
async def test_repeated_typing_and_join_are_published_once_per_interval(
    hub: Hub,
    frame: AnyClientFrame,
    interval: float,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    settings.CHAT_PRESENCE_MAX_USERS = None
    clock = Clock()
    monkeypatch.setattr(local_room, "time", clock)
    room = Room(pk=1, kind=RoomKind.PUBLIC)
    (sender, _), (_, other) = subscribe(hub, room, 1), subscribe(hub, room, 2)
    handler = handlers_of(hub, sender, room)
    received = []
    for later in (0, interval - 0.1, interval + 0.1, 2 * interval, 2 * interval + 0.2):
        clock.now = 1000 + later
        await handler.handle(frame)
        received.append(len(other.texts))
    assert received == [1, 1, 2, 2, 3]


async def test_typing_false_is_published_once_after_a_true(hub: Hub, settings: Settings) -> None:
    settings.CHAT_TYPING_RATE = None
    room = Room(pk=1, kind=RoomKind.PUBLIC)
    (sender, _), (second_socket, _), (_, other) = [
        subscribe(hub, room, user_id) for user_id in (1, 1, 2)
    ]
    handlers = [handlers_of(hub, one, room) for one in (sender, second_socket)]
    received = []
    for handler, typing in ((0, False), (0, True), (1, False), (0, False), (1, False), (1, True)):
        await handlers[handler].handle(Typing(typing=typing))
        received.append(len(other.texts))
    assert received == [0, 1, 2, 2, 2, 3]


async def test_typing_rate_is_shared_by_all_sockets_of_a_user(hub: Hub, settings: Settings) -> None:
    buckets.clear()
    settings.CHAT_TYPING_RATE = Rate(1, 60, 4)
    rooms = [Room(pk=number, kind=RoomKind.PUBLIC) for number in (1, 2, 3)]
    others = [subscribe(hub, room, 2)[1] for room in rooms]
    handlers = [handlers_of(hub, subscribe(hub, one, 1)[0], one) for one in rooms]
    for handler in handlers[:2]:
        for typing in (True, False):
            await handler.handle(Typing(typing=typing))
    with pytest.raises(RateLimited):
        await handlers[2].handle(Typing())
    # `true` was not published, so `false` is not either.
    await handlers[2].handle(Typing(typing=False))
    assert [len(wire.texts) for wire in others] == [2, 2, 0]
