"""How often the others are told of what somebody repeats (contract §3, client frames)."""

import pytest
from pytest_django import Settings

from accounts.auth import SignIn
from realtime import conversation, open_room
from realtime.conversation import Conversation
from realtime.hub import Hub
from realtime.listener import Listener
from realtime.outbox import Outbox
from realtime.protocol import AnyClientFrame, Join, Typing
from rooms.models import Kind, Room
from tests.factories import Wire


class Clock:
    """Stands in for `time` where it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Of this process alone."""
    hub = Hub()
    hub.on_open = lambda room: None
    hub.on_rooms_change = lambda room_id: None
    monkeypatch.setattr(conversation, "fanout", hub)
    return hub


def come_in(hub: Hub, room: Room, user_id: int) -> tuple[Listener, Wire]:
    wire = Wire()
    listener = Listener(Outbox(wire), SignIn(user_id, f"user{user_id}", user_id, 0), room.pk, 0)
    hub.attach(listener, room)
    listener.ready = True
    return listener, wire


@pytest.mark.parametrize(("frame", "every"), [(Typing(), 1), (Join(), 10)], ids=["typing", "join"])
async def test_the_others_are_told_of_repetitions_now_and_then(
    hub: Hub,
    frame: AnyClientFrame,
    every: float,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    settings.CHAT_ANNOUNCE_UP_TO = None
    clock = Clock()
    monkeypatch.setattr(open_room, "time", clock)
    room = Room(pk=1, kind=Kind.PUBLIC)
    (speaker, _), (_, other) = come_in(hub, room, 1), come_in(hub, room, 2)
    talk = Conversation(hub, speaker, hub.rooms[1], room)
    heard = []
    for later in (0, every - 0.1, every + 0.1, 2 * every, 2 * every + 0.2):
        clock.now = 1000 + later
        await talk.take(frame)
        heard.append(len(other.texts))
    assert heard == [1, 1, 2, 2, 3]
