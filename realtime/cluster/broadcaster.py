"""What is told, here and in every other process: the hub's calls, with a hint for the others."""

from collections.abc import Callable, Collection
from typing import Any

from realtime.close_codes import Removed
from realtime.delivery.hub import Hub
from rooms.errors import NoSuchRoom

from .broker import EVERYONE, Call, group_of
from .shards import Shards


class Broadcaster:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._bus = Shards(self._take, self._wants)
        # What a hint may ask for. Never a name from outside: a hint chooses among these.
        self._calls: dict[str, Callable[..., None]] = {
            "deliver": hub.deliver,
            "copy": hub.copy,
            "say": hub.say,
            "mark": hub.mark,
            "take_out": self._disconnect_member,
            "close_room": self._close_room,
            "end_sessions": hub.end_sessions,
        }
        hub.on_rooms_change = self._refresh

    def start(self) -> None:
        self._bus.start()

    def _take(self, call: Call) -> None:
        name, *arguments = call
        self._calls[name](*arguments)

    def _wants(self, group: str) -> bool:
        return group == EVERYONE or int(group.partition(".")[2]) in self._hub.rooms

    def _refresh(self, room_id: int) -> None:
        self._bus.refresh(group_of(room_id))

    def _everywhere(self, group: str, name: str, *arguments: Any) -> None:
        self._calls[name](*arguments)
        self._bus.publish(group, [name, *arguments])

    def _listened_to(self, room_id: int) -> bool:
        """Whether a frame of the room is worth making; of other processes nobody can tell."""
        return self._bus.active or room_id in self._hub.rooms

    def deliver(
        self, room_id: int, version: int, access_epoch: int, text: Callable[[], str]
    ) -> None:
        """A versioned frame, encoded once."""
        if self._listened_to(room_id):
            self._everywhere(group_of(room_id), "deliver", room_id, version, access_epoch, text())

    def copy(self, room_id: int, user_ids: Collection[int], text: Callable[[], str]) -> None:
        """A private message to the sockets that the two have in another room."""
        if self._listened_to(room_id):
            self._everywhere(group_of(room_id), "copy", room_id, list(user_ids), text())

    def say(self, room_id: int, text: str, but: int | None = None, droppable: bool = False) -> None:
        """A frame outside the order, to all but the sockets of one user."""
        self._everywhere(group_of(room_id), "say", room_id, text, but, droppable)

    def mark(self, room_id: int, user_id: int, text: str) -> None:
        """How far a user has read."""
        self._everywhere(group_of(room_id), "mark", room_id, user_id, text)

    def disconnect_member(
        self, room_id: int, user_id: int, access_epoch: int, removed: bool
    ) -> None:
        """Ends a user's sockets in a room: 4403 for the removed, 1000 for those who left."""
        self._everywhere(group_of(room_id), "take_out", room_id, user_id, access_epoch, removed)

    def close_room(self, room_id: int) -> None:
        self._everywhere(group_of(room_id), "close_room", room_id)

    def end_sessions(self, session_ids: Collection[int]) -> None:
        self._everywhere(EVERYONE, "end_sessions", list(session_ids))

    def _disconnect_member(
        self, room_id: int, user_id: int, access_epoch: int, removed: bool
    ) -> None:
        self._hub.disconnect_member(room_id, user_id, access_epoch, Removed() if removed else None)

    def _close_room(self, room_id: int) -> None:
        self._hub.close_room(room_id, NoSuchRoom())
