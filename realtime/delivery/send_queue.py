"""What waits to be written to one socket: bounded, and never waited for by anyone else.

`put` drives the server's `send` coroutine one step by hand. Nearly always that is all there is to
it: the bytes are with the kernel and no task, future or queue was made. Only a `send` that really
blocks (uvicorn, when the peer does not read) is finished by a task, and what comes meanwhile queues
up here. Awaiting each socket in turn would let one slow reader stop a room; `gather` costs half the
speed.

While nothing waits a text goes past `send` where the server knows a way, and a room's fan-out goes
that way by itself, without a look at the outbox.
"""

import asyncio
import logging
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from realtime.metrics import closed_by_server
from realtime.servers.interface import Connection, Event, Write, ignore_change

from .local_state import LocalState
from .send_buffers import size_of

log = logging.getLogger(__name__)

MAX_FRAMES = 1000
MAX_BYTES = 1024 * 1024
"""Of the texts as they are in memory; see `send_buffers` for the bound on all sockets of a user."""
LAST_FRAME_TIMEOUT = 3.0
"""Seconds in which one who does not read may begin to, and learn why the socket closes."""
CUT = 1006
"""What a client sees of a connection that ends without a close frame (RFC 6455 §7.1.5)."""


class SendQueue:
    """One per socket. Single-threaded: everything happens on the socket's loop."""

    __slots__ = (
        "_bytes",
        "_connection",
        "_frame_cache",
        "_queue",
        "_task",
        "buffers",
        "closing",
        "direct_writer",
        "gone",
        "on_writer_change",
        "user_id",
    )

    def __init__(self, connection: Connection, state: LocalState) -> None:
        self._connection = connection
        self._frame_cache = state.frame_cache
        self.buffers = state.send_buffers
        connection.watch(self._update_direct_writer)
        self.direct_writer: Write | None = None
        """Past `send`, for whole frames: only while nothing waits here and nothing ends."""
        self.on_writer_change: Callable[[], None] = ignore_change
        """Called when `way` has come or gone."""
        # Made when the first send blocks: most sockets never need it.
        self._queue: deque[tuple[Event, bool]] | None = None
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None
        self.user_id = 0
        """Whose bytes are counted; 0 until the sign-in, when there is only an error to send."""
        self.closing = False
        self.gone = False

    def belong_to(self, user_id: int) -> None:
        """Counts what waits here as this user's from now on."""
        waiting = self._bytes
        self._count(-waiting)
        self.user_id = user_id
        self._count(waiting)

    def put(self, event: Event, *, droppable: bool = False) -> bool:
        """Writes or queues a frame; False when the bounds are passed and the reader is too slow.

        The event may be shared by many sockets and is not changed. Droppable ones (typing) are the
        first to go.
        """
        if self.direct_writer is not None and "text" in event:
            self._write_directly(self.direct_writer, event["text"])
            return True
        if self.closing or self.gone:
            return True
        if self._task is not None:
            return self._enqueue(event, droppable=droppable)
        coroutine = self._connection.send(event)
        try:
            waiting_for = coroutine.send(None)
        except StopIteration:
            self._update_direct_writer()
            return True
        except Exception as error:  # noqa: BLE001 - whatever the server raises, this peer is gone
            self._lost(error)
            return True
        self._task = asyncio.ensure_future(self._finish(coroutine, waiting_for))
        return True

    def _write_directly(self, direct_writer: Write, text: str) -> None:
        try:
            direct_writer(self._frame_cache.of(text))
        except Exception as error:  # noqa: BLE001 - whatever it raises, half a frame may be out
            log.debug("A socket takes no more: %s", type(error).__name__)
            self.cut()

    def _update_direct_writer(self) -> None:
        is_free = self._task is None and not self.closing and not self.gone
        direct_writer = self._connection.direct_writer() if is_free else None
        if (direct_writer is None) != (self.direct_writer is None):
            self.direct_writer = direct_writer
            self.on_writer_change()

    async def drained(self) -> None:
        """Returns when nothing waits any more: how a long replay goes at the reader's pace."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def drained_within(self, seconds: float) -> bool:
        """The same for so many seconds. False when something waits still."""
        if self._task is None:
            return True
        done, _ = await asyncio.wait([self._task], timeout=seconds)
        return bool(done)

    def close(self, code: int, reason: str = "") -> None:
        """Ends the socket after what waits already; nothing is taken afterwards.

        The reason is the code of the error frame before it, "" where there is none.
        """
        if not self.closing:
            closed_by_server(code)
        self.put({"type": "websocket.close", "code": code, "reason": reason})
        self.closing = True
        self._update_direct_writer()

    def give_up(self, last_word: Event, code: int, reason: str = "") -> None:
        """Forgets what waits and closes after a last word; cuts one who does not take even that."""
        if self.closing:
            return
        self._forget_queue()
        self.put(last_word)
        self.close(code, reason)
        if self._task is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(LAST_FRAME_TIMEOUT, self._cut_if_stuck, self._task)

    def _cut_if_stuck(self, task: asyncio.Task[None]) -> None:
        if not task.done():
            self.cut()

    def discard(self) -> None:
        """Forgets what waits: the peer is gone, or will not read it anyway."""
        self.closing = self.gone = True
        self._update_direct_writer()
        self._forget_queue()
        if self._task is not None:
            self._task.cancel()

    def cut(self) -> None:
        """Ends the connection at once: a close would wait behind what the peer does not read."""
        if not self.closing:
            closed_by_server(CUT)
        self.discard()
        if not self._connection.abort():
            log.warning("This server cannot cut a connection: its keep-alive has to")

    def _lost(self, error: Exception) -> None:
        log.debug("A socket takes no more: %s", type(error).__name__)
        self.gone = True
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
