"""Subscribes an admitted socket to its room: `ready`, then what it missed."""

import re

from accounts.auth import Caller
from accounts.kernel.errors import invalid
from realtime.delivery.replay_limits import consume_replay
from realtime.delivery.send_queue import SendQueue
from realtime.delivery.subscriber import Subscriber, error_frame, text_event
from realtime.protocol.client_frames import MAX_SINCE_DIGITS
from realtime.protocol.encoding import encode
from realtime.protocol.server_frames import Ready, UserOut
from realtime.runtime import Runtime
from rooms.models import Room
from rooms.schemas import RoomOut

from .credentials import Scope, query
from .handlers import FrameHandlers
from .handshake import Disconnected

VERSION = re.compile(rf"[0-9]{{1,{MAX_SINCE_DIGITS}}}")


class RoomHandshake:
    """Subscribes one socket of one room."""

    __slots__ = ("_queue", "_runtime", "_scope")

    def __init__(self, runtime: Runtime, scope: Scope, queue: SendQueue) -> None:
        self._runtime = runtime
        self._scope = scope
        self._queue = queue

    def subscribe(self, caller: Caller, row: Room) -> FrameHandlers:
        """Subscribes the socket. Raises RateLimited, Restarting, SessionEnded."""
        if self._since() is not None:
            consume_replay(caller.user_id)
        # Meanwhile all sockets may have been closed for a restart, or the session may have ended:
        # this socket would stay open.
        self._runtime.lifecycle.check_accepting()
        self._runtime.revocation.check_session(caller.session_id)
        subscriber = Subscriber(self._queue, caller, row.pk, row.version, row.access_epoch)
        room = self._runtime.hub.subscribe(subscriber, row)
        return FrameHandlers(self._runtime, subscriber, room, row)

    async def greet(self, handlers: FrameHandlers) -> None:
        """Sends `ready`, the first frame, and publishes `join`. Raises Disconnected."""
        room, subscriber, row = handlers.room, handlers.subscriber, handlers.row
        arrival = await self._runtime.presence.arrive(room, subscriber)
        if self._queue.closing:
            raise Disconnected
        caller = subscriber.caller
        ready = Ready(
            room=RoomOut.model_validate(row),
            user=UserOut(id=caller.user_id, username=caller.username),
            version=row.version,
            online=arrival.names,
            online_count=arrival.online_total,
        )
        subscriber.send(encode(ready))
        subscriber.ready = subscriber.announced = True
        if arrival.first:
            self._runtime.presence.publish_join(room, subscriber)
        self._runtime.last_seen.record(caller)

    async def catch_up(self, handlers: FrameHandlers) -> None:
        """Sends what the client missed, then the frames that were buffered meanwhile."""
        room, subscriber, since = handlers.room, handlers.subscriber, self._since()
        if since is not None:
            await self._runtime.recovery.replay(room, subscriber, since)
            return
        if room.version > subscriber.version:
            await self._runtime.recovery.catch_up(room, subscriber)
        else:
            room.finish_catch_up(subscriber, subscriber.version)
        if query(self._scope, "since") is not None:
            refusal = error_frame(invalid("since", "must be a version, such as 41"))
            self._queue.put(text_event(encode(refusal)))

    def _since(self) -> int | None:
        """Returns the version in `since`, None when it is missing or invalid."""
        since = query(self._scope, "since")
        return int(since) if since is not None and VERSION.fullmatch(since) else None
