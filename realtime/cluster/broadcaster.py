"""Broadcasts frames and control messages to the sockets of all processes."""

from collections.abc import Callable, Collection
from typing import assert_never

from realtime.delivery.hub import Hub
from realtime.delivery.revocation import Revocation
from realtime.errors import Removed
from rooms.errors import NoSuchRoom

from .broker import ALL_PROCESSES, Broker, room_group
from .messages import (
    CloseRoom,
    ClusterMessage,
    DeliverFrame,
    DisconnectMember,
    EndSessions,
    SendReadMarker,
    SendToRoom,
    SendToUsers,
)


class Broadcaster:
    """Applies each message to the local hub, then publishes it to other processes."""

    def __init__(self, hub: Hub, revocation: Revocation) -> None:
        self._hub = hub
        self._revocation = revocation
        self._broker = Broker(self.receive, self._is_wanted, hub.state.write_batch)

    def start(self) -> None:
        """Connects the broker. Call on the loop of the sockets."""
        self._broker.start()

    def room_opened_or_closed(self, room_id: int) -> None:
        """Subscribes to a room's messages while it is open here."""
        self._broker.refresh(room_group(room_id))

    def _is_wanted(self, group: str) -> bool:
        return group == ALL_PROCESSES or int(group.partition(".")[2]) in self._hub.rooms

    def _has_receivers(self, room_id: int) -> bool:
        """Returns whether a frame may have receivers; other processes do not list rooms."""
        return self._broker.active or room_id in self._hub.rooms

    def deliver(
        self, room_id: int, version: int, access_epoch: int, text: Callable[[], str]
    ) -> None:
        """Sends a versioned frame, encoded once."""
        if self._has_receivers(room_id):
            self._broadcast(DeliverFrame(room_id, version, access_epoch, text()))

    def send_to_users(
        self, room_id: int, user_ids: Collection[int], text: Callable[[], str]
    ) -> None:
        """Sends a private message to its two users on the room where it was sent."""
        if self._has_receivers(room_id):
            self._broadcast(SendToUsers(room_id, list(user_ids), text()))

    def send_to_room(
        self,
        room_id: int,
        text: str,
        *,
        except_user_id: int | None = None,
        droppable: bool = False,
    ) -> None:
        """Sends a frame outside the order of versions."""
        self._broadcast(SendToRoom(room_id, text, except_user_id, droppable))

    def send_read_marker(self, room_id: int, user_id: int, text: str) -> None:
        self._broadcast(SendReadMarker(room_id, user_id, text))

    def disconnect_member(
        self, room_id: int, user_id: int, access_epoch: int, *, removed: bool
    ) -> None:
        """Closes a user's sockets in a room: 4403 after a removal, 1000 after a leave."""
        self._broadcast(DisconnectMember(room_id, user_id, access_epoch, removed))

    def close_room(self, room_id: int) -> None:
        self._broadcast(CloseRoom(room_id))

    def end_sessions(self, session_ids: Collection[int]) -> None:
        self._broadcast(EndSessions(list(session_ids)))

    def _broadcast(self, message: ClusterMessage) -> None:
        self.receive(message)
        group = ALL_PROCESSES if isinstance(message, EndSessions) else room_group(message.room_id)
        self._broker.publish(group, message)

    def receive(self, message: ClusterMessage) -> None:
        """Applies a message of any process to the sockets here."""
        hub = self._hub
        match message:
            case DeliverFrame(room_id, version, access_epoch, text):
                hub.deliver(room_id, version, access_epoch, text)
            case SendToUsers(room_id, user_ids, text):
                hub.send_to_users(room_id, user_ids, text)
            case SendToRoom(room_id, text, except_user_id, droppable):
                hub.send_to_room(room_id, text, except_user_id=except_user_id, droppable=droppable)
            case SendReadMarker(room_id, user_id, text):
                hub.send_read_marker(room_id, user_id, text)
            case DisconnectMember(room_id, user_id, access_epoch, removed):
                error = Removed() if removed else None
                self._revocation.disconnect_member(room_id, user_id, access_epoch, error)
            case CloseRoom(room_id):
                self._revocation.close_room(room_id, NoSuchRoom())
            case EndSessions(session_ids):
                self._revocation.end_sessions(session_ids)
            case _:
                assert_never(message)
