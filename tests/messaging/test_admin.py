"""What staff do to messages in the admin, and what its pages show of them."""

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
from messaging.events import MessageErased
from messaging.models import Message, Reaction
from messaging.services import add_reaction, delete_message_as_staff
from rooms.models import Room
from tests.factories import commits, heard, make_private_room, make_room, make_user, say
from tests.staff import chosen, signed_in, staff, told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]

MESSAGES = "/admin/messaging/message/"
SECRET = "what nobody should have said"


@pytest.fixture
def boss() -> User:
    return make_user("boss", is_staff=True, is_superuser=True)


@pytest.fixture
def root(boss: User) -> Client:
    return signed_in(boss)


@commits
def test_messages_of_every_kind_of_room_leave_tombstones(
    root: Client, boss: User, room: Room, ila: Caller, friend: Caller
) -> None:
    private = make_private_room(ila.user_id, User.objects.get(pk=friend.user_id))
    first, second = say(ila, room, SECRET), say(friend, room, SECRET, reply_to=None)
    third, stays = say(ila, private, SECRET), say(ila, room, "harmless")
    add_reaction(caller=friend, room_id=room.pk, message_id=first.id, emoji="👍")
    with heard() as events:
        answer = root.post(MESSAGES, chosen("delete_messages", first.id, second.id, third.id))
    assert told(answer) == ["3 messages deleted"]
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
def test_deleting_twice_changes_and_logs_nothing_more(
    root: Client, room: Room, ila: Caller
) -> None:
    message = say(ila, room)
    page = f"{MESSAGES}{message.id}/do/delete_messages/"
    with heard() as events:
        assert told(root.post(page)) == ["1 message deleted"]
        assert "Nothing to change for 1 message" in told(root.post(page))
    assert len(events) == 1
    (entry,) = LogEntry.objects.all()
    assert entry.change_message == f"Message 1 in {room.name} by ila: deleted"
    assert "/do/" not in root.get(f"{MESSAGES}{message.id}/change/").content.decode()


def test_many_messages_go_at_once_whatever_the_rate(
    root: Client, room: Room, ila: Caller, settings: Settings
) -> None:
    settings.CHAT_MESSAGE_RATE = Rate(1, 3600, 1)
    ids = [say(ila, room).id for _ in range(20)]
    assert told(root.post(MESSAGES, chosen("delete_messages", *ids))) == ["20 messages deleted"]
    assert not Message.objects.filter(deleted=False).exists()


@commits
def test_a_confirmation_shows_which_messages_and_changes_nothing(
    root: Client, room: Room, ila: Caller
) -> None:
    message, gone = say(ila, room, SECRET), say(ila, room, SECRET)
    root.post(f"{MESSAGES}{gone.id}/do/delete_messages/")
    form = chosen("delete_messages", message.id, gone.id, confirmed=False)
    with heard() as events:
        listed = root.post(MESSAGES, form)
        for answer in (root.get(f"{MESSAGES}{message.id}/do/delete_messages/"), listed):
            page = answer.content.decode()
            assert f"Number 1 in {room.name} by ila: “{SECRET}”" in page
            assert page.count(SECRET) == 1
            assert ("Number 2" in page) == ("deleted already" in page) == (answer is listed)
    assert events == []


def test_deleting_needs_its_permission(room: Room, ila: Caller) -> None:
    message = say(ila, room)
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


def test_texts_of_deleted_rooms_are_not_shown(root: Client, room: Room, ila: Caller) -> None:
    message = say(ila, room, SECRET)
    Room.objects.filter(pk=room.pk).update(deleted_at=timezone.now())
    for page in (MESSAGES, f"{MESSAGES}{message.id}/change/"):
        text = root.get(page).content.decode()
        assert SECRET not in text
        assert "the room was deleted" in text
    (text,) = told(root.post(MESSAGES, chosen("delete_messages", message.id)))
    assert text.endswith("Room not found")
    assert SECRET not in text


def test_a_message_leads_to_its_room_and_its_sender(root: Client, room: Room, ila: Caller) -> None:
    public = make_room(name="sports")
    message = say(ila, public)
    pages = [
        root.get(page).content.decode() for page in (MESSAGES, f"{MESSAGES}{message.id}/change/")
    ]
    for page in pages:
        assert f"/admin/rooms/room/{public.pk}/change/" in page
        assert f"/admin/accounts/user/{ila.user_id}/change/" in page
    assert f"/admin/rooms/ban/add/?room=%23{public.pk}&amp;user=ila" in pages[1]
    assert f"/admin/rooms/member/?q=%23{public.pk}+%40ila" in pages[1]
    other = say(ila, room)
    assert "/ban/add/?" not in root.get(f"{MESSAGES}{other.id}/change/").content.decode()


def test_text_is_shown_as_text(root: Client, room: Room, ila: Caller) -> None:
    message = say(ila, room, "<script>alert(1)</script>")
    for page in (
        MESSAGES,
        f"{MESSAGES}{message.id}/change/",
        f"{MESSAGES}{message.id}/do/delete_messages/",
    ):
        assert "<script>alert" not in root.get(page).content.decode(), page


def test_an_answer_and_reactions_are_readable(
    root: Client, room: Room, ila: Caller, friend: Caller
) -> None:
    first = say(ila, room)
    second = say(friend, room, reply_to=first.id)
    add_reaction(caller=ila, room_id=room.pk, message_id=second.id, emoji="👍")
    page = root.get(f"{MESSAGES}{second.id}/change/").content.decode()
    assert f'<a href="{MESSAGES}{first.id}/change/">number 1</a>' in page
    assert "👍 1" in page


def test_the_list_costs_the_same_queries_however_many_rooms(root: Client, ila: Caller) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            root.get(MESSAGES)
        return len(queries)

    def more() -> None:
        say(ila, make_room())
        say(ila, make_private_room(ila.user_id, make_user()))

    more()
    before = cost()
    for _ in range(5):
        more()
    assert cost() == before <= 6
