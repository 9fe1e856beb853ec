"""A person at a client: registers over HTTP, talks over real sockets."""

import asyncio
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

PASSWORD = "password123"
PATIENCE = 10.0
"""Seconds that a test waits for a frame that must come."""
BY_REPAIR = 5.0
"""Seconds within which a process hears what no hint tells it: the repair looks every second."""
CROSSES_TIMEOUT = 30.0
"""Seconds until hints cross: a first subscription takes a moment, a Redis that was away longer."""

_numbers = itertools.count(1)

Frame = dict[str, Any]


def rest(http: str, access: str | None = None) -> httpx.AsyncClient:
    """The API of a server, for nobody or for whom the token says."""
    return httpx.AsyncClient(
        base_url=f"{http}/api",
        headers={"Authorization": f"Bearer {access}"} if access else None,
        timeout=20,
        verify=False,  # there is no TLS here, and reading the certificates costs 20 ms each time
    )


class Place(Protocol):
    """A server, wherever it runs."""

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

    def at(self, server: Place) -> "Person":
        """The same user with the same tokens, talking to another server."""
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
        """A socket signed in by `?token=`, as most clients do; not opened yet."""
        return Socket(f"{self.ws}{path}", token=self.access, **query)

    def public(self, name: str, **query: Any) -> "Socket":
        return self.socket(f"/ws/chat/{quote(name)}/", **query)

    def group(self, name: str, **query: Any) -> "Socket":
        return self.socket(f"/ws/chat/group/{quote(name)}/", **query)

    def private(self, username: str, **query: Any) -> "Socket":
        return self.socket(f"/ws/private/{quote(username)}/", **query)


class _Connection(ClientConnection):
    """Hangs up once both sides have said Close: daphne may take a second more to do so."""

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
            max_queue=None,  # with unread frames beyond a bound a close would wait for its timeout
            open_timeout=PATIENCE,
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

    async def receive(self, within: float = PATIENCE) -> Frame:
        """The next frame, whatever it is."""
        # Not `wait_for`: Python 3.11's may swallow a cancellation.
        async with asyncio.timeout(within):
            frame: Frame = json.loads(await self.connection.recv())
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
        last = frames[-1]["type"] if frames else None
        assert last == "error", f"no error frame before {code}: {frames}"
        assert self.connection.close_reason == frames[-1]["code"]
        return code, frames[-1]["code"]


def fresh(stem: str) -> str:
    """A name that nobody has used on any server of this run."""
    return f"{stem}{next(_numbers)}"


async def register(
    http: str, ws: str, username: str | None = None, password: str = PASSWORD
) -> Person:
    """In production the default password is refused as too common."""
    name = username or f"user{next(_numbers)}"
    async with rest(http) as client:
        answer = await client.post("/register", json={"username": name, "password": password})
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


@asynccontextmanager
async def signed_in_again(person: Person) -> AsyncIterator[Person]:
    """A second sign-in of the same user, as from their phone."""
    account = {"username": person.username, "password": PASSWORD}
    answer = await person.post("/login", account)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    tokens = {"access": body["access"], "refresh": body["refresh"]}
    phone = Person(person.url, person.ws, body["user"] | tokens)
    async with phone.http:
        yield phone


async def turned_away(socket: Socket) -> tuple[int, str]:
    """Opens a socket that must not be let in: its close code and the code of its error frame."""
    async with socket:
        code, frames = await socket.closed()
    assert [frame["type"] for frame in frames] == ["error"], f"not turned away: {frames}, {code}"
    assert socket.connection.close_reason == frames[0]["code"]
    return code, frames[0]["code"]


async def until_it_crosses(speaking: Socket, listening: Socket) -> None:
    """Waits until hints go from one process to the other; the sockets are of two users.

    A `typing` goes by a hint or not at all. A few more of them may be heard afterwards.
    """
    deadline = time.monotonic() + CROSSES_TIMEOUT
    while True:
        await speaking.send(type="typing", typing=True)
        await speaking.send(type="typing", typing=False)
        try:
            await listening.hear("typing", 1)
        except TimeoutError:
            assert time.monotonic() < deadline, "no hint crosses"
        else:
            return


async def crosses_by_hint(speaking: Socket, listening: Socket, text: str) -> None:
    """Says it, and fails when another process hears it by the repair only.

    Hints keep their order, so however slow all is a message comes before a `typing` sent after it;
    what has to wait for the repair comes behind. From where `until_it_crosses` has passed.
    """
    await speaking.send(type="message", message=text)
    await speaking.send(type="typing", typing=True)
    frames: list[Frame] = []
    heard: list[str] = []
    try:
        # One that is left over from `until_it_crosses` may come before the message, ours may not.
        while text not in heard or not frames[-1]["typing"]:
            frames += await listening.hear_until("typing")
            heard = [frame["message"] for frame in frames if frame["type"] == "message"]
    except TimeoutError:
        raise AssertionError(f"not by a hint: {frames}") from None
    # Or the next one would be too soon after this one.
    await speaking.send(type="typing", typing=False)
