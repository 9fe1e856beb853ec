"""Defines errors about rooms and membership."""

from collections.abc import Sequence

from accounts.kernel.errors import DomainError

REMOVED = "You were removed from this room"


class NoSuchRoom(DomainError):
    """Also raised for a room that the caller may not see (contract §2)."""

    code = "no_such_room"
    detail = "Room not found"


class NotAMember(DomainError):
    code = "not_a_member"
    detail = "You are not a member of this room"


class RoomExists(DomainError):
    code = "room_exists"
    detail = "A room with this name already exists"


class UnknownUsers(DomainError):
    code = "unknown_users"
    detail = "Unknown users"


def unknown_users(names: Sequence[str]) -> UnknownUsers:
    """Returns the error for unknown members."""
    return UnknownUsers(
        f"Unknown user{'s' if len(names) > 1 else ''}: {', '.join(names)}",
        errors=[
            {"loc": ["members"], "msg": f"unknown user: {name}", "type": "unknown_user"}
            for name in names
        ],
    )


class NoSuchMember(DomainError):
    code = "no_such_member"
    detail = "Member not found"


class RoomTooLarge(DomainError):
    code = "room_too_large"
    detail = "This room has too many members for receipts"


class LastOwner(DomainError):
    code = "last_owner"
    detail = "You are the last owner: make another member owner, or delete the room"
