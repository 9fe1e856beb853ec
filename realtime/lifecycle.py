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

from .close_codes import RESTART
from .delivery.hub import hub

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)
KNOWN_SERVERS = ("uvicorn.", "twisted.")
ANSWERS_TIMEOUT = 10.0
FLUSHED_TIMEOUT = 0.3


class Restarting(Exception):
    """This process takes no more: the client comes back to another one, with `since`."""


class Shutdown:
    """`leaving`: not ready for new work. `frozen`: takes no more at all."""

    def __init__(self) -> None:
        self.leaving = False
        self.frozen = False
        self._working = 0
        self._task: asyncio.Task[None] | None = None
        self._theirs: dict[int, Any] = {}

    def turn_back_newcomers(self) -> None:
        """Raises Restarting, for whoever would be let in and closed at once."""
        if self.leaving:
            raise Restarting

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around each frame and request: what is inside is waited for."""
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1

    def take_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Puts us before the handlers of a server that we know; elsewhere nothing changes."""
        for number in SIGNALS:
            theirs = signal.getsignal(number)
            owner = type(getattr(theirs, "__self__", None)).__module__
            if not owner.startswith(KNOWN_SERVERS) or number in self._theirs:
                continue
            self._theirs[number] = theirs
            signal.signal(number, lambda number, frame: self._on_signal(loop, number, frame))

    def _on_signal(
        self, loop: asyncio.AbstractEventLoop, number: int, frame: FrameType | None
    ) -> None:
        if self.leaving:
            self._theirs[number](number, frame)
            return
        self.leaving = True
        loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        self._task = asyncio.ensure_future(self._leave(number))

    async def _leave(self, number: int) -> None:
        try:
            await asyncio.sleep(settings.CHAT_DRAIN_DELAY)
            self.frozen = True
            await self._answered()
            hub.close_all(RESTART)
            # One breath for the close frames to get out.
            await asyncio.sleep(FLUSHED_TIMEOUT)
        finally:
            self._theirs[number](number, None)

    async def _answered(self) -> None:
        for _ in range(int(ANSWERS_TIMEOUT / 0.02)):
            if not self._working:
                return
            await asyncio.sleep(0.02)
        log.warning("%d answers were not ready in time", self._working)


shutdown = Shutdown()


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """uvicorn tells when it starts; under daphne all starts with the first request."""
    await receive()
    shutdown.take_over(asyncio.get_running_loop())
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
