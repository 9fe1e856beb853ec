"""Names the room that the user asked for, and makes a group that is missing."""

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
        """Below `/ws`."""
        name = quote(self.name, safe="")
        folder = {"public": "chat", "group": "chat/group", "private": "private"}[self.kind]
        return f"/{folder}/{name}/"

    def hint(self, code: str) -> str:
        """What to do about a refusal at the door; empty where its sentence says enough."""
        hints = {
            ("public", "not_a_member"): f"If you belong to this group: GROUP={self.name}",
            ("public", "forbidden"): f"If you belong to this group: GROUP={self.name}",
            ("group", "not_a_member"): f"To make the group: GROUP={self.name} MEMBERS=kaushal",
            ("private", "no_such_user"): f"They register with: make chat NAME={self.name}",
        }
        return hints.get((self.kind, code), "")


def make_group(account: Account, name: str, members: Sequence[str]) -> list[str]:
    """Makes the group, or adds members to the one that exists. The names that are new there.

    Raises Refused.
    """
    try:
        made = account.call("POST", "/rooms/with-members", {"name": name, "members": list(members)})
    except Refused as refusal:
        if refusal.code != "room_exists":
            raise
        return _add_members(account, name, members)
    others: list[str] = [one for one in made["members"] if one != account.username]
    return others


def _add_members(account: Account, name: str, members: Sequence[str]) -> list[str]:
    """Nothing for a group that is not the caller's: connecting says so in a better sentence."""
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
