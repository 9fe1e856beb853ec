"""How often the others are told of what somebody repeats (contract §3, client frames)."""

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
from realtime.protocol import AnyClientFrame, Join, Typing
from realtime.runtime import Runtime
from rooms.models import Room, RoomKind
from tests.factories import Wire
from tests.realtime.wiring import make_hub, send_queue


class Clock:
    """Stands in for `time` where it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def hub() -> Hub:
    """Of this process alone."""
    return make_hub()


def handlers_of(hub: Hub, subscriber: Subscriber, row: Room) -> FrameHandlers:
    """The hub stands in for the broadcaster: no other process is there."""
    runtime = cast(Runtime, SimpleNamespace(hub=hub, broadcaster=hub))
    return FrameHandlers(runtime, subscriber, hub.rooms[row.pk], row)


def come_in(hub: Hub, room: Room, user_id: int) -> tuple[Subscriber, Wire]:
    wire = Wire()
    subscriber = Subscriber(
        send_queue(wire), Caller(user_id, f"user{user_id}", user_id, 0), room.pk, 0
    )
    hub.subscribe(subscriber, room)
    subscriber.ready = True
    return subscriber, wire


@pytest.mark.parametrize(("frame", "every"), [(Typing(), 1), (Join(), 10)], ids=["typing", "join"])
async def test_the_others_are_told_of_repetitions_now_and_then(
    hub: Hub,
    frame: AnyClientFrame,
    every: float,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    settings.CHAT_PRESENCE_MAX_USERS = None
    clock = Clock()
    monkeypatch.setattr(local_room, "time", clock)
    room = Room(pk=1, kind=RoomKind.PUBLIC)
    (speaker, _), (_, other) = come_in(hub, room, 1), come_in(hub, room, 2)
    talk = handlers_of(hub, speaker, room)
    heard = []
    for later in (0, every - 0.1, every + 0.1, 2 * every, 2 * every + 0.2):
        clock.now = 1000 + later
        await talk.handle(frame)
        heard.append(len(other.texts))
    assert heard == [1, 1, 2, 2, 3]


async def test_an_end_of_typing_is_passed_on_once_after_a_beginning(
    hub: Hub, settings: Settings
) -> None:
    settings.CHAT_TYPING_RATE = None
    room = Room(pk=1, kind=RoomKind.PUBLIC)
    (speaker, _), (twin, _), (_, other) = [come_in(hub, room, user_id) for user_id in (1, 1, 2)]
    talks = [handlers_of(hub, one, room) for one in (speaker, twin)]
    heard = []
    for talk, typing in ((0, False), (0, True), (1, False), (0, False), (1, False), (1, True)):
        await talks[talk].handle(Typing(typing=typing))
        heard.append(len(other.texts))
    assert heard == [0, 1, 2, 2, 2, 3]


async def test_typing_of_all_sockets_of_a_user_is_counted_together(
    hub: Hub, settings: Settings
) -> None:
    buckets.clear()
    settings.CHAT_TYPING_RATE = Rate(1, 60, 4)
    rooms = [Room(pk=number, kind=RoomKind.PUBLIC) for number in (1, 2, 3)]
    others = [come_in(hub, room, 2)[1] for room in rooms]
    talks = [handlers_of(hub, come_in(hub, one, 1)[0], one) for one in rooms]
    for talk in talks[:2]:
        for typing in (True, False):
            await talk.handle(Typing(typing=typing))
    with pytest.raises(RateLimited):
        await talks[2].handle(Typing())
    # It was not passed on, so its end is not either.
    await talks[2].handle(Typing(typing=False))
    assert [len(wire.texts) for wire in others] == [2, 2, 0]
