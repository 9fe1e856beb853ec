"""Delivers frames to the sockets of this process, and disconnects them.

Everything here runs on the event loop. Other threads enter through `post`.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any, Protocol

from accounts.auth import Caller
from accounts.kernel.errors import DomainError
from realtime.close_codes import CloseCode

from .events_socket import EventsSocket, EventsSubscriber
from .local_room import LocalRoom
from .local_state import LocalState
from .subscriber import Subscriber, VersionedFrame, text_event

Socket = Subscriber | EventsSocket
"""What belongs to a session and ends with it."""


class RoomCounters(Protocol):
    """A room's row, or the columns of it that a subscription needs."""

    @property
    def pk(self) -> int: ...

    @property
    def version(self) -> int: ...

    @property
    def access_epoch(self) -> int: ...


class HubObserver(Protocol):
    """Receives the hub's notifications, for repair, broker and presence."""

    def room_opened(self, room: LocalRoom) -> None:
        """A room has its first socket here."""

    def room_closed(self, room: LocalRoom) -> None:
        """A room has lost its last socket here."""

    def repair_needed(self, room: LocalRoom) -> None:
        """A room lacks a version, or must check its members again."""

    def user_left(self, room: LocalRoom, subscriber: Subscriber) -> None:
        """The last socket that made the user online in the room was closed."""

    def events_socket_opened(self, socket: EventsSocket) -> None:
        """A socket that follows its user's rooms was opened."""

    def events_socket_closed(self, socket: EventsSocket) -> None:
        """A socket that followed its user's rooms was closed."""


