"""Addresses the chosen room, and creates a missing group."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from .account import Account
from .rest import Refused


@dataclass(frozen=True)
class RoomAddress:
    """A public room, a group, or the private room with one user."""

    kind: str
    name: str

    @property
    def path(self) -> str:
        """Returns the path below `/ws`."""
        name = quote(self.name, safe="")
        folder = {"public": "chat", "group": "chat/group", "private": "private"}[self.kind]
        return f"/{folder}/{name}/"

    def hint(self, code: str) -> str:
        """Returns the remedy for an error on connecting, or "" if its message is enough."""
        hints = {
            ("public", "not_a_member"): f"For members of this group: GROUP={self.name}",
            ("public", "forbidden"): f"For members of this group: GROUP={self.name}",
            ("group", "not_a_member"): f"To create the group: GROUP={self.name} MEMBERS=kaushal",
            ("private", "no_such_user"): f"They register with: make chat NAME={self.name}",
        }
        return hints.get((self.kind, code), "")


def create_group(account: Account, name: str, members: Sequence[str]) -> list[str]:
    """Creates the group, or adds members to it. Returns the names of new members.

    Raises Refused.
    """
    try:
        created = account.call(
            "POST", "/rooms/with-members", {"name": name, "members": list(members)}
        )
    except Refused as refusal:
        if refusal.code != "room_exists":
            raise
        return _add_members(account, name, members)
    others: list[str] = [one for one in created["members"] if one != account.username]
    return others


def _add_members(account: Account, name: str, members: Sequence[str]) -> list[str]:
    """Adds the missing members; does nothing in a group that is not the caller's.

    Connecting to such a group fails with a better error.
    """
    mine = account.call("GET", f"/rooms?kind=group&q={quote(name, safe='')}")
    ids = [room["id"] for room in mine if room["name"].casefold() == name.casefold()]
    if not ids:
        return []
    present = {one["username"] for one in account.call("GET", f"/rooms/{ids[0]}/members?limit=200")}
    missing = [one for one in members if one not in present]
    if not missing:
        return []
    body = account.call("POST", f"/rooms/{ids[0]}/add-members", {"members": missing})
    added: list[str] = body["added_members"]
    return added
