"""Drains the process on SIGTERM and SIGINT, so that no message is lost.

Servers close every socket as soon as the signal comes, even while a frame is being handled. So this
module handles the signal first. `/readyz` returns 503 for `CHAT_DRAIN_DELAY` while everything still
works. Then no new frame or request is accepted, those in progress finish, and the sockets close
with 1012. Only then the server's own handler runs. A second signal runs it at once.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
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
STOP_TIMEOUT = 5.0


class Restarting(Exception):
    """This process accepts no more work: the client reconnects with `since`."""


class Lifecycle:
    """Tracks work in progress and drains the process after a signal.

    `draining`: accepts no new sockets. `stopped`: accepts no frames or requests either.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.draining = False
        self.stopped = False
        self._working = 0
        self._task: asyncio.Task[None] | None = None
        self._server_handlers: dict[int, Any] = {}
        self._at_shutdown: list[Callable[[], None]] = []

    def at_shutdown(self, stop: Callable[[], None]) -> None:
        """Registers what is called on a thread while the process drains.

        uvicorn ends by the signal itself, so nothing that `atexit` knows would run.
        """
        self._at_shutdown.append(stop)

    def check_accepting(self) -> None:
        """Raises Restarting while the process drains: a new socket would be closed soon."""
        if self.draining:
            raise Restarting

    @contextmanager
    def working(self) -> Iterator[None]:
        """Wraps the handling of a frame or request. The shutdown waits for it."""
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1

    def take_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Installs handlers before those of uvicorn or Twisted; skips other servers."""
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
        stopping = asyncio.ensure_future(self._stop_registered())
        try:
            await asyncio.sleep(settings.CHAT_DRAIN_DELAY)
            self.stopped = True
            await self._finish_work()
            await asyncio.wait([stopping], timeout=STOP_TIMEOUT)
            self._hub.close_all(CloseCode.RESTART)
            # Lets the close frames reach the clients.
            await asyncio.sleep(FLUSH_DELAY)
        finally:
            self._server_handlers[number](number, None)

    async def _stop_registered(self) -> None:
        calls = [asyncio.to_thread(stop) for stop in self._at_shutdown]
        for error in await asyncio.gather(*calls, return_exceptions=True):
            if error is not None:
                log.error("A part of the process did not stop", exc_info=error)

    async def _finish_work(self) -> None:
        for _ in range(int(DRAIN_TIMEOUT / 0.02)):
            if not self._working:
                return
            await asyncio.sleep(0.02)
        log.warning("%d frames and requests did not finish before the shutdown", self._working)

    async def lifespan(self, _: Any, receive: Any, send: Any) -> None:
        """Serves the ASGI lifespan. daphne has none: there the first request takes over."""
        await receive()
        self.take_over(asyncio.get_running_loop())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
