"""A repeated `client_id` creates no second message, and other content is refused."""

import pytest

from accounts.auth import Caller
from messaging.errors import ClientIdReused
from messaging.models import Message
from messaging.writer.client_ids import digest_of
from messaging.writer.drafts import Sent
from rooms.errors import NoSuchRoom
from rooms.membership import remove_member
from rooms.models import Member, Room, RoomKind
from tests.factories import draft, make_caller, make_room, store_message, store_now

pytestmark = pytest.mark.django_db


@pytest.fixture
def room(ila: Caller) -> Room:
    return make_room(RoomKind.GROUP, name="friends", owner=[ila.user_id])


def contents(room: Room) -> list[str]:
    rows = Message.objects.filter(room=room).order_by("seq")
    return list(rows.values_list("content", flat=True))


def test_client_id_makes_one_message_within_a_batch(ila: Caller, room: Room) -> None:
    first, again = store_now(*[draft(ila, room, client_id="one")] * 2)
    assert isinstance(first, Sent)
    assert isinstance(again, Sent)
    assert (first.duplicate, again.duplicate) == (False, True)
    assert again.message == first.message
    assert contents(room) == ["hello"]


def test_client_id_makes_one_message_across_batches(ila: Caller, room: Room) -> None:
    sent = store_message(ila, room, client_id="one")
    store_message(ila, room, "in between")
    (again,) = store_now(draft(ila, room, client_id="one"))
    assert again == Sent(sent, duplicate=True)
    room.refresh_from_db()
    assert (room.last_seq, room.version) == (2, 2)


def test_repeated_client_id_returns_the_current_message(ila: Caller, room: Room) -> None:
    store_message(ila, room, client_id="one")
    Message.objects.update(content="", deleted=True, version=2)
    (again,) = store_now(draft(ila, room, client_id="one"))
    assert isinstance(again, Sent)
    assert (again.message.content, again.message.deleted, again.message.version) == ("", True, 2)


def test_reply_can_be_repeated_after_its_target_is_deleted(ila: Caller, room: Room) -> None:
    quoted = store_message(ila, room)
    reply = store_message(ila, room, client_id="one", reply_to=quoted.id)
    Message.objects.filter(pk=quoted.id).update(deleted=True)
    (again,) = store_now(draft(ila, room, client_id="one", reply_to=quoted.id))
    assert again == Sent(reply, duplicate=True)


def test_client_id_reused_for_another_message_is_rejected(ila: Caller, room: Room) -> None:
    quoted = store_message(ila, room, client_id="one")
    outcomes = store_now(
        draft(ila, room, "another text", client_id="one"),
        draft(ila, room, client_id="one", reply_to=quoted.id),
        draft(ila, room, "first of the batch", client_id="two"),
        draft(ila, room, "another text", client_id="two"),
    )
    assert [type(outcome) for outcome in outcomes] == [
        ClientIdReused,
        ClientIdReused,
        Sent,
        ClientIdReused,
    ]


def test_client_id_is_scoped_to_sender_and_room(ila: Caller, room: Room) -> None:
    other, elsewhere = make_caller(), make_room()
    Member.objects.create(room=room, user_id=other.user_id)
    outcomes = store_now(
        draft(ila, room, client_id="one"),
        draft(other, room, client_id="one"),
        draft(ila, elsewhere, client_id="one"),
    )
    assert [one.duplicate for one in outcomes if isinstance(one, Sent)] == [False] * 3


def test_repeat_by_a_removed_member_is_rejected(ila: Caller) -> None:
    gone = make_caller()
    room = make_room(RoomKind.GROUP, owner=[ila.user_id], member=[gone.user_id])
    store_message(gone, room, client_id="one")
    remove_member(user_id=ila.user_id, room_id=room.pk, username=gone.username)
    (refusal,) = store_now(draft(gone, room, client_id="one"))
    assert isinstance(refusal, NoSuchRoom)


def test_same_text_and_reply_have_the_same_digest() -> None:
    assert digest_of("Hey", 7) == digest_of("Hey", 7)


def test_different_text_or_reply_has_another_digest() -> None:
    sent = [("Hey", None), ("hey", None), ("Hey", 7), ("Hey", 8), ("Hey, 7", None), ("[]", None)]
    assert len({digest_of(text, reply_to) for text, reply_to in sent}) == len(sent)


def test_digest_fits_its_column() -> None:
    assert len(digest_of("Hey", 2**63 - 1)) == 32
