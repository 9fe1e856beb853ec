"""Sends a room's frames to one socket: buffered during a replay, then live."""

import logging
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from accounts.auth import Caller
from accounts.kernel.errors import DomainError
from realtime.close_codes import CLOSE_CODES, CloseCode
from realtime.errors import TooSlow
from realtime.metrics import slow_consumer_disconnects
from realtime.protocol.encoding import encode
from realtime.protocol.server_frames import ErrorFrame
from realtime.servers.interface import Event

from .send_buffers import size_of
from .send_queue import SendQueue

log = logging.getLogger(__name__)

MAX_BUFFERED_FRAMES = 800
"""Frames buffered during a replay. Beyond it the client must reconnect.

Fewer than a send queue takes, into which they go all at once.
"""
MAX_BUFFERED_BYTES = 768 * 1024
"""Bytes of their texts, also less than a send queue takes. Sockets of one room share the texts,
sockets of different rooms do not, so each socket counts them as its own.
"""


class VersionedFrame(NamedTuple):
    """A versioned frame.

    `event` is the ASGI event with the text, shared by all recipients. A message that was created at
    version `created` and changed since has `changed`: the same state as an edit, a deletion or a
    reaction. Subscribers that received the message get `changed`, all others `event`.
    """

    version: int
    access_epoch: int
    event: Event
    created: int = 0
    changed: Event | None = None

    def after(self, version: int) -> "VersionedFrame":
        """Returns the frame for a subscriber that has everything up to `version`."""
        if self.changed is None or self.created > version:
            return self
        return VersionedFrame(self.version, self.access_epoch, self.changed)


def text_event(text: str) -> Event:
    return {"type": "websocket.send", "text": text}


class Subscriber:
    """Buffers frames during a join or replay, then receives each version once."""

    on_events_socket: ClassVar[bool] = False
    """Whether its socket follows several rooms: see `events_socket.py`."""

    __slots__ = (
        "access_epoch",
        "announced",
        "buffer",
        "buffered_bytes",
        "caller",
        "is_present",
        "known",
        "queue",
        "ready",
        "room_id",
        "version",
    )

    def __init__(
        self, queue: SendQueue, caller: Caller, room_id: int, version: int, access_epoch: int = 0
    ) -> None:
        self.queue = queue
        self.caller = caller
        self.room_id = room_id
        self.version = version
        self.access_epoch = access_epoch
        """The room's access epoch at the last check that the user is a member."""
        self.known = version
        """The version up to which everything was replayed to it or read by it."""
        self.ready = False
        self.is_present = True
        """Whether its user counts as online in the room."""
        self.announced = False
        """Whether the room may have received its `join`, and so must receive its `exit`."""
        self.buffer: list[VersionedFrame] | None = []
        self.buffered_bytes = 0
        queue.belong_to(caller.user_id)

    def receive(self, frame: VersionedFrame) -> None:
        """Receives the next versioned frame of the room. Drops a version that it has."""
        if self.queue.disconnected or self.queue.closing:
            return
        if self.buffer is not None:
            self._buffer_frame(self.buffer, frame)
        elif frame.version > self.version:
            self.version = frame.version
            self.write(frame.after(self.known).event)

    def release(self, version: int) -> None:
        """Ends the buffering: everything up to `version` was replayed."""
        buffer, self.buffer = self.buffer, None
        self._count_buffered(-self.buffered_bytes)
        self.version = self.known = max(self.version, version)
        for frame in buffer or ():
            self.receive(frame)

    def _buffer_frame(self, buffer: list[VersionedFrame], frame: VersionedFrame) -> None:
        buffer.append(frame)
        self._count_buffered(size_of(frame.event))
        if (
            len(buffer) > MAX_BUFFERED_FRAMES
            or self.buffered_bytes > MAX_BUFFERED_BYTES
            or self.queue.buffers.is_full(self.caller.user_id)
        ):
            self.disconnect_slow_consumer()

    def forget_buffered(self, version: int | None = None) -> None:
        """Drops buffered frames up to a version, or all of them after the socket left."""
        if not self.buffer:
            return
        kept = [] if version is None else [one for one in self.buffer if one.version > version]
        self.buffer[:] = kept
        self._count_buffered(sum(size_of(one.event) for one in kept) - self.buffered_bytes)

    def _count_buffered(self, size: int) -> None:
        self.buffered_bytes += size
        self.queue.buffers.add(self.caller.user_id, size)

    def subscriptions(self) -> Sequence["Subscriber"]:
        """Returns what ends with the socket; an events socket has several."""
        return (self,)

    def renew(self, caller: Caller) -> None:
        """Continues under a newer token of the same user."""
        self.caller = caller

    def watch_writer(self, on_change: Callable[[], None]) -> None:
        """Calls `on_change` whenever the socket's direct writer was set or removed."""
        self.queue.on_writer_change = on_change

    def write(self, event: Event, *, droppable: bool = False) -> None:
        if not self.queue.put(event, droppable=droppable):
            self.disconnect_slow_consumer()

    def send(self, text: str) -> None:
        self.write(text_event(text))

    def disconnect_slow_consumer(self) -> None:
        """Sends `too_slow` and closes 4408, if the client reads it (contract §3)."""
        if self.queue.closing:
            return
        self.forget_buffered()
        end_slow_queue(self.queue, self.caller.user_id)

    def end(self, error: DomainError) -> None:
        """Sends the error, then closes with its code (contract §3)."""
        self.send(encode(error_frame(error)))
        self.queue.close(CLOSE_CODES[type(error)], error.code)

    def end_after_leave(self) -> None:
        self.close(CloseCode.NORMAL)

    def close(self, code: int) -> None:
        self.queue.close(code)


def end_slow_queue(queue: SendQueue, user_id: int) -> None:
    """Sends `too_slow` and closes 4408, once."""
    if queue.closing:
        return
    log.info("Dropped a socket of user %d: it does not read", user_id)
    slow_consumer_disconnects.inc()
    queue.give_up(text_event(encode(error_frame(TooSlow()))), CloseCode.TOO_SLOW, TooSlow.code)


def error_frame(error: DomainError, ref: str | None = None) -> ErrorFrame:
    return ErrorFrame(
        code=error.code,
        message=error.message,
        ref=ref,
        retry_after=None if error.retry_after is None else round(error.retry_after, 3),
        errors=error.errors,
    )
