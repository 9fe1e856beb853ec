"""Creates two users and a group, for trying the chat in one browser."""

import secrets
from typing import Any

from accounts.models import User
from accounts.services import register
from rooms.models import RoomKind
from rooms.services import create_room

NAMES = ("ila", "kaushal")


def demo_chat(address: str | None, user_agent: str) -> dict[str, Any]:
    """Returns users with tokens and passwords, and a group of which both are members.

    The names are new at each call. Raises RateLimited, Busy.
    """
    suffix = secrets.token_hex(3)
    people = [_register(f"{name}-{suffix}", address, user_agent) for name in NAMES]
    (owner, _), (other, _) = people
    room = create_room(
        user_id=owner.pk,
        name=f"demo-{suffix}",
        kind=RoomKind.GROUP,
        title="Two users in one browser",
        members=[other.username],
    )
    return {
        "users": [account for _, account in people],
        "room": {"kind": room.kind, "id": room.pk, "name": room.name},
    }


def _register(name: str, address: str | None, user_agent: str) -> tuple[User, dict[str, str]]:
    password = secrets.token_urlsafe(12)
    user, pair = register(
        username=name,
        email=None,
        password=password,
        password2=None,
        address=address,
        user_agent=user_agent,
    )
    tokens = {"access": pair.access, "refresh": pair.refresh}
    return user, {"username": user.username, "password": password, **tokens}
