"""One signed-in socket in one room, as the hub sees it."""

import logging
from typing import NamedTuple

from accounts.auth import Caller
from accounts.kernel.errors import DomainError
from realtime.close_codes import CLOSE_CODES, TOO_SLOW, TooSlow
from realtime.metrics import slow_consumer_disconnects
from realtime.protocol import ErrorFrame, encode
from realtime.servers.interface import Event

from .send_buffers import send_buffers, size_of
from .send_queue import SendQueue

log = logging.getLogger(__name__)

MAX_BUFFERED_FRAMES = 800
"""Frames held back while a socket replays; beyond it the client has to come back.

Fewer than an outbox takes, into which they go all at once.
"""
MAX_HELD_BYTES = 768 * 1024
"""Of their texts: likewise less than an outbox takes. Sockets of a room share the texts, those of
different rooms do not, so each socket counts them as its own.
"""


class VersionedFrame(NamedTuple):
    """A versioned frame: `event` is the ASGI event with the text, shared by all who hear it.

    `changed` is there when it tells of a message that was made at `created` and changed since: the
    same as an edit, a deletion or a reaction, for those who have heard of the message.
    """

    version: int
    access_epoch: int
    event: Event
    created: int = 0
    changed: Event | None = None

    def after(self, version: int) -> "VersionedFrame":
        """As it is for one who was told everything up to `version`."""
        if self.changed is None or self.created > version:
            return self
        return VersionedFrame(self.version, self.access_epoch, self.changed)


def text_event(text: str) -> Event:
    return {"type": "websocket.send", "text": text}


class Subscriber:
    """Holds frames back while it joins or replays, then hears each version once, rising."""

    __slots__ = (
        "access_epoch",
        "announced",
        "buffer",
        "caller",
        "held_bytes",
        "known",
        "outbox",
        "ready",
        "room_id",
        "version",
    )

    def __init__(
        self, outbox: SendQueue, caller: Caller, room_id: int, version: int, access_epoch: int = 0
    ) -> None:
        self.outbox = outbox
        self.caller = caller
        self.room_id = room_id
        self.version = version
        self.access_epoch = access_epoch
        """The room's access epoch at the last look at whether this user may listen."""
        self.known = version
        """Everything up to here was replayed to it, or read by it."""
        self.ready = False
        self.announced = False
        """Whether the room may have heard of its coming, and so has to hear of its going."""
        self.buffer: list[VersionedFrame] | None = []
        self.held_bytes = 0
        outbox.belong_to(caller.user_id)

    def hear(self, frame: VersionedFrame) -> None:
        """Takes the next versioned frame of the room; older ones than it has are dropped."""
        if self.outbox.gone or self.outbox.closing:
            return
        if self.buffer is not None:
            self._hold(self.buffer, frame)
        elif frame.version > self.version:
            self.version = frame.version
            self.write(frame.after(self.known).event)

    def release(self, version: int) -> None:
        """Ends the holding back: everything up to `version` was replayed."""
        buffer, self.buffer = self.buffer, None
        self._count_held(-self.held_bytes)
        self.version = self.known = max(self.version, version)
        for frame in buffer or ():
            self.hear(frame)

    def _hold(self, buffer: list[VersionedFrame], frame: VersionedFrame) -> None:
        buffer.append(frame)
        self._count_held(size_of(frame.event))
        if (
            len(buffer) > MAX_BUFFERED_FRAMES
            or self.held_bytes > MAX_HELD_BYTES
            or send_buffers.is_full(self.caller.user_id)
        ):
            self.drop_as_too_slow()

    def forget_held(self, version: int | None = None) -> None:
        """Forgets what was held back up to a version, or all of it once the socket has left."""
        if not self.buffer:
            return
        kept = [] if version is None else [one for one in self.buffer if one.version > version]
        self.buffer[:] = kept
        self._count_held(sum(size_of(one.event) for one in kept) - self.held_bytes)

    def _count_held(self, size: int) -> None:
        self.held_bytes += size
        send_buffers.add(self.caller.user_id, size)

    def write(self, event: Event, *, droppable: bool = False) -> None:
        if not self.outbox.put(event, droppable=droppable):
            self.drop_as_too_slow()

    def say(self, text: str) -> None:
        self.write(text_event(text))

    def drop_as_too_slow(self) -> None:
        """One who is merely slow reads why (contract §3: 4408, best effort)."""
        if self.outbox.closing:
            return
        log.info("Dropped a socket of user %d: it does not read", self.caller.user_id)
        slow_consumer_disconnects.inc()
        self.forget_held()
        self.outbox.give_up(text_event(encode(error_frame(TooSlow()))), TOO_SLOW, TooSlow.code)

    def end(self, error: DomainError) -> None:
        """Says why, then closes with the code of contract §3."""
        self.say(encode(error_frame(error)))
        self.outbox.close(CLOSE_CODES[type(error)], error.code)

    def close(self, code: int) -> None:
        self.outbox.close(code)


def error_frame(error: DomainError, ref: str | None = None) -> ErrorFrame:
    return ErrorFrame(
        code=error.code,
        message=error.message,
        ref=ref,
        retry_after=None if error.retry_after is None else round(error.retry_after, 3),
        errors=error.errors,
    )