class Hub:
    """Owns the local rooms of one process, and indexes its sockets by session."""

    def __init__(self, state: LocalState, observer: HubObserver) -> None:
        self.state = state
        self.rooms: dict[int, LocalRoom] = {}
        self._observer = observer
        self.events_sockets: dict[int, set[EventsSocket]] = {}
        """Events sockets by user."""
        self._by_session: dict[int, set[Socket]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Remembers the loop of the sockets. True the first time."""
        if self._loop is loop:
            return False
        self._loop = loop
        return True

    def post(self, call: Callable[..., None], *arguments: Any) -> None:
        """Runs `call` on the loop, from any thread.

        Drops it before `Runtime.start`.
        """
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    # Subscriptions

    def subscribe(self, subscriber: Subscriber, row: RoomCounters) -> LocalRoom:
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
        if subscriber.on_events_socket:
            self.state.counts.followed_rooms += 1
        else:
            self._add_to_session(subscriber)
        return room

    def open_events_socket(self, socket: EventsSocket) -> None:
        """Registers a socket before it has rooms; checked as in `subscribe`."""
        self.state.counts.events_sockets += 1
        self._add_to_session(socket)
        self.events_sockets.setdefault(socket.caller.user_id, set()).add(socket)
        self._observer.events_socket_opened(socket)

    def is_open(self, socket: EventsSocket) -> bool:
        """Whether the socket may still be subscribed to rooms."""
        return socket in self.events_sockets.get(socket.caller.user_id, ())

    def close_events_socket(self, socket: EventsSocket) -> None:
        """Ends all its subscriptions. Is safe to call twice."""
        sockets = self.events_sockets.get(socket.caller.user_id, set())
        if socket not in sockets:
            return
        self.state.counts.events_sockets -= 1
        sockets.discard(socket)
        if not sockets:
            del self.events_sockets[socket.caller.user_id]
        self._forget_session(socket)
        for subscriber in socket.subscriptions():
            self.unsubscribe(subscriber)
        socket.followed.clear()
        self._observer.events_socket_closed(socket)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Is safe to call twice."""
        room = self.rooms.get(subscriber.room_id)
        if room is None or not room.holds(subscriber):
            return
        if subscriber.on_events_socket:
            self.state.counts.followed_rooms -= 1
        else:
            self._forget_session(subscriber)
        was_last = room.discard(subscriber)
        if room.is_empty:
            del self.rooms[room.id]
            self._observer.room_closed(room)
        if was_last:
            self._observer.user_left(room, subscriber)

    def _add_to_session(self, socket: Socket) -> None:
        self._by_session.setdefault(socket.caller.session_id, set()).add(socket)

    def _forget_session(self, socket: Socket) -> None:
        sockets = self._by_session[socket.caller.session_id]
        sockets.discard(socket)
        if not sockets:
            del self._by_session[socket.caller.session_id]

    def renew(self, socket: Socket, caller: Caller) -> None:
        """Continues a socket with its user's newer token; checked as in `subscribe`."""
        self._forget_session(socket)
        socket.renew(caller)
        self._add_to_session(socket)

    # Frames

    def deliver(self, room_id: int, version: int, access_epoch: int, text: str) -> None:
        """Delivers a versioned frame of a room."""
        room = self.rooms.get(room_id)
        if room is not None and not room.deliver(
            VersionedFrame(version, access_epoch, text_event(text))
        ):
            self._observer.repair_needed(room)

    def send_to_users(self, room_id: int, user_ids: Collection[int], text: str) -> None:
        """Sends copies of a private message to its users in the room of the sender.

        Not to events sockets: these follow the private room itself.
        """
        room = self.rooms.get(room_id)
        if room is not None:
            found = [one for pk in user_ids for one in room.subscribers_of(pk)]
            room.send_to([one for one in found if not one.on_events_socket], text)

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

    def send_receipt(self, room_id: int, user_id: int, text: str, *, shared: bool = True) -> None:
        """Sends a receipt to a room.

        Unshared, or in a large room (decision 11), only to the user's own sockets.

        Users who do not share receipts get those of none but themselves.
        """
        room = self.rooms.get(room_id)
        is_public = shared and room is not None and room.announces
        if room is not None and is_public and not room.unsharing:
            room.send(text)
        elif room is not None and is_public:
            receivers = [
                one
                for one in room.subscribers()
                if one.caller.user_id == user_id or one.caller.user_id not in room.unsharing
            ]
            room.send_to(receivers, text)
        elif room is not None:
            room.send_to(room.subscribers_of(user_id), text)

    def send_to_events_sockets(
        self, user_id: int, room_ids: Collection[int], text: str, *, is_own: bool
    ) -> None:
        """Sends a frame once to each events socket that follows one of the rooms."""
        rooms = [
            room for pk in room_ids if (room := self.rooms.get(pk)) and room.events_subscribers
        ]
        receivers = {
            one.socket
            for room in rooms
            for one in room.subscribers()
            if isinstance(one, EventsSubscriber)
        }
        own = self.events_sockets.get(user_id, set())
        receivers = receivers | own if is_own else receivers - own
        event = text_event(text)
        self.state.counts.deliveries += len(receivers)
        for socket in receivers:
            socket.write(event)

    def set_receipts_sharing(self, sockets: Iterable[Socket], *, shares: bool) -> None:
        """Sends receipts to these sockets from now on, or no longer."""
        for socket in sockets:
            caller = socket.caller
            if shares != caller.shares_receipts:
                socket.renew(replace(caller, shares_receipts=shares))
                for subscriber in socket.subscriptions():
                    room = self.rooms.get(subscriber.room_id)
                    if room is not None:
                        room.set_sharing(caller.user_id, shares=shares)

    def sockets_of_user(self, user_id: int) -> list[Socket]:
        """Returns the sockets of a user. Walks through all: only for rare calls."""
        return [one for one in self._sockets() if one.caller.user_id == user_id]

    def _sockets(self) -> list[Socket]:
        return [one for same_session in self._by_session.values() for one in same_session]

    # Closing

    def ask_to_reconnect(self, room: LocalRoom) -> None:
        """Closes the sockets of a room that missed too much. Clients return with `since`."""
        for subscriber in room.subscribers():
            self.unsubscribe(subscriber)
            subscriber.close(CloseCode.RESTART)

    def close_all(self, code: CloseCode) -> None:
        """Closes all sockets of a process that ends, without an `exit` in the rooms."""
        sockets = self._sockets()
        for socket in sockets:
            socket.ready = False
            for subscriber in socket.subscriptions():
                subscriber.ready = False
        for socket in sockets:
            self._release(socket)
            socket.close(code)

    def _release(self, socket: Socket) -> None:
        if isinstance(socket, EventsSocket):
            self.close_events_socket(socket)
        else:
            self.unsubscribe(socket)

    def open_sessions(self) -> Collection[int]:
        return self._by_session.keys()

    def sockets_of_session(self, session_id: int) -> Collection[Socket]:
        return self._by_session.get(session_id, ())

    def disconnect(self, sockets: Collection[Socket], error: DomainError | None) -> None:
        """Sends the error and closes. Without an error, closes as after a leave.

        An EventsSubscriber ends its room on its socket, not the socket.
        """
        for socket in sockets:
            # Unsubscribed first: it receives no further frame while its queue drains.
            self._release(socket)
            if error is None:
                socket.end_after_leave()
            else:
                socket.end(error)
