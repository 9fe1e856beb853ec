"""A person at a client: registers over HTTP, talks over real sockets."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PASSWORD = "password123"
PATIENCE = 10.0
"""Seconds that a test waits for a frame that must come."""

_numbers = itertools.count(1)

Frame = dict[str, Any]


class Person:
    """A signed-in user of one server."""

    def __init__(self, http: str, ws: str, account: Frame) -> None:
        self.ws = ws
        self.id: int = account["id"]
        self.username: str = account["username"]
        self.access: str = account["access"]
        self.refresh: str = account["refresh"]
        self.http = httpx.AsyncClient(
            base_url=f"{http}/api",
            headers={"Authorization": f"Bearer {self.access}"},
            timeout=20,
        )

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
        """A socket signed in by `?token=`, as most clients do; not opened yet."""
        return Socket(f"{self.ws}{path}", token=self.access, **query)

    def public(self, name: str, **query: Any) -> "Socket":
        return self.socket(f"/ws/chat/{quote(name)}/", **query)

    def group(self, name: str, **query: Any) -> "Socket":
        return self.socket(f"/ws/chat/group/{quote(name)}/", **query)

    def private(self, username: str, **query: Any) -> "Socket":
        return self.socket(f"/ws/private/{quote(username)}/", **query)


class Socket:
    """A WebSocket client: `async with person.public("sports") as socket`."""

    def __init__(
        self,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        subprotocols: list[str] | None = None,
        **query: Any,
    ) -> None:
        pairs = "&".join(f"{key}={quote(str(value))}" for key, value in query.items())
        self.url = f"{url}?{pairs}" if pairs else url
        self.headers = headers
        self.subprotocols = [Subprotocol(name) for name in subprotocols or []]
        self.connection: ClientConnection

    async def __aenter__(self) -> Self:
        self.connection = await connect(
            self.url,
            additional_headers=self.headers,
            subprotocols=self.subprotocols or None,
            compression=None,
            max_size=None,
            open_timeout=PATIENCE,
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

    async def receive(self, within: float = PATIENCE) -> Frame:
        """The next frame, whatever it is."""
        frame: Frame = json.loads(await asyncio.wait_for(self.connection.recv(), within))
        return frame

    async def hear(self, kind: str, within: float = PATIENCE) -> Frame:
        """The next frame of this type; others in between are passed over."""
        async with asyncio.timeout(within):
            while True:
                frame = await self.receive(within)
                if frame["type"] == kind:
                    return frame

    async def hear_until(self, kind: str, within: float = PATIENCE) -> list[Frame]:
        """All frames up to and including the next of this type."""
        frames: list[Frame] = []
        async with asyncio.timeout(within):
            while not frames or frames[-1]["type"] != kind:
                frames.append(await self.receive(within))
        return frames

    async def silence(self, kind: str | None = None, within: float = 0.4) -> None:
        """Fails when a frame (of this type) comes within the time."""
        try:
            async with asyncio.timeout(within):
                while True:
                    frame = await self.receive()
                    assert kind is not None and frame["type"] != kind, f"heard {frame}"
        except TimeoutError:
            return

    async def ping(self) -> list[Frame]:
        """All that was on its way before the answer to a ping."""
        await self.send(type="ping", ref=f"ping-{next(_numbers)}")
        return await self.hear_until("pong")

    async def closed(self, within: float = PATIENCE) -> tuple[int, list[Frame]]:
        """Waits for the server to close: the code, and the frames that came before."""
        frames = []
        async with asyncio.timeout(within):
            try:
                while True:
                    frames.append(await self.receive(within))
            except ConnectionClosed as closing:
                return (closing.rcvd.code if closing.rcvd else 1006), frames

    async def refused(self, within: float = PATIENCE) -> tuple[int, str]:
        """The close code and the code of the error frame before it."""
        code, frames = await self.closed(within)
        assert frames and frames[-1]["type"] == "error", f"no error frame before {code}: {frames}"
        return code, frames[-1]["code"]


async def register(http: str, ws: str, username: str | None = None) -> Person:
    name = username or f"user{next(_numbers)}"
    async with httpx.AsyncClient(timeout=20) as client:
        answer = await client.post(
            f"{http}/api/register", json={"username": name, "password": PASSWORD}
        )
    assert answer.status_code == 201, answer.text
    return Person(http, ws, answer.json())


@asynccontextmanager
async def opened(*sockets: Socket) -> AsyncIterator[list[Frame]]:
    """Opens sockets and waits until each is let in; yields their `ready` frames."""
    try:
        yield [await (await socket.__aenter__()).hear("ready") for socket in sockets]
    finally:
        for socket in sockets:
            if hasattr(socket, "connection"):
                await socket.connection.close()
