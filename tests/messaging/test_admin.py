"""Admin pages of messages: what staff may do, and what the pages show."""

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from accounts.auth import Caller
from accounts.kernel.errors import Forbidden
from accounts.kernel.rate_limits import Rate
from accounts.models import User
from messaging.deletion import delete_message_as_staff
from messaging.events import MessageErased
from messaging.models import Message, Reaction
from messaging.reactions import add_reaction
from rooms.models import Room
from tests.admin_client import chosen, notices, signed_in, staff
from tests.factories import (
    collect_events,
    commits,
    make_private_room,
    make_room,
    make_user,
    store_message,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]

MESSAGES = "/admin/messaging/message/"
SECRET = "a secret text"


@pytest.fixture
def boss() -> User:
    return make_user("boss", is_staff=True, is_superuser=True)


@pytest.fixture
def root(boss: User) -> Client:
    return signed_in(boss)


@commits
def test_deletion_leaves_a_tombstone_in_every_kind_of_room(
    root: Client, boss: User, room: Room, ila: Caller, friend: Caller
) -> None:
    private = make_private_room(ila.user_id, User.objects.get(pk=friend.user_id))
    first, second = (
        store_message(ila, room, SECRET),
        store_message(friend, room, SECRET, reply_to=None),
    )
    third, stays = store_message(ila, private, SECRET), store_message(ila, room, "harmless")
    add_reaction(caller=friend, room_id=room.pk, message_id=first.id, emoji="👍")
    with collect_events() as events:
        answer = root.post(MESSAGES, chosen("delete_messages", first.id, second.id, third.id))
    assert notices(answer) == ["3 messages deleted"]
    erased = [event.message for event in events if isinstance(event, MessageErased)]
    assert {message.id for message in erased} == {first.id, second.id, third.id}
    assert {(message.content, message.deleted) for message in erased} == {("", True)}
    room.refresh_from_db()
    assert room.version == 3 + 1 + 2, "messages, reaction, deletions"
    for message in Message.objects.exclude(pk=stays.id):
        assert (message.content, message.deleted, message.reactions) == ("", True, [])
    assert not Reaction.objects.exists()
    assert LogEntry.objects.filter(user=boss).count() == 3
    assert not any(SECRET in str(vars(entry)) for entry in LogEntry.objects.all())


@commits
def test_second_deletion_changes_and_logs_nothing(root: Client, room: Room, ila: Caller) -> None:
    message = store_message(ila, room)
    page = f"{MESSAGES}{message.id}/do/delete_messages/"
    with collect_events() as events:
        assert notices(root.post(page)) == ["1 message deleted"]
        assert "Nothing to change for 1 message" in notices(root.post(page))
    assert len(events) == 1
    (entry,) = LogEntry.objects.all()
    assert entry.change_message == f"Message 1 in {room.name} by ila: deleted"
    assert "/do/" not in root.get(f"{MESSAGES}{message.id}/change/").content.decode()


def test_bulk_deletion_ignores_the_rate_limit(
    root: Client, room: Room, ila: Caller, settings: Settings
) -> None:
    settings.CHAT_MESSAGE_RATE = Rate(1, 3600, 1)
    ids = [store_message(ila, room).id for _ in range(20)]
    assert notices(root.post(MESSAGES, chosen("delete_messages", *ids))) == ["20 messages deleted"]
    assert not Message.objects.filter(deleted=False).exists()


@commits
def test_confirmation_lists_the_messages_and_changes_nothing(
    root: Client, room: Room, ila: Caller
) -> None:
    message, gone = store_message(ila, room, SECRET), store_message(ila, room, SECRET)
    root.post(f"{MESSAGES}{gone.id}/do/delete_messages/")
    form = chosen("delete_messages", message.id, gone.id, confirmed=False)
    with collect_events() as events:
        listed = root.post(MESSAGES, form)
        for answer in (root.get(f"{MESSAGES}{message.id}/do/delete_messages/"), listed):
            page = answer.content.decode()
            assert f"Number 1 in {room.name} by ila: “{SECRET}”" in page
            assert page.count(SECRET) == 1
            assert ("Number 2" in page) == ("deleted already" in page) == (answer is listed)
    assert events == []


