"""Starts and ends the rooms of events sockets (contract §7)."""

import asyncio

from django.conf import settings

from accounts.kernel.errors import Busy, DomainError
from accounts.kernel.incidents import report_incident
from realtime.close_codes import CloseCode
from realtime.errors import Removed
from rooms.errors import NoSuchRoom, NotAMember
from rooms.followed_rooms import FollowedRoom

from .events_socket import EventsSocket, EventsSubscriber
from .hub import Hub
from .recovery import Recovery

MAX_FURTHER_ROOMS = 500
"""Rooms that a socket follows by `follow`, or because its user joined them, in addition to
CHAT_ROOMS_PER_SOCKET."""


class EventsSubscriptions:
    """Subscribes events sockets of this process to rooms. Runs on their loop."""

    def __init__(self, hub: Hub, recovery: Recovery) -> None:
        self._hub = hub
        self._recovery = recovery
        self._starting: set[asyncio.Task[None]] = set()

    def has_space(self, socket: EventsSocket) -> bool:
        """Whether the socket may follow one more room."""
        most: int | None = settings.CHAT_ROOMS_PER_SOCKET
        return most is None or len(socket.followed) < most + MAX_FURTHER_ROOMS

    def subscribe(self, socket: EventsSocket, row: FollowedRoom) -> EventsSubscriber:
        """Subscribes to a room whose row was just read. Frames wait until `start`."""
        subscriber = EventsSubscriber(socket, row)
        subscriber.ready = socket.ready
        socket.followed[row.pk] = subscriber
        socket.others.discard(row.pk)
        subscriber.room = self._hub.subscribe(subscriber, row)
        return subscriber

    def start(self, subscriber: EventsSubscriber) -> bool:
        """Starts live frames; False if changes since the row was read are missing."""
        room = subscriber.room
        if room is None or room.version > subscriber.version:
            return False
        room.finish_catch_up(subscriber, subscriber.version)
        return True

    def start_soon(self, subscriber: EventsSubscriber) -> None:
        """Starts live frames, after the missing changes if there are any."""
        if not self.start(subscriber):
            task = asyncio.ensure_future(self.catch_up(subscriber))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def catch_up(self, subscriber: EventsSubscriber) -> None:
        """Sends missing changes, then live frames; closes the socket if it cannot."""
        if subscriber.room is None:
            return
        try:
            await self._recovery.catch_up(subscriber.room, subscriber)
        except (Removed, NotAMember, NoSuchRoom) as loss:
            self.end(subscriber, loss)
        except Busy:
            # Its buffered frames follow changes that the client never received.
            subscriber.close(CloseCode.RESTART)
        except Exception as error:  # noqa: BLE001 - logged with its traceback
            report_incident(error, "while a room was followed")
            subscriber.close(CloseCode.INTERNAL)

    def end(self, subscriber: EventsSubscriber, loss: DomainError) -> None:
        """Ends a room whose frames its user may not read any more."""
        if subscriber.socket.followed.get(subscriber.room_id) is subscriber:
            self._hub.disconnect([subscriber], loss)

    def unfollow(self, subscriber: EventsSubscriber) -> None:
        """Ends a room on the client's wish: the user stays a member."""
        self._hub.unsubscribe(subscriber)
        socket = subscriber.socket
        if socket.followed.pop(subscriber.room_id, None) is not None:
            socket.others.add(subscriber.room_id)
