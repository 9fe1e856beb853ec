"""Delivers frames to the sockets of this process, and disconnects them.

Everything here runs on the event loop. Other threads enter through `post`.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Protocol

from accounts.auth import Caller
from accounts.kernel.errors import DomainError
from realtime.close_codes import CloseCode
from rooms.models import Room

from .local_room import LocalRoom
from .local_state import LocalState
from .subscriber import Subscriber, VersionedFrame, text_event


class HubObserver(Protocol):
    """Receives the hub's notifications, for repair, broker and presence."""

    def room_opened(self, room: LocalRoom) -> None:
        """A room has its first socket here."""

    def room_closed(self, room: LocalRoom) -> None:
        """A room has lost its last socket here."""

    def repair_needed(self, room: LocalRoom) -> None:
        """A room lacks a version, or must check its members again."""

    def user_left(self, room: LocalRoom, subscriber: Subscriber) -> None:
        """The last socket of a user in a room has closed."""


class Hub:
    """Owns the local rooms of one process, and indexes its sockets by session."""

    def __init__(self, state: LocalState, observer: HubObserver) -> None:
        self.state = state
        self.rooms: dict[int, LocalRoom] = {}
        self._observer = observer
        self._by_session: dict[int, set[Subscriber]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Remembers the loop of the sockets. True the first time."""
        if self._loop is loop:
            return False
        self._loop = loop
        return True

    def post(self, call: Callable[..., None], *arguments: Any) -> None:
        """Runs `call` on the loop, from any thread.

        Drops it when no socket was ever open.
        """
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    # Subscriptions

    def subscribe(self, subscriber: Subscriber, row: Room) -> LocalRoom:
        """Subscribes a socket that was authorised against this row.

        Its session must have been checked at this moment (`Revocation.check_session`). A change
        that was committed since the row was read shows in the version and the access epoch of the
        next frame, or in the repair that is requested here.
        """
        room = self.rooms.get(row.pk)
        if room is None:
            room = LocalRoom(row.pk, row.version, row.access_epoch, self.state)
            self.rooms[row.pk] = room
            self._observer.room_opened(room)
        elif room.access_epoch != row.access_epoch:
            # The row is older or newer than the room's members: they must be checked again.
            room.access_epoch = min(room.access_epoch, row.access_epoch)
            self._observer.repair_needed(room)
        room.add(subscriber)
        self._by_session.setdefault(subscriber.caller.session_id, set()).add(subscriber)
        return room

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Is safe to call twice."""
        room = self.rooms.get(subscriber.room_id)
        if room is None or not room.holds(subscriber):
            return
        self._forget_session(subscriber)
        was_last = room.discard(subscriber)
        if not room.users:
            del self.rooms[room.id]
            self._observer.room_closed(room)
        if was_last:
            self._observer.user_left(room, subscriber)

    def _forget_session(self, subscriber: Subscriber) -> None:
        sockets = self._by_session[subscriber.caller.session_id]
        sockets.discard(subscriber)
        if not sockets:
            del self._by_session[subscriber.caller.session_id]

    def renew(self, subscriber: Subscriber, caller: Caller) -> None:
        """Continues a socket with a newer token, checked as in `subscribe`."""
        self._forget_session(subscriber)
        subscriber.caller = caller
        self._by_session.setdefault(caller.session_id, set()).add(subscriber)

    # Frames

    def deliver(self, room_id: int, version: int, access_epoch: int, text: str) -> None:
        """Delivers a versioned frame of a room."""
        room = self.rooms.get(room_id)
        if room is not None and not room.deliver(
            VersionedFrame(version, access_epoch, text_event(text))
        ):
            self._observer.repair_needed(room)

    def send_to_users(self, room_id: int, user_ids: Collection[int], text: str) -> None:
        """Sends a frame outside the order of versions to some users' sockets in a room."""
        room = self.rooms.get(room_id)
        if room is None:
            return
        # Not before the message that the frame may be about.
        room.write_out()
        event = text_event(text)
        receivers = [one for pk in user_ids for one in room.subscribers_of(pk) if one.ready]
        self.state.counts.deliveries += len(receivers)
        for subscriber in receivers:
            subscriber.write(event)

    def send_to_room(
        self,
        room_id: int,
        text: str,
        *,
        except_user_id: int | None = None,
        droppable: bool = False,
    ) -> None:
        """Sends a frame outside the order of versions, except to one user."""
        room = self.rooms.get(room_id)
        # Another process may not know that too many users are online for typing.
        if room is not None and not (droppable and not room.announces):
            room.send(text, except_user_id=except_user_id, droppable=droppable)

    def send_read_marker(self, room_id: int, user_id: int, text: str) -> None:
        """Sends a read marker; in large rooms to the user's own sockets (decision 11)."""
        room = self.rooms.get(room_id)
        if room is not None and room.announces:
            room.send(text)
        else:
            self.send_to_users(room_id, (user_id,), text)

    # Closing

    def ask_to_reconnect(self, room: LocalRoom) -> None:
        """Closes the sockets of a room that missed too much. Clients return with `since`."""
        for subscriber in room.subscribers():
            self.unsubscribe(subscriber)
            subscriber.close(CloseCode.RESTART)

    def close_all(self, code: CloseCode) -> None:
        """Closes all sockets of a process that ends, without an `exit` in the rooms."""
        subscribers = [one for room in list(self.rooms.values()) for one in room.subscribers()]
        for subscriber in subscribers:
            subscriber.ready = False
        for subscriber in subscribers:
            self.unsubscribe(subscriber)
            subscriber.close(code)

    def open_sessions(self) -> Collection[int]:
        return self._by_session.keys()

    def sockets_of_session(self, session_id: int) -> Collection[Subscriber]:
        return self._by_session.get(session_id, ())

    def disconnect(self, subscribers: Collection[Subscriber], error: DomainError | None) -> None:
        """Sends the error and closes. Without an error, closes as after a leave."""
        for subscriber in subscribers:
            # Unsubscribed first: it receives no further frame while its queue drains.
            self.unsubscribe(subscriber)
            if error is None:
                subscriber.close(CloseCode.NORMAL)
            else:
                subscriber.end(error)
