"""Sends the messages of an outbox, one after the other, until each is answered."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .errors import Refused
from .outbox import Outbox, Outgoing
from .reconnect import Backoff

MAX_INTERNAL_ERRORS = 5
"""Answers `internal` after which a message fails: a bug in the server must not block the others."""

NOT_SENT_DELAY = 0.05
"""Seconds in which a dead connection notices that it is dead."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    id: int
    seq: int
    version: int


class Lost:
    """The connection ended before the answer."""


Answer = Acknowledged | Refused | Lost


class Sender:
    """One message is in flight at a time, so that the order of sending is kept.

    `transmit` returns False when there is no connection.
    """

    def __init__(
        self,
        outbox: Outbox,
        transmit: Callable[[dict[str, Any]], Awaitable[bool]],
        ack_timeout: float,
    ) -> None:
        self._outbox, self._transmit, self._ack_timeout = outbox, transmit, ack_timeout
        self._open = asyncio.Event()
        self._answer: asyncio.Future[Answer] | None = None
        self._in_flight: Outgoing | None = None
        self._internal_errors = 0
        self._backoff = Backoff(1.0)

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            outgoing = await self._outbox.head()
            await self._open.wait()
            await self._handle(outgoing, await self._send(outgoing))

    def connected(self) -> None:
        self._open.set()

    def lost(self) -> None:
        self._open.clear()
        self._settle(Lost())

    def acknowledged(self, client_id: str | None, answer: Acknowledged) -> None:
        if self._in_flight is not None and self._in_flight.client_id == client_id:
            self._settle(answer)

    def refused(self, ref: str | None, refusal: Refused) -> None:
        """Handles an error frame. Without a `ref` it is about the frame in flight."""
        if self._in_flight is not None and ref in (None, self._in_flight.client_id):
            self._settle(refusal)

    async def _send(self, outgoing: Outgoing) -> Answer | None:
        """Sends once and returns the answer; None when none came in time."""
        self._answer = asyncio.get_running_loop().create_future()
        self._in_flight, outgoing.state = outgoing, "sending"
        try:
            if not await self._transmit(outgoing.frame()):
                await asyncio.sleep(NOT_SENT_DELAY)
                return Lost()
            async with asyncio.timeout(self._ack_timeout):
                return await self._answer
        except TimeoutError:
            return None
        finally:
            self._in_flight = None

    async def _handle(self, outgoing: Outgoing, answer: Answer | None) -> None:
        match answer:
            case Acknowledged():
                self._internal_errors = 0
                self._backoff.succeed()
                await self._outbox.sent(
                    outgoing, id=answer.id, seq=answer.seq, version=answer.version
                )
            case Refused():
                await self._wait_or_fail(outgoing, answer)
            case Lost() | None:
                outgoing.state = "queued"

    async def _wait_or_fail(self, outgoing: Outgoing, refusal: Refused) -> None:
        self._internal_errors += refusal.code == "internal"
        if not refusal.temporary or self._internal_errors >= MAX_INTERNAL_ERRORS:
            self._internal_errors = 0
            await self._outbox.fail(outgoing, refusal)
            return
        outgoing.state = "queued"
        await asyncio.sleep(refusal.retry_after or self._backoff.next_delay())

    def _settle(self, answer: Answer) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)
