"""Broadcasts frames and control messages to the sockets of all processes."""

from collections.abc import Callable, Collection
from typing import assert_never

from realtime.delivery.hub import Hub
from realtime.delivery.membership_watch import MembershipWatch
from realtime.delivery.revocation import Revocation
from rooms.errors import NoSuchRoom

from .broker import ALL_PROCESSES, Broker, room_group, user_group
from .messages import (
    CheckMemberships,
    CloseRoom,
    ClusterMessage,
    DeliverFrame,
    DisconnectMember,
    EndSessions,
    RoomMessage,
    SendReceipt,
    SendToEventsSockets,
    SendToRoom,
    SendToUsers,
    SetReceiptsSharing,
    UserMessage,
)


class Broadcaster:
    """Applies each message to the local hub, then publishes it to other processes."""

    def __init__(self, hub: Hub, revocation: Revocation, watch: MembershipWatch) -> None:
        self._hub = hub
        self._revocation = revocation
        self._watch = watch
        self._broker = Broker(self.receive, self._is_wanted, hub.state.write_batch)

    def start(self) -> None:
        """Connects the broker. Call on the loop of the sockets."""
        self._broker.start()

    def room_opened_or_closed(self, room_id: int) -> None:
        """Subscribes to a room's messages while it is open here."""
        self._broker.refresh(room_group(room_id))

    def user_opened_or_closed(self, user_id: int) -> None:
        """Subscribes to a user's messages while the user has an events socket here."""
        self._broker.refresh(user_group(user_id))

    def _is_wanted(self, group: str) -> bool:
        kind, _, number = group.partition(".")
        if group == ALL_PROCESSES:
            return True
        return int(number) in (self._hub.events_sockets if kind == "user" else self._hub.rooms)

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

    def send_receipt(self, room_id: int, user_id: int, text: str, *, shared: bool = True) -> None:
        """Sends a user's read or delivered marker to users who share theirs."""
        self._broadcast(SendReceipt(room_id, user_id, text, shared))

    def set_receipts_sharing(self, user_id: int, *, shares: bool) -> None:
        """Sends receipts to a user's open sockets from now on, or no longer."""
        self._broadcast(SetReceiptsSharing(user_id, shares))

    def disconnect_member(
        self, room_id: int, user_id: int, access_epoch: int, *, removed: bool
    ) -> None:
        """Closes a user's sockets in a room: 4403 after a removal, 1000 after a leave."""
        self._broadcast(DisconnectMember(room_id, user_id, access_epoch, removed))

    def close_room(self, room_id: int) -> None:
        self._broadcast(CloseRoom(room_id))

    def check_memberships(self, user_ids: Collection[int]) -> None:
        """Announces changed memberships to the users' events sockets."""
        for user_id in user_ids:
            self._broadcast(CheckMemberships(user_id))

    def send_to_events_sockets(
        self, user_id: int, room_ids: Collection[int], text: str, *, is_own: bool
    ) -> None:
        """Sends a frame about a user to the events sockets that follow one of the rooms."""
        self._broadcast(SendToEventsSockets(user_id, list(room_ids), text, is_own))

    def has_events_receivers(self) -> bool:
        """Returns whether there may be an events socket, here or on another process."""
        return self._broker.active or bool(self._hub.events_sockets)

    def end_sessions(self, session_ids: Collection[int]) -> None:
        self._broadcast(EndSessions(list(session_ids)))

    def _broadcast(self, message: ClusterMessage) -> None:
        self.receive(message)
        self._broker.publish(_group_of(message), message)

    def receive(self, message: ClusterMessage) -> None:
        """Applies a message of any process to the sockets here."""
        if isinstance(message, UserMessage):
            self._receive_about_users(message)
        else:
            self._receive_about_room(message)

    def _receive_about_room(self, message: RoomMessage) -> None:
        hub = self._hub
        match message:
            case DeliverFrame(room_id, version, access_epoch, text):
                hub.deliver(room_id, version, access_epoch, text)
            case SendToUsers(room_id, user_ids, text):
                hub.send_to_users(room_id, user_ids, text)
            case SendToRoom(room_id, text, except_user_id, droppable):
                hub.send_to_room(room_id, text, except_user_id=except_user_id, droppable=droppable)
            case SendReceipt(room_id, user_id, text, shared):
                hub.send_receipt(room_id, user_id, text, shared=shared)
                if message.is_read:
                    self._watch.marks_changed(user_id, room_id)
            case DisconnectMember(room_id, user_id, access_epoch, removed):
                self._revocation.disconnect_member(room_id, user_id, access_epoch, removed=removed)
            case CloseRoom(room_id):
                self._revocation.close_room(room_id, NoSuchRoom())
            case _:
                assert_never(message)

    def _receive_about_users(self, message: UserMessage) -> None:
        match message:
            case CheckMemberships(user_id):
                self._watch.hint([user_id])
            case SendToEventsSockets(user_id, room_ids, text, is_own):
                self._hub.send_to_events_sockets(user_id, room_ids, text, is_own=is_own)
            case EndSessions(session_ids):
                self._revocation.end_sessions(session_ids)
            case SetReceiptsSharing(user_id, shares):
                self._hub.set_receipts_sharing(self._hub.sockets_of_user(user_id), shares=shares)
            case _:
                assert_never(message)


def _group_of(message: ClusterMessage) -> str:
    match message:
        case EndSessions() | SendToEventsSockets() | SetReceiptsSharing():
            return ALL_PROCESSES
        case CheckMemberships(user_id):
            return user_group(user_id)
        case _:
            return room_group(message.room_id)
