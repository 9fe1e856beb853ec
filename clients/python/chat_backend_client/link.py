"""Keeps a socket open: connects, follows close codes, renews, reconnects."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import Protocol

from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from .close_codes import Reconnect, rule_after
from .connection import Connection, Frame, connected
from .errors import ChatError, Closed, Refused, SignedOut, Unreachable
from .options import Options
from .reconnect import Backoff
from .tokens import Tokens

logger = logging.getLogger("chat_backend_client")

MIN_RENEWAL_DELAY = 1.0
RETRIED = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
PROVED_AFTER = 10.0
"""Seconds after which a connection counts as a success."""


class Served(Protocol):
    """What a link serves: a room, or all rooms."""

    def path(self) -> str:
        """Returns path and query of the next attempt."""
        ...

    def ready(self, frame: Frame) -> None:
        """Handles the first frame."""
        ...

    def receive(self, frame: Frame) -> None:
        """Handles a frame at once: while it waits, no acknowledgement arrives."""
        ...

    def lost(self) -> None:
        """The connection that was ready has ended."""
        ...


class Link:
    def __init__(self, site: str, tokens: Tokens, options: Options, served: Served) -> None:
        self._site, self._tokens, self._options = site, tokens, options
        self._served = served
        self._backoff = Backoff(options.min_delay, options.max_delay)
        self._connection: Connection | None = None
        self._renewed = False
        self._opened = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self, ended: Callable[[ChatError], Awaitable[None]]) -> None:
        """Stays connected until `stop`, or until the server ends it for good.

        Then `ended` learns why. Raises Closed, SignedOut, Unreachable while it is not open yet.
        """
        running = self._running = asyncio.create_task(self._run(ended))
        opening = asyncio.create_task(self._opened.wait())
        await asyncio.wait(
            {opening, running},
            timeout=self._options.open_timeout,
            return_when=asyncio.FIRST_COMPLETED,
        )
        opening.cancel()
        if running.done():
            running.result()
        if not self._opened.is_set():
            raise Unreachable("The server did not accept the connection in time")

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def send(self, frame: Frame) -> bool:
        """Returns False when there is no connection."""
        return self._connection is not None and await self._connection.send(frame)

    async def _run(self, ended: Callable[[ChatError], Awaitable[None]]) -> None:
        try:
            await self._stay_connected()
        except ChatError as error:
            await ended(error)
            if not self._opened.is_set():
                raise

    async def _stay_connected(self) -> None:
        """Connects again and again. Raises Closed, SignedOut."""
        while True:
            delay = await self._attempt()
            if delay is not None:
                await asyncio.sleep(delay)

    async def _attempt(self) -> float | None:
        """Connects once; returns seconds until the next attempt, None for at once."""
        try:
            token = await self._tokens.fresh()
            async with connected(
                f"{self._site}{self._served.path()}", token, self._options
            ) as connection:
                await self._receive(connection)
            return await self._after(connection)
        except InvalidStatus as error:
            # Where a room was open once, a proxy or a captive portal answers for the server.
            if not self._opened.is_set() and _is_final(error.response.status_code):
                status = error.response.status_code
                raise Closed("http_error", f"No chat server here (HTTP {status})") from None
        except Refused as refusal:
            if not refusal.temporary:
                raise SignedOut(refusal.detail) from None
            return self._backoff.next_delay(refusal.retry_after)
        except (Closed, SignedOut):
            raise
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException, Unreachable) as error:
            logger.debug("not connected: %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001
            # A link that ends here would be silent for ever: the app waits for its next event.
            logger.warning("not connected: %s", type(error).__name__)
        return self._backoff.next_delay()

    async def _receive(self, connection: Connection) -> None:
        async with aclosing(_with_deadline(connection, self._options.ready_timeout)) as frames:
            async for frame in frames:
                if frame["type"] == "ready":
                    break
            else:
                return
            renewing = asyncio.create_task(self._keep_signed_in(connection))
            self._connection = connection
            # Not at once: a server that says `ready` and breaks would be called without a pause.
            proof = asyncio.get_running_loop().call_later(PROVED_AFTER, self._proved)
            try:
                self._served.ready(frame)
                self._opened.set()
                async for following in frames:
                    self._handle(following)
            finally:
                self._connection = None
                proof.cancel()
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)
                self._served.lost()

    def _proved(self) -> None:
        """The connection works: the next delay is a short one again."""
        self._renewed = False
        self._backoff.succeed()

    def _handle(self, frame: Frame) -> None:
        if frame["type"] == "ack":
            self._proved()
        try:
            self._served.receive(frame)
        except Exception as error:  # noqa: BLE001
            # The type alone: the text of an error may hold a message. What the frame would have
            # changed is asked for at the next jump of versions.
            logger.warning("frame %s not handled: %s", frame["type"], type(error).__name__)

    async def _after(self, connection: Connection) -> float | None:
        """Obeys the close code. Raises Closed, SignedOut, Unreachable."""
        code: str = connection.error.get("code", "")
        match rule_after(connection.close_code, code):
            case Reconnect.NO if code == "session_ended":
                raise SignedOut(connection.error["message"])
            case Reconnect.NO:
                raise Closed(code, connection.error.get("message", "The room was left"))
            case Reconnect.WITH_NEW_TOKEN:
                await self._tokens.renew(connection.token)
                # At once only the first time: a server may refuse the new token, too.
                at_once, self._renewed = not self._renewed, True
                if at_once:
                    return None
            case Reconnect.WITH_SINCE | Reconnect.AFTER_DELAY:
                pass
        return self._backoff.next_delay(connection.error.get("retry_after"))

    async def _keep_signed_in(self, connection: Connection) -> None:
        """Brings each new token to the open socket, before the old one ends."""
        while True:
            await asyncio.sleep(max(MIN_RENEWAL_DELAY, self._tokens.due_in))
            try:
                token = await self._tokens.fresh()
            except Unreachable:
                continue
            if token != connection.token:
                await connection.renew(token)


def _is_final(status: int) -> bool:
    """Returns whether the same request would get the same answer."""
    is_server_error = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return not is_server_error and status not in RETRIED


async def _with_deadline(
    connection: Connection, first_within: float
) -> AsyncGenerator[Frame, None]:
    """Yields frames, and gives up when the first one is too late."""
    loop = asyncio.get_running_loop()
    deadline = loop.call_later(first_within, connection.abort)
    try:
        async with aclosing(connection.frames()) as frames:
            async for frame in frames:
                deadline.cancel()
                yield frame
    finally:
        deadline.cancel()
