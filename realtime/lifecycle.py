"""Going down without losing a word (SIGTERM, SIGINT).

The servers close every socket in the moment of the signal, answers under way or not. So the signal
is taken first by us: readiness turns 503 and stays so for `CHAT_DRAIN_DELAY`, while everything
still works; then no frame or request is taken any more, those under way are answered, the sockets
close with 1012, and only then the server's own handler is called. A second signal goes straight to
it.
"""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from django.conf import settings

from .close_codes import CloseCode
from .delivery.hub import Hub

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)
KNOWN_SERVERS = ("uvicorn.", "twisted.")
DRAIN_TIMEOUT = 10.0
FLUSH_DELAY = 0.3


class Restarting(Exception):
    """This process takes no more work: the client reconnects to another one, with `since`."""


class Lifecycle:
    """`draining`: not ready for new sockets. `stopped`: takes no frame or request any more."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.draining = False
        self.stopped = False
        self._working = 0
        self._task: asyncio.Task[None] | None = None
        self._server_handlers: dict[int, Any] = {}

    def check_accepting(self) -> None:
        """Raises Restarting while the process drains: a new socket would be closed at once."""
        if self.draining:
            raise Restarting

    @contextmanager
    def working(self) -> Iterator[None]:
        """Surrounds each frame and request. The shutdown waits for what is inside."""
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1

    def take_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Handles signals before the handler of uvicorn or Twisted. Leaves other servers alone."""
        for number in SIGNALS:
            handler = signal.getsignal(number)
            owner = type(getattr(handler, "__self__", None)).__module__
            if not owner.startswith(KNOWN_SERVERS) or number in self._server_handlers:
                continue
            self._server_handlers[number] = handler
            signal.signal(number, lambda number, frame: self._on_signal(loop, number, frame))

    def _on_signal(
        self, loop: asyncio.AbstractEventLoop, number: int, frame: FrameType | None
    ) -> None:
        if self.draining:
            self._server_handlers[number](number, frame)
            return
        self.draining = True
        loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        self._task = asyncio.ensure_future(self._drain(number))

    async def _drain(self, number: int) -> None:
        try:
            await asyncio.sleep(settings.CHAT_DRAIN_DELAY)
            self.stopped = True
            await self._finish_work()
            self._hub.close_all(CloseCode.RESTART)
            # So that the close frames reach their clients.
            await asyncio.sleep(FLUSH_DELAY)
        finally:
            self._server_handlers[number](number, None)

    async def _finish_work(self) -> None:
        for _ in range(int(DRAIN_TIMEOUT / 0.02)):
            if not self._working:
                return
            await asyncio.sleep(0.02)
        log.warning("%d answers were not ready in time", self._working)

    async def lifespan(self, _: Any, receive: Any, send: Any) -> None:
        """The ASGI lifespan: uvicorn announces its start; daphne starts with the first request."""
        await receive()
        self.take_over(asyncio.get_running_loop())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
