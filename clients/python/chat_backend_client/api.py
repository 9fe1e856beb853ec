"""The REST API, typed: each method is one request.

Paths and rules are in the contract.
"""

from collections.abc import AsyncIterator
from typing import Literal
from urllib.parse import quote

from .models import Attachment, Json, Marker, Member, Message, Receipt, Role, RoomInfo, User
from .rest import Rest

PAGE = 200


def _given(**values: object) -> Json:
    return {name: value for name, value in values.items() if value is not None}


class Api:
    def __init__(self, rest: Rest) -> None:
        self.rest = rest

    # People

    async def me(self) -> User:
        return User.of(await self.rest.call("GET", "/users/me"))

    async def change_me(
        self, *, display_name: str | None = None, share_receipts: bool | None = None
    ) -> User:
        body = _given(display_name=display_name, share_receipts=share_receipts)
        return User.of(await self.rest.call("PATCH", "/users/me", body))

    async def users(self, q: str = "", limit: int = PAGE) -> list[User]:
        body = await self.rest.call("GET", "/users", params={"q": q, "limit": limit})
        return [User.of(one) for one in body]

    # Rooms

    async def rooms(self, q: str = "", limit: int = PAGE) -> list[RoomInfo]:
        body = await self.rest.call("GET", "/rooms", params={"q": q, "limit": limit})
        return [RoomInfo.of(one) for one in body]

    async def my_rooms(self, limit: int = PAGE) -> list[RoomInfo]:
        body = await self.rest.call("GET", "/my-rooms", params={"limit": limit})
        return [RoomInfo.of(one) for one in body]

    async def room(self, room_id: int) -> RoomInfo:
        return RoomInfo.of(await self.rest.call("GET", f"/rooms/{room_id}"))

    async def create_room(
        self,
        name: str,
        *,
        kind: Literal["public", "group"] = "public",
        title: str = "",
        topic: str = "",
        members: list[str | int] | None = None,
    ) -> RoomInfo:
        body = {"name": name, "kind": kind, "title": title, "topic": topic}
        body["members"] = members or []  # type: ignore[assignment]
        return RoomInfo.of(await self.rest.call("POST", "/rooms", body))

    async def change_room(
        self, room_id: int, *, title: str | None = None, topic: str | None = None
    ) -> RoomInfo:
        body = _given(title=title, topic=topic)
        return RoomInfo.of(await self.rest.call("PATCH", f"/rooms/{room_id}", body))

    async def delete_room(self, room_id: int) -> None:
        await self.rest.call("DELETE", f"/rooms/{room_id}")

    async def private_room(self, username: str) -> RoomInfo:
        path = f"/private/{quote(username, safe='')}"
        return RoomInfo.of(await self.rest.call("POST", path, repeat=True))

    async def join(self, room_id: int) -> RoomInfo:
        return RoomInfo.of(await self.rest.call("POST", f"/rooms/{room_id}/join", repeat=True))

    async def leave(self, room_id: int) -> None:
        await self.rest.call("POST", f"/rooms/{room_id}/leave")

    async def mute(self, room_id: int, *, muted: bool = True) -> RoomInfo:
        return RoomInfo.of(await self.rest.call("PATCH", f"/my-rooms/{room_id}", {"muted": muted}))

    # Members

    async def members(self, room_id: int, limit: int = PAGE) -> list[Member]:
        body = await self.rest.call("GET", f"/rooms/{room_id}/members", params={"limit": limit})
        return [Member.of(one) for one in body]

    async def add_members(self, room_id: int, members: list[str | int]) -> list[str]:
        """Returns the names that were added."""
        path = f"/rooms/{room_id}/add-members"
        body = await self.rest.call("POST", path, {"members": members}, repeat=True)
        added: list[str] = body["added_members"]
        return added

    async def change_role(self, room_id: int, username: str, role: Role) -> Member:
        path = f"/rooms/{room_id}/members/{quote(username, safe='')}"
        return Member.of(await self.rest.call("PATCH", path, {"role": role}))

    async def remove_member(self, room_id: int, username: str) -> None:
        await self.rest.call("DELETE", f"/rooms/{room_id}/members/{quote(username, safe='')}")

    # Messages

    async def messages(
        self,
        room_id: int,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = PAGE,
    ) -> list[Message]:
        """Returns one page, oldest first; without a cursor the newest."""
        params = _given(after=after, before=before, limit=limit)
        body = await self.rest.call("GET", f"/rooms/{room_id}/messages", params=params)
        return [Message.of(one) for one in body]

    async def history(self, room_id: int, after: int = 0) -> AsyncIterator[Message]:
        """Yields all messages after a `seq`, page by page."""
        while page := await self.messages(room_id, after=after):
            for message in page:
                yield message
            after = page[-1].seq

    async def edit(self, room_id: int, message_id: int, text: str) -> Message:
        path = f"/rooms/{room_id}/messages/{message_id}"
        return Message.of(await self.rest.call("PATCH", path, {"content": text}))

    async def delete(self, room_id: int, message_id: int) -> None:
        await self.rest.call("DELETE", f"/rooms/{room_id}/messages/{message_id}")

    async def react(self, room_id: int, message_id: int, emoji: str) -> Message:
        return await self._reaction("PUT", room_id, message_id, emoji)

    async def unreact(self, room_id: int, message_id: int, emoji: str) -> Message:
        return await self._reaction("DELETE", room_id, message_id, emoji)

    async def _reaction(self, method: str, room_id: int, message_id: int, emoji: str) -> Message:
        path = f"/rooms/{room_id}/messages/{message_id}/reactions/{quote(emoji, safe='')}"
        return Message.of(await self.rest.call(method, path))

    async def pin(self, room_id: int, message_id: int, *, pinned: bool = True) -> Message:
        path = f"/rooms/{room_id}/messages/{message_id}/pin"
        return Message.of(await self.rest.call("PUT" if pinned else "DELETE", path))

    async def pins(self, room_id: int) -> list[Message]:
        return [Message.of(one) for one in await self.rest.call("GET", f"/rooms/{room_id}/pins")]

    async def read(self, room_id: int, seq: int) -> Marker:
        path = f"/rooms/{room_id}/read"
        return Marker.of(await self.rest.call("POST", path, {"seq": seq}, repeat=True))

    async def receipts(self, room_id: int) -> list[Receipt]:
        body = await self.rest.call("GET", f"/rooms/{room_id}/receipts")
        return [Receipt.of(one) for one in body]

    async def search(
        self, q: str, *, room: int | None = None, has: str | None = None, limit: int = 50
    ) -> list[Message]:
        """Returns one page of matches, newest first; each has a `highlight` in HTML."""
        params = _given(q=q, room=room, has=has, limit=limit)
        return [Message.of(one) for one in await self.rest.call("GET", "/search", params=params)]

    # Files

    async def upload(
        self, name: str, content: bytes, content_type: str = "application/octet-stream"
    ) -> Attachment:
        """Stores a file, whose id goes into `room.send(attachments=...)`."""
        return Attachment.of(await self.rest.upload(name, content, content_type))

    async def download(self, attachment: Attachment) -> bytes:
        return await self.rest.download(attachment.url)
