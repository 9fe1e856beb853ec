"""Clients of a running server: register over HTTP, chat over real sockets."""

import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote

import httpx
from typing_extensions import override
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.protocol import Event
from websockets.typing import Subprotocol

from .frame_timeout import FrameTimeout, waiting_for

PASSWORD = "password123"
FRAME_TIMEOUT = 10.0
"""Seconds that a test waits for an expected frame."""
REPAIR_TIMEOUT = 5.0
"""Seconds within which a process repairs a frame without a hint: it checks every second."""
HINTS_TIMEOUT = 30.0
"""Seconds until hints arrive: a first subscription takes a moment, a returning Redis longer."""

_numbers = itertools.count(1)

Frame = dict[str, Any]


def rest(http: str, access: str | None = None) -> httpx.AsyncClient:
    """Returns an HTTP client of the API, anonymous or with an access token."""
    return httpx.AsyncClient(
        base_url=f"{http}/api",
        headers={"Authorization": f"Bearer {access}"} if access else None,
        timeout=20,
        verify=False,  # there is no TLS here, and reading the certificates costs 20 ms each time
    )


class ServerUrls(Protocol):
    """The URLs of a running server."""

    @property
    def http(self) -> str: ...

    @property
    def ws(self) -> str: ...


class Person:
    """A signed-in user of one server."""

    def __init__(self, http: str, ws: str, account: Frame) -> None:
        self.url = http
        self.ws = ws
        self.id: int = account["id"]
        self.username: str = account["username"]
        self.access: str = account["access"]
        self.refresh: str = account["refresh"]
        self.http = rest(http, self.access)

    def at(self, server: ServerUrls) -> "Person":
        """Returns the same user with the same tokens at another server."""
        return Person(server.http, server.ws, vars(self))

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.http.get(path, params=params)

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.http.post(path, json=body if body is not None else {})

    async def patch(self, path: str, body: Any) -> httpx.Response:
        return await self.http.patch(path, json=body)

    async def put(self, path: str) -> httpx.Response:
        return await self.http.put(path)

    async def delete(self, path: str) -> httpx.Response:
        return await self.http.delete(path)

    def socket(self, path: str, **query: Any) -> "Socket":
        """Returns an unopened socket that authenticates by `?token=`, as most clients do."""
        return Socket(f"{self.ws}{path}", token=self.access, **query)

    def public(self, name: str, **query: Any) -> "Socket":
        return self.socket(f"/ws/chat/{quote(name)}/", **query)

    def group(self, name: str, **query: Any) -> "Socket":
        return self.socket(f"/ws/chat/group/{quote(name)}/", **query)

    def private(self, username: str, **query: Any) -> "Socket":
        return self.socket(f"/ws/private/{quote(username)}/", **query)


class _Connection(ClientConnection):
    """Disconnects after both close frames: daphne may take a second longer."""

    @override
    def process_event(self, event: Event) -> None:
        super().process_event(event)
        if isinstance(event, WebSocketFrame) and event.opcode is Opcode.CLOSE:
            self.transport.close()


