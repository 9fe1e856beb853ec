"""Creates users, rooms and messages for `manage.py demo`.

Prints tokens and URLs to paste.
"""

import os
import time
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from accounts.auth import Caller, authenticate, user_of
from accounts.kernel.errors import DomainError, InvalidCredentials, UsernameTaken
from accounts.kernel.names import name_key
from accounts.login import log_in
from accounts.services import register
from accounts.tokens import TokenPair
from messaging import reactions, services
from messaging.attachments.services import store_upload
from messaging.pins import pin_message
from messaging.writer.drafts import Sent
from rooms.errors import RoomExists
from rooms.membership import add_members
from rooms.models import Room, RoomKind
from rooms.services import create_room, open_private_room

PASSWORD = "password123"  # noqa: S105 - public, so the demo runs only while developing
PEOPLE = ("ila", "kaushal", "maya")
PUBLIC, GROUP, PRIVATE = "lobby", "weekend", "private"
MESSAGES = {
    PUBLIC: (
        ("ila", "Good morning! Anybody here?"),
        ("kaushal", "Just arrived. What is this room for?"),
        ("maya", "Everything. Every user may read and write here."),
    ),
    GROUP: (
        ("ila", "Where do we go on Saturday?"),
        ("maya", "To the lake, @ila, if it does not rain."),
        ("kaushal", "And to the cinema if it does."),
    ),
    PRIVATE: (
        ("ila", "Shall we bring a cake?"),
        ("kaushal", "Two."),
    ),
}


FILE_NAME, FILE_TEXT = "packing.txt", b"Tent\nBread\nMatches\n"


class Command(BaseCommand):
    help = "Fill the database with users, rooms and messages, and print tokens and URLs to paste"

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError(
                "The demo creates accounts with a public password: it runs only with DEBUG=1"
            )
        try:
            pairs = {name: _register_or_log_in(name) for name in PEOPLE}
            callers = {name: authenticate(pair.access) for name, pair in pairs.items()}
            rooms = _rooms(callers)
            _send_messages(callers, rooms)
        except DomainError as refusal:
            raise CommandError(f"The demo failed: {refusal.message}") from refusal
        self._print(pairs, rooms)

    def _print(self, pairs: dict[str, TokenPair], rooms: dict[str, Room]) -> None:
        # HOST and PORT are not Django settings, so they come from the module.
        env = import_module(os.environ["DJANGO_SETTINGS_MODULE"]).env
        host = {"0.0.0.0": "localhost", "::": "localhost"}.get(env.host, env.host)  # noqa: S104
        at = f"[{host}]:{env.port}" if ":" in host else f"{host}:{env.port}"
        access = pairs["ila"].access
        minutes = round((authenticate(pairs["ila"].access).expires_at - time.time()) / 60)
        self.stdout.write(
            f"The password of every user is {PASSWORD}. The tokens are valid for {minutes} minutes."
        )
        for name, pair in pairs.items():
            self.stdout.write(f"\nAccess token of {name}:\n{pair.access}")
        self.stdout.write("\nTo talk in the terminal (start the server first: make run):")
        for room in (f"ROOM={PUBLIC}", f"GROUP={GROUP}", "TO=kaushal"):
            self.stdout.write(f"make chat NAME=ila {room}")
        self.stdout.write(
            "\nSockets of ila (public, group, private, all rooms), to open in Postman:"
        )
        for path in (f"chat/{PUBLIC}", f"chat/group/{GROUP}", "private/kaushal", "events"):
            self.stdout.write(f"ws://{at}/ws/{path}/?token={access}")
        self.stdout.write("\nHTTP as ila:")
        for path in (
            "my-rooms",
            f"history/{PUBLIC}",
            f"rooms/{rooms[GROUP].pk}/messages",
            f"rooms/{rooms[GROUP].pk}/members",
            f"rooms/{rooms[GROUP].pk}/pins",
            "search?q=lake",
        ):
            self.stdout.write(f'curl -H "Authorization: Bearer {access}" http://{at}/api/{path}')
        self.stdout.write(
            f'curl -H "Authorization: Bearer {access}" -F file=@README.md'
            f" http://{at}/api/attachments"
        )
        self.stdout.write(
            f'curl -H "Authorization: Bearer {access}" -H "Content-Type: application/json" \\\n'
            f'  -d \'{{"content": "Hello"}}\' http://{at}/api/rooms/{rooms[PUBLIC].pk}/messages'
        )
        self.stdout.write(f"\nSwagger UI: http://{at}/api/docs")


def _register_or_log_in(name: str) -> TokenPair:
    """Returns tokens of a user, who is registered the first time."""
    try:
        _, pair = register(
            username=name,
            email=None,
            password=PASSWORD,
            password2=None,
            address=None,
            user_agent="manage.py demo",
        )
    except UsernameTaken:
        pair = _log_in(name)
    return pair


def _log_in(name: str) -> TokenPair:
    try:
        _, pair = log_in(name=name, password=PASSWORD, address=None, user_agent="manage.py demo")
    except InvalidCredentials:
        raise CommandError(
            f"User {name} exists already and cannot log in with {PASSWORD}"
        ) from None
    return pair


def _rooms(callers: dict[str, Caller]) -> dict[str, Room]:
    """Returns one room of each kind, created in this or an earlier run."""
    owner = callers["ila"].user_id
    rooms = {
        PUBLIC: _room(owner, PUBLIC, RoomKind.PUBLIC),
        GROUP: _room(owner, GROUP, RoomKind.GROUP),
    }
    add_members(user_id=owner, room_id=rooms[GROUP].pk, people=list(PEOPLE))
    other = user_of(callers["kaushal"])
    rooms[PRIVATE] = open_private_room(user_id=owner, other=other)
    return rooms


def _room(owner: int, name: str, kind: RoomKind) -> Room:
    try:
        return create_room(user_id=owner, name=name, kind=kind, title=f"The {name}")
    except RoomExists:
        rooms = Room.objects.filter(name_key=name_key(name), kind=kind, deleted_at=None)
        room = rooms.filter(members__user_id=owner).first()
    if room is None:
        raise CommandError(f"Room {name} exists already and was not created by this demo")
    return room


def _send_messages(callers: dict[str, Caller], rooms: dict[str, Room]) -> None:
    for name, room in rooms.items():
        sent = [
            _send(callers[who], room, number, text)
            for number, (who, text) in enumerate(MESSAGES[name], 1)
        ]
        first, last = sent[0].message, sent[-1]
        if not last.duplicate:
            reactions.add_reaction(
                caller=callers["kaushal"], room_id=room.pk, message_id=first.id, emoji="👍"
            )
            if name == GROUP:
                _send_pinned_file(callers["ila"], room)


def _send_pinned_file(caller: Caller, room: Room) -> None:
    file = SimpleUploadedFile(FILE_NAME, FILE_TEXT, "text/plain")
    attachment = store_upload(caller=caller, file=file)
    draft = services.draft_message(
        caller=caller, room_id=room.pk, text="What to pack", attachments=[attachment.pk]
    )
    sent = services.send_message(draft)
    pin_message(caller=caller, room_id=room.pk, message_id=sent.message.id)


def _send(caller: Caller, room: Room, number: int, text: str) -> Sent:
    """Sends a message; by `client_id` a second run finds the message of the first."""
    draft = services.draft_message(
        caller=caller,
        room_id=room.pk,
        text=services.accept_text(caller=caller, content=text),
        client_id=f"demo-{number}",
    )
    return services.send_message(draft)
