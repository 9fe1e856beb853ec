"""Queues frames for one socket within limits, so a slow reader delays no other.

`put` drives the server's `send` coroutine one step by hand. Nearly always that completes it: the
kernel has the bytes, without a task, future or queue. Only a `send` that blocks (uvicorn, when the
peer does not read) is finished by a task, and later frames queue here. Awaiting each socket in turn
would let one slow reader stop a room; `gather` costs half the speed.

While the queue is empty, texts use the server's direct writer, if any. A room's fan-out calls the
direct writers itself, without touching the send queues.
"""

import asyncio
import logging
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from realtime.metrics import closed_by_server
from realtime.servers.interface import Connection, Event, WriteFunction, ignore_change

from .local_state import LocalState
from .send_buffers import size_of

log = logging.getLogger(__name__)

MAX_FRAMES = 1000
MAX_BYTES = 1024 * 1024
"""Size of the texts in memory. `send_buffers` limits all sockets of a user together."""
LAST_FRAME_TIMEOUT = 3.0
"""Seconds that a slow reader has to resume and receive the reason of the close."""
CUT = 1006
"""The client's close code for a connection without a close frame (RFC 6455 §7.1.5)."""


class SendQueue:
    """Writes to one socket. Single-threaded, on the socket's loop."""

    __slots__ = (
        "_bytes",
        "_connection",
        "_frame_cache",
        "_queue",
        "_task",
        "buffers",
        "closing",
        "direct_writer",
        "disconnected",
        "on_writer_change",
        "user_id",
    )

    def __init__(self, connection: Connection, state: LocalState) -> None:
        self._connection = connection
        self._frame_cache = state.frame_cache
        self.buffers = state.send_buffers
        connection.watch(self._update_direct_writer)
        self.direct_writer: WriteFunction | None = None
        """Writes whole frames past `send`. Set only while the queue is empty and open."""
        self.on_writer_change: Callable[[], None] = ignore_change
        """Called when `direct_writer` was set or removed."""
        # Made when the first send blocks: most sockets never need it.
        self._queue: deque[tuple[Event, bool]] | None = None
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None
        self.user_id = 0
        """The user whose bytes are counted; 0 before the sign-in."""
        self.closing = False
        self.disconnected = False

    def belong_to(self, user_id: int) -> None:
        """Counts queued frames for this user from now on."""
        waiting = self._bytes
        self._count(-waiting)
        self.user_id = user_id
        self._count(waiting)

    def put(self, event: Event, *, droppable: bool = False) -> bool:
        """Writes or queues a frame. False above the limits: the reader is too slow.

        Many sockets may share the event, so it is not changed. Droppable frames (typing) are the
        first to be dropped.
        """
        if self.direct_writer is not None and "text" in event:
            self._write_directly(self.direct_writer, event["text"])
            return True
        if self.closing or self.disconnected:
            return True
        if self._task is not None:
            return self._enqueue(event, droppable=droppable)
        coroutine = self._connection.send(event)
        try:
            waiting_for = coroutine.send(None)
        except StopIteration:
            self._update_direct_writer()
            return True
        except Exception as error:  # noqa: BLE001 - after any error the peer is gone
            self._lost(error)
            return True
        self._task = asyncio.ensure_future(self._finish(coroutine, waiting_for))
        return True

    def _write_directly(self, direct_writer: WriteFunction, text: str) -> None:
        try:
            direct_writer(self._frame_cache.of(text))
        except Exception as error:  # noqa: BLE001 - half a frame may be out
            log.debug("A socket cannot be written to: %s", type(error).__name__)
            self.cut()

    def _update_direct_writer(self) -> None:
        is_free = self._task is None and not self.closing and not self.disconnected
        direct_writer = self._connection.direct_writer() if is_free else None
        if (direct_writer is None) != (self.direct_writer is None):
            self.direct_writer = direct_writer
            self.on_writer_change()

    async def drained(self) -> None:
        """Waits until the queue is empty, so a long replay follows the reader's pace."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def drained_within(self, seconds: float) -> bool:
        """Waits at most so many seconds. False when the queue is not empty."""
        if self._task is None:
            return True
        done, _ = await asyncio.wait([self._task], timeout=seconds)
        return bool(done)

    def close(self, code: int, reason: str = "") -> None:
        """Closes the socket after the queued frames. Later frames are dropped.

        The reason is the code of the error frame before it, "" without one.
        """
        if not self.closing:
            closed_by_server(code)
        self.put({"type": "websocket.close", "code": code, "reason": reason})
        self.closing = True
        self._update_direct_writer()

    def give_up(self, last_frame: Event, code: int, reason: str = "") -> None:
        """Drops queued frames, sends a last frame and closes.

        Cuts a peer that does not read.
        """
        if self.closing:
            return
        self._forget_queue()
        self.put(last_frame)
        self.close(code, reason)
        if self._task is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(LAST_FRAME_TIMEOUT, self._cut_if_stuck, self._task)

    def _cut_if_stuck(self, task: asyncio.Task[None]) -> None:
        if not task.done():
            self.cut()

    def discard(self) -> None:
        """Drops queued frames: the peer is gone or does not read."""
        self.closing = self.disconnected = True
        self._update_direct_writer()
        self._forget_queue()
        if self._task is not None:
            self._task.cancel()

    def cut(self) -> None:
        """Aborts the connection: a close would wait behind the unread frames."""
        if not self.closing:
            closed_by_server(CUT)
        self.discard()
        if not self._connection.abort():
            log.warning("This server cannot abort a connection: its keep-alive must end it")

    def _lost(self, error: Exception) -> None:
        log.debug("A socket cannot be written to: %s", type(error).__name__)
        self.disconnected = True
        self._update_direct_writer()
        self._forget_queue()

    def _enqueue(self, event: Event, *, droppable: bool) -> bool:
        if self._queue is None:
            self._queue = deque()
        if self._is_full() and droppable:
            return True
        self._queue.append((event, droppable))
        self._count(size_of(event))
        if self._is_full():
            self._drop_droppable()
        return not self._is_full() and not self.buffers.is_full(self.user_id)

    def _is_full(self) -> bool:
        return self._bytes > MAX_BYTES or len(self._queue or ()) > MAX_FRAMES

    def _drop_droppable(self) -> None:
        kept = [(event, droppable) for event, droppable in self._queue or () if not droppable]
        self._queue = deque(kept)
        self._count(sum(size_of(event) for event, _ in kept) - self._bytes)

    def _forget_queue(self) -> None:
        if self._queue:
            self._queue.clear()
            self._count(-self._bytes)

    def _count(self, size: int) -> None:
        self._bytes += size
        self.buffers.add(self.user_id, size)

    async def _finish(self, coroutine: Coroutine[Any, Any, None], waiting_for: Any) -> None:
        try:
            await _rest_of(coroutine, waiting_for)
            while self._queue:
                event, _ = self._queue.popleft()
                self._count(-size_of(event))
                await self._connection.send(event)
        except Exception as error:  # noqa: BLE001 - as in put
            self._lost(error)
        finally:
            self._task = None
            self._update_direct_writer()


@types.coroutine
def _rest_of(coroutine: Coroutine[Any, Any, None], waiting_for: Any) -> Generator[Any, Any, None]:
    """Awaits a coroutine that was stepped once by hand and then waited for something."""
    try:
        while True:
            try:
                answer = yield waiting_for
            except BaseException as error:  # noqa: BLE001 - thrown on into the coroutine
                waiting_for = coroutine.throw(error)
            else:
                waiting_for = coroutine.send(answer)
    except StopIteration:
        return
