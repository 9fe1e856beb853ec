"""`manage.py demo` and `manage.py purge_rooms`."""

import re
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from accounts.auth import authenticate
from accounts.kernel.rate_limits import buckets
from accounts.models import Session, User
from messaging.management.commands import purge_rooms
from messaging.models import Message, Reaction
from rooms.models import Role, Room, RoomKind
from rooms.services import delete_room
from tests.factories import make_caller, make_room, make_user, store_message

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("cheap_passwords"),
]


@pytest.fixture(autouse=True)
def development(settings: Settings, tmp_path: Path) -> Iterator[None]:
    settings.DEBUG = True
    settings.MEDIA_ROOT = tmp_path
    buckets.clear()
    yield
    buckets.clear()


def run(command: str, *arguments: str) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


# demo


def test_demo_creates_a_room_of_each_kind_with_messages() -> None:
    run("demo")
    assert {room.kind: room.last_seq for room in Room.objects.all()} == {
        RoomKind.PUBLIC: 3,
        RoomKind.GROUP: 4,
        RoomKind.PRIVATE: 2,
    }
    assert list(User.objects.order_by("pk").values_list("username", flat=True)) == [
        "ila",
        "kaushal",
        "maya",
    ]
    assert all(user.check_password("password123") for user in User.objects.all())


def test_demo_shows_a_file_a_pin_and_a_mention() -> None:
    run("demo")
    packing = Message.objects.get(content="What to pack")
    (attachment,) = packing.attachments
    assert attachment["name"] == "packing.txt"
    assert packing.pinned_version is not None
    ila = User.objects.get(username="ila")
    assert Message.objects.get(content__contains="@ila").mentions == [ila.pk]


def test_second_run_adds_only_sessions() -> None:
    run("demo")
    rows = [list(table.objects.order_by("pk").values()) for table in (Room, Message, Reaction)]
    run("demo")
    again = [list(table.objects.order_by("pk").values()) for table in (Room, Message, Reaction)]
    assert rows == again
    assert User.objects.count() == 3
    assert Session.objects.count() == 6


def test_printed_tokens_and_urls_are_valid() -> None:
    printed = run("demo")
    tokens = re.findall(r"^(eyJ\S+)$", printed, re.MULTILINE)
    assert [authenticate(token).username for token in tokens] == ["ila", "kaushal", "maya"]
    for path in ("chat/lobby", "chat/group/weekend", "private/kaushal", "events"):
        assert re.search(rf"ws://[\w.]+:\d+/ws/{path}/\?token={re.escape(tokens[0])}", printed)


def test_demo_recreates_a_deleted_room() -> None:
    run("demo")
    lobby = Room.objects.get(name="lobby")
    assert lobby.created_by_id is not None
    delete_room(user_id=lobby.created_by_id, room_id=lobby.pk)
    run("demo")
    assert Room.objects.get(name="lobby", deleted_at=None).last_seq == 3


def test_demo_refuses_to_run_in_production(settings: Settings) -> None:
    settings.DEBUG = False
    with pytest.raises(CommandError, match="DEBUG=1"):
        run("demo")
    assert not User.objects.exists()


def test_demo_does_not_take_an_existing_username() -> None:
    make_user("maya")
    with pytest.raises(CommandError, match="maya"):
        run("demo")


def test_demo_does_not_take_an_existing_room() -> None:
    make_room(RoomKind.GROUP, name="weekend")
    with pytest.raises(CommandError, match="weekend"):
        run("demo")


def test_demo_sets_roles_in_its_group() -> None:
    run("demo")
    weekend = Room.objects.get(name="weekend")
    roles = dict(weekend.members.values_list("user__username", "role"))
    assert roles == {"ila": Role.OWNER, "kaushal": Role.MEMBER, "maya": Role.MEMBER}


# purge_rooms


def deleted_room_with_messages(*, days_ago: int = 0, messages: int = 3) -> Room:
    owner = make_caller()
    room = make_room(owner=[owner.user_id])
    ids = [store_message(owner, room).id for _ in range(messages)]
    Reaction.objects.create(message_id=ids[-1], user_id=owner.user_id, emoji="👍")
    delete_room(user_id=owner.user_id, room_id=room.pk)
    Room.objects.filter(pk=room.pk).update(deleted_at=timezone.now() - timedelta(days=days_ago))
    return room


def test_purge_erases_only_deleted_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge_rooms, "CHUNK", 2)
    owner = make_caller()
    kept = make_room(owner=[owner.user_id])
    store_message(owner, kept)
    gone = deleted_room_with_messages(messages=5)
    assert run("purge_rooms") == "Erased 5 messages of 1 deleted rooms.\n"
    assert list(Message.objects.values_list("room", flat=True)) == [kept.pk]
    assert not Reaction.objects.exists()
    assert Room.objects.filter(pk=gone.pk).exists(), "so that connecting does not make it again"
    assert run("purge_rooms") == "Erased 0 messages of 0 deleted rooms.\n"


def test_purge_can_keep_recently_deleted_rooms() -> None:
    recent, old = deleted_room_with_messages(days_ago=2), deleted_room_with_messages(days_ago=31)
    assert (
        run("purge_rooms", "--older-than-days", "30") == "Erased 3 messages of 1 deleted rooms.\n"
    )
    assert Message.objects.filter(room=recent).count() == 3
    assert not Message.objects.filter(room=old).exists()


@pytest.mark.parametrize("days", ["-1", "999999999"])
def test_invalid_days_are_a_clear_error(days: str) -> None:
    with pytest.raises(CommandError, match="--older-than-days"):
        run("purge_rooms", "--older-than-days", days)
