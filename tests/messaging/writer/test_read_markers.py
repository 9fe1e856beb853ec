"""Read markers only advance, fail apart, and are published after messages."""

import pytest
from django.utils import timezone

from accounts.auth import Caller
from accounts.kernel.errors import Forbidden
from messaging import editing
from messaging.events import MessageSent, ReadAdvanced
from messaging.writer.read_markers import MarkRead, ReadMarker
from rooms.errors import NoSuchRoom, NotAMember
from rooms.models import Ban, Member, Room
from tests.factories import (
    collect_events,
    commits,
    draft,
    make_caller,
    make_room,
    store_message,
    store_now,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]


def mark(caller: Caller, room: Room, seq: int) -> MarkRead:
    return MarkRead(caller.user_id, caller.username, room.pk, seq)


def mark_read(caller: Caller, room: Room, seq: int) -> tuple[int, int]:
    """Returns the marker and the unread count."""
    (outcome,) = store_now(mark(caller, room, seq))
    assert isinstance(outcome, ReadMarker), outcome
    return outcome.seq, outcome.unread


def test_read_marker_only_advances_up_to_the_last_message(
    ila: Caller, friend: Caller, room: Room
) -> None:
    store_now(*[draft(ila, room) for _ in range(5)])
    assert mark_read(friend, room, 3) == (3, 2)
    assert mark_read(friend, room, 1) == (3, 2)
    assert mark_read(friend, room, 99) == (5, 0)


def test_edits_make_no_message_unread(ila: Caller, friend: Caller, room: Room) -> None:
    message = store_message(ila, room)
    mark_read(friend, room, 1)
    editing.edit_message(caller=ila, room_id=room.pk, message_id=message.id, content="better")
    assert mark_read(friend, room, 1) == (1, 0)


@commits
def test_read_marker_is_published_only_when_it_advanced(
    ila: Caller, friend: Caller, room: Room
) -> None:
    store_message(ila, room)
    with collect_events() as events:
        for _ in range(2):
            mark_read(friend, room, 1)
    assert events == [ReadAdvanced(room.pk, friend.user_id, "friend", 1)]


def test_read_markers_of_a_batch_follow_its_messages_in_order(
    ila: Caller, friend: Caller, room: Room
) -> None:
    outcomes = store_now(
        mark(friend, room, 9), draft(ila, room), mark(friend, room, 1), mark(ila, room, 0)
    )
    assert [one for one in outcomes if isinstance(one, ReadMarker)] == [
        ReadMarker(1, 0, moved=True),
        ReadMarker(1, 0, moved=False),
        ReadMarker(1, 0, moved=False),  # sending also advances the marker
    ]
    assert mark_read(friend, room, 0) == (1, 0)


@commits
def test_read_marker_is_published_after_its_message(
    ila: Caller, friend: Caller, room: Room
) -> None:
    with collect_events() as events:
        store_now(mark(friend, room, 1), draft(ila, room))
    assert [type(event) for event in events] == [MessageSent, ReadAdvanced]


def test_refused_read_marker_fails_alone(ila: Caller, friend: Caller, room: Room) -> None:
    """Each fails as it would alone."""
    store_message(ila, room)
    stranger, public, deleted = make_caller(), make_room(), make_room(owner=[ila.user_id])
    Room.objects.filter(pk=deleted.pk).update(deleted_at=timezone.now())
    banned = make_caller()
    Ban.objects.create(room=public, user_id=banned.user_id)
    outcomes = store_now(
        mark(stranger, room, 1),
        mark(stranger, public, 1),
        mark(banned, public, 1),
        mark(ila, deleted, 1),
        mark(friend, room, 1),
    )
    assert [type(outcome) for outcome in outcomes] == [
        NoSuchRoom,
        NotAMember,
        Forbidden,
        NoSuchRoom,
        ReadMarker,
    ]


def test_unread_count_is_never_negative(friend: Caller, room: Room) -> None:
    """On PostgreSQL a marker that waited may be ahead of the room that was read."""
    Member.objects.filter(room=room, user_id=friend.user_id).update(last_read_seq=1)
    assert mark_read(friend, room, 1) == (1, 0)
