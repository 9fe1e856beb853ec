"""One WebSocket, from its handshake to its close."""

import asyncio
import json
import logging
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from .close_codes import ABNORMAL
from .options import Options

Frame = dict[str, Any]
logger = logging.getLogger("chat_backend_client")

MAX_RECEIVED = 2**22
"""Bytes of a received frame, far above what the server sends: 500 rooms in `ready`."""
CLOSE_TIMEOUT = 2.0
PING_REF = "ping"


class Connection:
    """Sends and receives frames, and finds out that the network is dead.

    A dead network closes nothing: the socket stays open and silent. So the client pings, through
    the application and not only the protocol, and gives up when nothing comes back.
    """

    def __init__(self, socket: ClientConnection, token: str, options: Options) -> None:
        self._socket, self._options = socket, options
        self.token = token
        self.error: Frame = {}
        """The last error frame that was about the connection."""
        self._heard = time.monotonic()

    @property
    def close_code(self) -> int:
        return self._socket.close_code or ABNORMAL

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Yields each frame until the connection ends, however it ends."""
        try:
            async for text in self._socket:
                self._heard = time.monotonic()
                frame = _frame_of(text)
                if frame is None:
                    continue
                if frame["type"] == "error":
                    self.error = frame
                elif frame["type"] != "pong":
                    self.error = {}
                yield frame
        except ConnectionClosed:
            return

    async def send(self, frame: Frame) -> bool:
        """Returns False when the connection is lost, or takes nothing any more."""
        try:
            async with asyncio.timeout(self._options.ping_timeout):
                await self._socket.send(json.dumps(frame))
        except ConnectionClosed:
            return False
        except TimeoutError:
            self.abort()
            return False
        return True

    async def renew(self, token: str) -> None:
        """Renews the sign-in of the open socket."""
        self.token = token
        await self.send({"type": "ping", "ref": PING_REF, "token": token})

    async def watch(self) -> None:
        """Pings a silent connection, and aborts a dead one."""
        while True:
            silent = time.monotonic() - self._heard
            if silent < self._options.ping_interval:
                await asyncio.sleep(self._options.ping_interval - silent)
                continue
            before = self._heard
            await self.send({"type": "ping", "ref": PING_REF})
            await asyncio.sleep(self._options.ping_timeout)
            if self._heard == before:
                self.abort()
                return

    def abort(self) -> None:
        """Ends at once, without waiting for a peer that does not answer."""
        self._socket.transport.abort()


def _frame_of(text: str | bytes) -> Frame | None:
    """Returns None for what is no frame: one such text must not end the connection."""
    try:
        frame: Frame = json.loads(text)
        frame["type"].isascii()
    except Exception as error:  # noqa: BLE001
        logger.warning("unreadable frame: %s", type(error).__name__)
        return None
    return frame


@asynccontextmanager
async def connected(url: str, token: str, options: Options) -> AsyncIterator[Connection]:
    """Opens a socket. Raises OSError, TimeoutError, InvalidHandshake."""
    async with connect(
        url,
        additional_headers={"Authorization": f"Bearer {token}"},
        ssl=_context(options) if url.startswith("wss:") else None,
        compression=None,
        max_size=MAX_RECEIVED,
        open_timeout=options.connect_timeout,
        close_timeout=CLOSE_TIMEOUT,
        ping_interval=None,
    ) as socket:
        connection = Connection(socket, token, options)
        watching = asyncio.create_task(connection.watch())
        try:
            yield connection
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def _context(options: Options) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