class Socket:
    """A WebSocket client: `async with person.public("sports") as socket`."""

    def __init__(
        self,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        subprotocols: list[str] | None = None,
        ssl: SSLContext | None = None,
        **query: Any,
    ) -> None:
        pairs = "&".join(f"{key}={quote(str(value))}" for key, value in query.items())
        self.url = f"{url}?{pairs}" if pairs else url
        self.headers = headers
        self.ssl = ssl
        self.subprotocols = [Subprotocol(name) for name in subprotocols or []]
        self.connection: ClientConnection

    async def __aenter__(self) -> Self:
        self.connection = await connect(
            self.url,
            additional_headers=self.headers,
            ssl=self.ssl,
            subprotocols=self.subprotocols or None,
            compression=None,
            max_size=None,
            max_queue=None,  # with too many unread frames, a close would wait for its timeout
            open_timeout=FRAME_TIMEOUT,
            create_connection=_Connection,
            proxy=None,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.connection.close()

    async def send(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def send_text(self, text: str | bytes) -> None:
        await self.connection.send(text)

    async def receive(self, within: float = FRAME_TIMEOUT) -> Frame:
        """Returns the next frame of any type."""
        async with waiting_for("frame", within, []):
            return await self._next()

    async def receive_type(self, kind: str, within: float = FRAME_TIMEOUT) -> Frame:
        """Returns the next frame of this type and drops the frames before it."""
        return (await self.receive_until(kind, within))[-1]

    async def receive_until(self, kind: str, within: float = FRAME_TIMEOUT) -> list[Frame]:
        """Returns all frames up to and including the next of this type."""
        frames: list[Frame] = []
        async with waiting_for(f"{kind!r} frame", within, frames):
            while not frames or frames[-1]["type"] != kind:
                frames.append(await self._next())
        return frames

    async def _next(self) -> Frame:
        frame: Frame = json.loads(await self.connection.recv())
        return frame

    async def ping(self) -> list[Frame]:
        """Returns all frames up to and including the answer to a ping."""
        await self.send(type="ping", ref=f"ping-{next(_numbers)}")
        return await self.receive_until("pong")

    async def closed(self, within: float = FRAME_TIMEOUT) -> tuple[int, list[Frame]]:
        """Waits for the server to close; returns the close code and the frames before it."""
        frames: list[Frame] = []
        try:
            async with waiting_for("close by the server", within, frames):
                while True:
                    frames.append(await self._next())
        except ConnectionClosed as closing:
            return (closing.rcvd.code if closing.rcvd else 1006), frames

    async def refused(self, within: float = FRAME_TIMEOUT) -> tuple[int, str]:
        """Returns the close code and the code of the error frame before it."""
        code, frames = await self.closed(within)
        last = frames[-1]["type"] if frames else None
        assert last == "error", f"no error frame before {code}: {frames}"
        assert self.connection.close_reason == frames[-1]["code"]
        return code, frames[-1]["code"]


def fresh(stem: str) -> str:
    """Returns a name that is unused on every server of this run."""
    return f"{stem}{next(_numbers)}"


async def register(
    http: str, ws: str, username: str | None = None, password: str = PASSWORD
) -> Person:
    """Registers a user. In production the default password is rejected as too common."""
    name = username or f"user{next(_numbers)}"
    async with rest(http) as client:
        answer = await client.post("/register", json={"username": name, "password": password})
    assert answer.status_code == 201, answer.text
    return Person(http, ws, answer.json())


@asynccontextmanager
async def opened(*sockets: Socket) -> AsyncIterator[list[Frame]]:
    """Opens sockets and yields their `ready` frames."""
    try:
        yield [await (await socket.__aenter__()).receive_type("ready") for socket in sockets]
    finally:
        for socket in sockets:
            if hasattr(socket, "connection"):
                await socket.connection.close()


@asynccontextmanager
async def signed_in_again(person: Person) -> AsyncIterator[Person]:
    """Yields a second session of the same user, as from a phone."""
    account = {"username": person.username, "password": PASSWORD}
    answer = await person.post("/login", account)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    tokens = {"access": body["access"], "refresh": body["refresh"]}
    phone = Person(person.url, person.ws, body["user"] | tokens)
    async with phone.http:
        yield phone


async def connect_refused(socket: Socket) -> tuple[int, str]:
    """Opens a socket that must be refused; returns close code and error code."""
    async with socket:
        code, frames = await socket.closed()
    assert [frame["type"] for frame in frames] == ["error"], f"not refused: {frames}, {code}"
    assert socket.connection.close_reason == frames[0]["code"]
    return code, frames[0]["code"]


async def until_hints_arrive(sender: Socket, receiver: Socket) -> None:
    """Waits until hints reach the receiver's process; the sockets are of two users.

    A `typing` frame needs a hint: no repair brings it. A few more may arrive afterwards.
    """
    deadline = time.monotonic() + HINTS_TIMEOUT
    while True:
        await sender.send(type="typing", typing=True)
        await sender.send(type="typing", typing=False)
        try:
            await receiver.receive_type("typing", 1)
        except FrameTimeout as error:
            if time.monotonic() >= deadline:
                raise AssertionError("no hint arrives") from error
        else:
            return


async def assert_received_by_hint(sender: Socket, receiver: Socket, text: str) -> None:
    """Sends a message, and fails when only the repair brings it to another process.

    Hints keep their order: on a machine of any speed the message arrives before a `typing` that was
    sent after it, and a repaired message arrives behind. Call `until_hints_arrive` first.
    """
    await sender.send(type="message", message=text)
    await sender.send(type="typing", typing=True)
    frames: list[Frame] = []
    received: list[str] = []
    try:
        # A `typing` of `until_hints_arrive` may come before the message, this one may not.
        while text not in received or not frames[-1]["typing"]:
            frames += await receiver.receive_until("typing")
            received = [frame["message"] for frame in frames if frame["type"] == "message"]
    except FrameTimeout as error:
        raise AssertionError(f"not by a hint: {frames}, then {error}") from None
    # Without it, a `typing` right after this one would be over its rate.
    await sender.send(type="typing", typing=False)
