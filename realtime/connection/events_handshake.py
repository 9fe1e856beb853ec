"""Subscribes an admitted events socket to its user's rooms (contract §7).

The number of queries does not depend on the number of rooms.
"""

from typing import NamedTuple

from django.conf import settings

from accounts.auth import Caller, authenticate_claims
from accounts.tokens import Claims
from messaging.unread import ReadMarks, UserRoom, marks_of
from realtime.delivery.events_socket import EventsSocket
from realtime.delivery.send_queue import SendQueue
from realtime.protocol.encoding import encode
from realtime.protocol.server_frames import EventsReady, RoomState, UserOut
from realtime.runtime import Runtime
from rooms.followed_rooms import Memberships, memberships

from .events_handlers import EventsHandlers
from .handshake import Disconnected


class Admitted(NamedTuple):
    """A caller with the rooms to follow."""

    caller: Caller
    memberships: Memberships
    marks: dict[UserRoom, ReadMarks]


def authorise(claims: Claims) -> Admitted:
    """Checks the session and reads the caller's rooms, on a database thread."""
    caller = authenticate_claims(claims, touch=False)
    found = memberships(caller.user_id, limit=settings.CHAT_ROOMS_PER_SOCKET)
    marks = marks_of({(caller.user_id, room.pk): room for room in found.rooms})
    return Admitted(caller, found, marks)


def begin(runtime: Runtime, queue: SendQueue, admitted: Admitted) -> EventsHandlers:
    """Subscribes the socket to its rooms. Raises Restarting, SessionEnded."""
    caller = admitted.caller
    runtime.lifecycle.check_accepting()
    runtime.revocation.check_session(caller.session_id)
    socket = EventsSocket(queue, caller, admitted.memberships)
    runtime.hub.open_events_socket(socket)
    try:
        for row in admitted.memberships.rooms:
            runtime.events_subscriptions.subscribe(socket, row)
    except BaseException:
        runtime.hub.close_events_socket(socket)
        raise
    return EventsHandlers(runtime, socket, ready_text(admitted))


def ready_text(admitted: Admitted) -> str:
    caller = admitted.caller
    rooms = [
        RoomState(
            id=room.pk,
            version=room.version,
            last_seq=room.last_seq,
            **admitted.marks[caller.user_id, room.pk]._asdict(),
        )
        for room in admitted.memberships.rooms
    ]
    user = UserOut(id=caller.user_id, username=caller.username)
    return encode(EventsReady(user=user, rooms=rooms, more=admitted.memberships.more))


async def greet(runtime: Runtime, handlers: EventsHandlers) -> None:
    """Sends `ready`, the first frame, then what changed since the rooms were read."""
    socket = handlers.socket
    if socket.queue.closing:
        raise Disconnected
    socket.ready = True
    socket.send(handlers.take_ready())
    for subscriber in list(socket.followed.values()):
        subscriber.ready = True
    runtime.user_presence.arrive(socket.caller)
    runtime.last_seen.record(socket.caller)
    behind = [
        one for one in socket.followed.values() if not runtime.events_subscriptions.start(one)
    ]
    for subscriber in behind:
        if not socket.queue.closing:
            await runtime.events_subscriptions.catch_up(subscriber)
