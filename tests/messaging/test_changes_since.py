"""Changes of messages: versions, events and replays."""

from collections.abc import Callable

import pytest

from accounts.auth import Caller
from messaging.changes_since import changes_since
from messaging.events import MessageEdited, MessageErased, ReactionsChanged
from rooms.models import Room
from tests.factories import (
    collect_events,
    commits,
    draft,
    make_room,
    run_concurrently,
    store_message,
    store_now,
)
from tests.messaging.service_calls import delete, edit, react, unreact

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]


def replayed(room: Room, since: int) -> list[tuple[str, int, int]]:
    room.refresh_from_db()
    return [
        (change.kind_since(since), change.message.seq, change.message.version)
        for change in changes_since(room, since, limit=100)
    ]


# Versions


def test_every_change_adds_one_version_and_no_seq(ila: Caller, friend: Caller, room: Room) -> None:
    one, two = store_message(ila, room), store_message(friend, room)
    versions = [
        edit(ila, one, "better").version,
        react(friend, one).version,
        unreact(friend, one).version,
        react(ila, two).version,
    ]
    delete(friend, two)
    room.refresh_from_db()
    assert versions == [3, 4, 5, 6]
    assert (room.last_seq, room.version) == (2, 7)


def test_change_without_effect_adds_no_version(ila: Caller, room: Room) -> None:
    message = store_message(ila, room, "Hey")
    edit(ila, message, "  Hey ")
    unreact(ila, message)
    react(ila, message)
    assert react(ila, message).version == 2
    delete(ila, message)
    delete(ila, message)
    assert unreact(ila, message).version == 3
    room.refresh_from_db()
    assert room.version == 3


@commits
def test_concurrent_changes_add_one_version_each(ila: Caller, friend: Caller, room: Room) -> None:
    message = store_message(ila, room)
    calls: list[Callable[[], object]] = [
        lambda: edit(ila, message, "better"),
        lambda: react(ila, message),
        lambda: react(friend, message),
        lambda: store_now(draft(friend, room)),
        lambda: store_now(draft(ila, room)),
    ]
    outcomes = run_concurrently(*calls)
    assert not [one for one in outcomes if isinstance(one, Exception)]
    room.refresh_from_db()
    assert (room.last_seq, room.version) == (3, 6)


@commits
def test_each_change_is_published_once_after_its_commit(ila: Caller, room: Room) -> None:
    message = store_message(ila, room)
    with collect_events() as events:
        edited = edit(ila, message, "better")
        react(ila, message)
        delete(ila, message)
        delete(ila, message)
    assert [type(event) for event in events] == [MessageEdited, ReactionsChanged, MessageErased]
    assert events[0] == MessageEdited(edited)


# Replays


def test_new_message_is_replayed_in_its_current_state(ila: Caller, room: Room) -> None:
    message = store_message(ila, room, "Hey")
    edit(ila, message, "Hey you")
    (change,) = changes_since(room, 0, limit=10)
    assert (change.kind_since(0), change.message.content, change.message.version) == (
        "message",
        "Hey you",
        2,
    )


def test_older_message_is_replayed_as_its_latest_change(
    ila: Caller, friend: Caller, room: Room
) -> None:
    one, two, three, _ = [store_message(ila, room) for _ in range(4)]
    edit(ila, one, "better")
    react(friend, two)
    delete(ila, three)
    assert replayed(room, 4) == [("edit", 1, 5), ("reaction", 2, 6), ("delete", 3, 7)]


def test_superseded_change_is_not_replayed(ila: Caller, room: Room) -> None:
    message = store_message(ila, room)
    edit(ila, message, "better")
    react(ila, message)
    assert replayed(room, 1) == [("reaction", 1, 3)]
    assert replayed(room, 2) == [("reaction", 1, 3)]
    assert replayed(room, 3) == []


def test_new_deleted_message_is_replayed_as_message(ila: Caller, room: Room) -> None:
    delete(ila, store_message(ila, room))
    (change,) = changes_since(room, 0, limit=10)
    assert (change.kind_since(0), change.message.deleted, change.message.content) == (
        "message",
        True,
        "",
    )


def test_changes_come_in_version_order_up_to_the_limit(ila: Caller, room: Room) -> None:
    messages = [store_message(ila, room) for _ in range(4)]
    edit(ila, messages[0], "better")
    assert replayed(room, 0) == [
        ("message", 2, 2),
        ("message", 3, 3),
        ("message", 4, 4),
        ("message", 1, 5),
    ]
    assert [change.message.version for change in changes_since(room, 1, limit=2)] == [2, 3]


def test_changes_of_other_rooms_are_not_replayed(ila: Caller, room: Room) -> None:
    store_message(ila, make_room())
    assert replayed(room, 0) == []