def test_deletion_requires_its_permission(room: Room, ila: Caller) -> None:
    message = store_message(ila, room)
    page = f"{MESSAGES}{message.id}/do/delete_messages/"
    without = staff("view_message", "change_message")
    for answer in (without.get(MESSAGES), without.get(f"{MESSAGES}{message.id}/change/")):
        assert "delete_messages" not in answer.content.decode()
    assert without.post(MESSAGES, chosen("delete_messages", message.id)).status_code == 403
    assert without.post(page).status_code == 403
    assert without.get(page).status_code == 403
    assert staff("delete_message").post(page).status_code == 403, "they may not even look"
    with pytest.raises(Forbidden):
        delete_message_as_staff(user_id=ila.user_id, room_id=room.pk, message_id=message.id)
    assert Message.objects.filter(deleted=False).count() == 1
    assert staff("view_message", "delete_message").post(page).status_code == 302
    assert Message.objects.filter(deleted=True).count() == 1


def test_texts_of_deleted_rooms_are_hidden(root: Client, room: Room, ila: Caller) -> None:
    message = store_message(ila, room, SECRET)
    Room.objects.filter(pk=room.pk).update(deleted_at=timezone.now())
    for page in (MESSAGES, f"{MESSAGES}{message.id}/change/"):
        text = root.get(page).content.decode()
        assert SECRET not in text
        assert "the room was deleted" in text
    (text,) = notices(root.post(MESSAGES, chosen("delete_messages", message.id)))
    assert text.endswith("Room not found")
    assert SECRET not in text


def test_message_page_links_to_its_room_and_sender(root: Client, room: Room, ila: Caller) -> None:
    public = make_room(name="sports")
    message = store_message(ila, public)
    pages = [
        root.get(page).content.decode() for page in (MESSAGES, f"{MESSAGES}{message.id}/change/")
    ]
    for page in pages:
        assert f"/admin/rooms/room/{public.pk}/change/" in page
        assert f"/admin/accounts/user/{ila.user_id}/change/" in page
    assert f"/admin/rooms/ban/add/?room=%23{public.pk}&amp;user=ila" in pages[1]
    assert f"/admin/rooms/member/?q=%23{public.pk}+%40ila" in pages[1]
    other = store_message(ila, room)
    assert "/ban/add/?" not in root.get(f"{MESSAGES}{other.id}/change/").content.decode()


def test_message_text_is_escaped(root: Client, room: Room, ila: Caller) -> None:
    message = store_message(ila, room, "<script>alert(1)</script>")
    for page in (
        MESSAGES,
        f"{MESSAGES}{message.id}/change/",
        f"{MESSAGES}{message.id}/do/delete_messages/",
    ):
        assert "<script>alert" not in root.get(page).content.decode(), page


def test_reply_and_reactions_are_readable(
    root: Client, room: Room, ila: Caller, friend: Caller
) -> None:
    first = store_message(ila, room)
    second = store_message(friend, room, reply_to=first.id)
    add_reaction(caller=ila, room_id=room.pk, message_id=second.id, emoji="👍")
    page = root.get(f"{MESSAGES}{second.id}/change/").content.decode()
    assert f'<a href="{MESSAGES}{first.id}/change/">number 1</a>' in page
    assert "👍 1" in page


def test_query_count_does_not_depend_on_room_count(root: Client, ila: Caller) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            root.get(MESSAGES)
        return len(queries)

    def more() -> None:
        store_message(ila, make_room())
        store_message(ila, make_private_room(ila.user_id, make_user()))

    more()
    before = cost()
    for _ in range(5):
        more()
    assert cost() == before <= 6
