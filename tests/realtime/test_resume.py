"""Coming back while the database is away: no gap may go unnoticed."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from accounts.auth import SignIn
from accounts.errors import Busy, RateLimited
from accounts.rates import buckets
from realtime import replays, resume
from realtime.listener import Frame, Listener, text_event
from realtime.open_room import OpenRoom
from realtime.outbox import Outbox
from tests.factories import Wire


@pytest.fixture
def room() -> OpenRoom:
    return OpenRoom(1, version=5, access=0)


def come_in(room: OpenRoom, version: int) -> tuple[Listener, Wire]:
    """A socket that read `version` at the door, and for which frames are held back."""
    wire = Wire()
    listener = Listener(Outbox(wire), SignIn(1, "ila", 1, 0), room.id, version)
    room.add(listener)
    listener.ready = True
    return listener, wire


@pytest.fixture
def busy(room: OpenRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database fails, and before it does, somebody says version 6."""

    async def fail(*_: Any) -> None:
        room.deliver(Frame(6, 0, text_event(json.dumps({"version": 6}))))
        raise Busy(retry_after=1)

    monkeypatch.setattr(replays, "on_database", fail)


@pytest.mark.parametrize(
    "bring_up",
    [lambda room, one: resume.replay(room, one, 2), resume.catch_up],
    ids=["with since", "without"],
)
async def test_one_who_comes_in_hears_nothing_beyond_what_could_not_be_read(
    room: OpenRoom, busy: None, bring_up: Callable[[OpenRoom, Listener], Awaitable[None]]
) -> None:
    listener, wire = come_in(room, version=3)
    with pytest.raises(Busy):
        await bring_up(room, listener)
    assert wire.texts == []


async def test_an_open_socket_goes_on_after_a_resume_that_failed(
    room: OpenRoom, busy: None
) -> None:
    listener, wire = come_in(room, version=5)
    room.settle(listener, 5)
    with pytest.raises(Busy):
        await resume.replay(room, listener, 2)
    assert [json.loads(text)["version"] for text in wire.texts] == [6]


def test_replays_are_counted_per_user_and_not_per_socket() -> None:
    buckets.clear()
    for _ in range(resume.REPLAYS.burst):
        resume.spend_replay(1)
    with pytest.raises(RateLimited):
        resume.spend_replay(1)
    resume.spend_replay(2)
