"""Refusals about rooms and membership."""

from collections.abc import Sequence

from accounts.kernel.errors import DomainError

REMOVED = "You were removed from this room"


class NoSuchRoom(DomainError):
    """Also for a room that the caller may not see: the two look the same (contract §2)."""

    code = "no_such_room"
    detail = "There is no such room"


class NotAMember(DomainError):
    code = "not_a_member"
    detail = "You are not a member of this room"


class RoomExists(DomainError):
    code = "room_exists"
    detail = "A room with this name exists already"


class UnknownUsers(DomainError):
    code = "unknown_users"
    detail = "Some of these people do not exist"


def unknown_users(names: Sequence[str]) -> UnknownUsers:
    """The refusal of these members."""
    return UnknownUsers(
        f"There is nobody called {', '.join(names)}",
        errors=[
            {"loc": ["members"], "msg": f"there is nobody called {name}", "type": "unknown_user"}
            for name in names
        ],
    )


class NoSuchMember(DomainError):
    code = "no_such_member"
    detail = "This room has no such member"


class LastOwner(DomainError):
    code = "last_owner"
    detail = "You are the last owner: hand the room over or delete it first"
