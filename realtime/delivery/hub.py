"""Fan-out of this process: which rooms are open here, and what their sockets are told.

Everything here runs on the event loop; other threads enter through `post`.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any

from accounts.auth import Caller
from accounts.kernel.errors import DomainError, SessionEnded
from realtime.close_codes import NORMAL, RESTART, Removed
from realtime.metrics import counts
from rooms.models import Room

from .local_room import LocalRoom
from .subscriber import Subscriber, VersionedFrame, text_event

log = logging.getLogger(__name__)

MAX_ENDED_SESSIONS = 10_000
"""Remembered for the moment between the check of a token and the subscription; seconds would do."""


def _nobody_mends(room: LocalRoom) -> None:
    log.warning("Room %d waits for a repair that was not started", room.id)


def _nobody_subscribes(room_id: int) -> None:
    log.warning("Room %d is not known to the bus", room_id)


def _nobody_is_told(room: LocalRoom, subscriber: Subscriber) -> None:
    log.warning("Room %d is not told that user %d left", room.id, subscriber.caller.user_id)


class Hub:
    """The one of this process: see `hub` below."""

    def __init__(self) -> None:
        self.rooms: dict[int, LocalRoom] = {}
        self._by_session: dict[int, set[Subscriber]] = {}
        # Sessions that ended a moment ago: a socket that was checked just before must not slip in.
        self._ended: dict[int, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.on_trouble: Callable[[LocalRoom], None] = _nobody_mends
        """Called when a room waits for something: the repair's way in."""
        self.on_open: Callable[[LocalRoom], None] = _nobody_mends
        """Called when a room gets its first socket here, to see whether something slipped by."""
        self.on_rooms_change: Callable[[int], None] = _nobody_subscribes
        """Called with the id of a room that was opened or closed here."""
        self.on_departure: Callable[[LocalRoom, Subscriber], None] = _nobody_is_told
        """Called when the last socket of a user in a room has left: presence's way in."""

    def bind(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Remembers the loop that sockets live on; True the first time."""
        if self._loop is loop:
            return False
        self._loop = loop
        return True

    def post(self, call: Callable[..., None], *arguments: Any) -> None:
        """Runs `call` on the loop, from any thread; drops it while no socket was ever open."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    # Coming and going

    def subscribe(self, subscriber: Subscriber, room: Room) -> LocalRoom:
        """Subscribes a socket that was authorised against this room row. Raises SessionEnded.

        Whatever was committed between that look and now shows in the versions and access epoch
        of the next frame, or of the check that is asked for here.
        """
        self.check_session(subscriber.caller.session_id)
        here = self.rooms.get(room.pk)
        if here is None:
            here = self.rooms[room.pk] = LocalRoom(room.pk, room.version, room.access_epoch)
            self.on_rooms_change(room.pk)
            self.on_open(here)
        elif here.access_epoch != room.access_epoch:
            # Judged by an older look at the members: the check must ask for them again.
            here.access_epoch = min(here.access_epoch, room.access_epoch)
            self.on_trouble(here)
        here.add(subscriber)
        self._by_session.setdefault(subscriber.caller.session_id, set()).add(subscriber)
        return here

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Unsubscribes. Safe to call twice."""
        here = self.rooms.get(subscriber.room_id)
        if here is None or not here.holds(subscriber):
            return
        self._forget_session(subscriber)
        was_last = here.discard(subscriber)
        if not here.users:
            del self.rooms[here.id]
            self.on_rooms_change(here.id)
        if was_last:
            self.on_departure(here, subscriber)

    def _forget_session(self, subscriber: Subscriber) -> None:
        sockets = self._by_session[subscriber.caller.session_id]
        sockets.discard(subscriber)
        if not sockets:
            del self._by_session[subscriber.caller.session_id]

    def renew(self, subscriber: Subscriber, caller: Caller) -> None:
        """The socket goes on under another sign-in of the same user. Raises SessionEnded."""
        self.check_session(caller.session_id)
        self._forget_session(subscriber)
        subscriber.caller = caller
        self._by_session.setdefault(caller.session_id, set()).add(subscriber)

    # What is told

    def deliver(self, room_id: int, version: int, access_epoch: int, text: str) -> None:
        """A versioned frame of a room."""
        here = self.rooms.get(room_id)
        if here is not None and not here.deliver(
            VersionedFrame(version, access_epoch, text_event(text))
        ):
            self.on_trouble(here)

    def copy(self, room_id: int, user_ids: Collection[int], text: str) -> None:
        """To the sockets of these users, outside the order: a private message said in this room."""
        here = self.rooms.get(room_id)
        if here is None:
            return
        # Not before the message that it may be about.
        here.write_out()
        event = text_event(text)
        theirs = [one for user_id in user_ids for one in here.subscribers_of(user_id) if one.ready]
        counts.deliveries += len(theirs)
        for subscriber in theirs:
            subscriber.write(event)

    def say(self, room_id: int, text: str, but: int | None = None, droppable: bool = False) -> None:
        """A frame outside the order, to all but the sockets of one user."""
        here = self.rooms.get(room_id)
        # Another process may not know that the room is a crowd here.
        if here is not None and not (droppable and not here.announces):
            here.say(text, but=but, droppable=droppable)

    def mark(self, room_id: int, user_id: int, text: str) -> None:
        """How far a user has read, for all; in a crowd for their own sockets (decision 11)."""
        here = self.rooms.get(room_id)
        if here is not None and here.announces:
            here.say(text)
        else:
            self.copy(room_id, (user_id,), text)

    # Revocation

    def disconnect_member(
        self, room_id: int, user_id: int, access_epoch: int, error: DomainError | None
    ) -> None:
        """Ends a user's sockets in a room after a loss of membership that raised `access_epoch`."""
        here = self.rooms.get(room_id)
        if here is None:
            return
        # Those who were let in again after it are members.
        self.disconnect(
            [one for one in here.subscribers_of(user_id) if one.access_epoch < access_epoch], error
        )
        if access_epoch == here.access_epoch + 1:
            here.access_epoch = access_epoch
            here.fill(())
        elif access_epoch > here.access_epoch:
            self.on_trouble(here)

    def disconnect_lost_members(
        self, here: LocalRoom, asked: Collection[int], members: Collection[int], access_epoch: int
    ) -> None:
        """Ends the sockets of those asked for who are not members at this `access_epoch`."""
        lost = set(asked) - set(members)
        judged = [one for one in here.subscribers() if one.access_epoch < access_epoch]
        self.disconnect([one for one in judged if one.caller.user_id in lost], Removed())
        for one in judged:
            one.access_epoch = access_epoch

    def close_room(self, room_id: int, error: DomainError) -> None:
        here = self.rooms.get(room_id)
        if here is not None:
            self.disconnect(here.subscribers(), error)

    def ask_to_reconnect(self, here: LocalRoom) -> None:
        """What was missed cannot be told here: they come back with `since`."""
        for subscriber in here.subscribers():
            self.unsubscribe(subscriber)
            subscriber.close(RESTART)

    def close_all(self, code: int) -> None:
        """The process goes down: nobody is told more than the code."""
        subscribers = [one for here in list(self.rooms.values()) for one in here.subscribers()]
        for subscriber in subscribers:
            subscriber.ready = False
        for subscriber in subscribers:
            self.unsubscribe(subscriber)
            subscriber.close(code)

    def end_sessions(self, session_ids: Collection[int]) -> None:
        """Closes the sockets of ended sign-ins, and those that are just being let in."""
        for session_id in session_ids:
            self._ended[session_id] = None
            self.disconnect(list(self._by_session.get(session_id, ())), SessionEnded())
        while len(self._ended) > MAX_ENDED_SESSIONS:
            del self._ended[next(iter(self._ended))]

    def check_session(self, session_id: int) -> None:
        """Raises SessionEnded for one that ended a moment ago, without asking the database."""
        if session_id in self._ended:
            raise SessionEnded

    def open_sessions(self) -> Collection[int]:
        return self._by_session.keys()

    def disconnect(self, subscribers: Collection[Subscriber], error: DomainError | None) -> None:
        """Without an error they close as after a leave."""
        for subscriber in subscribers:
            # Out of the room first: nothing more reaches it, whatever its outbox still writes.
            self.unsubscribe(subscriber)
            if error is None:
                subscriber.close(NORMAL)
            else:
                subscriber.end(error)


hub = Hub()
