"""Keeps one member's socket in a room and reconnects with `since`."""

import asyncio
import json
import random
import time
from contextlib import suppress

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.frame_timeout import MAX_FRAMES_SHOWN

from .client import Client, chance
from .client_view import ClientView
from .records import CHANGES, Answer, Frame, RoomRef, Session, received_frame

READY_TIMEOUT = 10.0
ACKNOWLEDGED_TIMEOUT = 5.0
RESUMES = 0.15
"""How often it reconnects without `since` and sends a `resume` frame instead."""
RELOADS = 0.15
"""How often it reconnects without `since` and reads the history, while that is short."""
SHORT_HISTORY = 2000
RESUME = "resume"
"""The `ref` of a `resume` frame."""


class ClientSocket:
    def __init__(self, client: Client, room: RoomRef, rng: random.Random) -> None:
        self.client = client
        self.room = room
        self.view = ClientView()
        self.allowed = asyncio.Event()
        self.allowed.set()
        self.reads = asyncio.Event()
        self.reads.set()
        self._rng = rng
        self._socket: ClientConnection | None = None
        self._session: Session | None = None
        self._waiting: dict[str, asyncio.Future[Answer | None]] = {}
        self._catching_up = True

    @property
    def connected(self) -> bool:
        return self._socket is not None

    @property
    def address(self) -> str:
        """Address of its process, empty while it is disconnected."""
        return self._session.address if self._session is not None else ""

    @property
    def last_frames(self) -> str:
        """Type and version of the last frames, for the report of a failed wait."""
        if self._session is None:
            return "disconnected"
        last = [f"{one.type} {one.version}" for one in self._session.received[-MAX_FRAMES_SHOWN:]]
        return f"last frames: {', '.join(last) or 'none'}"

    async def stay(self) -> None:
        """Connects, receives and reconnects until cancelled."""
        while True:
            try:
                await self._visit()
            except (OSError, WebSocketException, TimeoutError, EOFError):
                pass  # The drill cuts and kills on purpose; the checker judges the result.
            finally:
                self._give_up()
            await asyncio.sleep(self._rng.uniform(0.02, 0.2) if self.allowed.is_set() else 0.3)

    def _give_up(self) -> None:
        self._socket = self._session = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    async def _visit(self) -> None:
        since = self._since()
        address = self.client.address()
        url = f"ws://{address}{self.room.path}?token={self.client.account.access}"
        async with connect(
            url if since is None else f"{url}&since={since}",
            compression=None,
            max_size=None,
            open_timeout=READY_TIMEOUT,
            close_timeout=1,
            ping_interval=None,
            proxy=None,
        ) as socket:
            try:
                await self._enter(socket, since, address)
                async for text in socket:
                    await self.reads.wait()
                    await self._take(json.loads(text))
            finally:
                if self._session is not None:
                    self._session.code = socket.close_code
                    self._session.closed = time.monotonic()

    def _since(self) -> int | None:
        if chance(self._rng, RESUMES + self._reloads):
            return None
        return self.view.version

    @property
    def _reloads(self) -> float:
        """Falls as the history grows: paging through it would be most of the load."""
        return RELOADS * min(1.0, SHORT_HISTORY / max(1, len(self.view.messages)))

    async def _enter(self, socket: ClientConnection, since: int | None, address: str) -> None:
        first: Frame = json.loads(await asyncio.wait_for(socket.recv(), READY_TIMEOUT))
        if first["type"] != "ready":
            if first.get("code") == "internal":
                self.client.records.errors.append(f"at the door: {first}")
            await socket.wait_closed()
            return
        self._catching_up = True
        self._session = Session(
            self.client.account.id,
            self.room.id,
            since,
            time.monotonic(),
            first["version"],
            complete_from=first["version"] if since is None else since,
            address=address,
        )
        self.client.records.sessions.append(self._session)
        self._socket = socket
        if since is None:
            await self._catch_up(socket, self._session)

    async def _catch_up(self, socket: ClientConnection, session: Session) -> None:
        if chance(self._rng, RESUMES / (RESUMES + self._reloads)):
            session.resumes.append(0)
            await self._resume(socket)
        else:
            await self._reload(session, session.ready)

    async def _resume(self, socket: ClientConnection) -> None:
        frame = {"type": "resume", "since": self.view.version, "ref": RESUME}
        await socket.send(json.dumps(frame))

    async def _reload(self, session: Session, version: int) -> None:
        """Reads the history by REST; from `version` on the socket delivers everything."""
        session.complete_from = version
        for message in await self.client.history(self.room.id):
            self.view.put(message)
        self._catching_up = False
        session.caught_up = time.monotonic()
        self.view.reached(version)

    # Receiving

    async def _take(self, frame: Frame) -> None:
        if self._session is None:
            return
        kind = frame["type"]
        if kind in CHANGES:
            self._receive(self._session, frame)
        elif kind == "ack":
            self._settle(frame["client_id"], _answer(frame))
        elif kind == "resumed":
            await self._caught_up(self._session, frame)
        elif kind == "exit":
            self.client.records.exits[frame["username"]] += 1
        elif kind == "error":
            if frame["code"] == "internal":
                self.client.records.errors.append(f"on a socket: {frame}")
            if frame.get("ref") == RESUME and self._socket is not None:
                # Refused, for example while the database is away: it had no effect, so ask again.
                await asyncio.sleep(frame.get("retry_after") or 1.0)
                await self._resume(self._socket)
            self._settle(frame.get("ref"), None)

    def _receive(self, session: Session, frame: Frame) -> None:
        session.received.append(received_frame(frame))
        self.view.apply(frame)
        if not self._catching_up or session.since is not None:
            # During a replay, live frames may be ahead of missing versions.
            self.view.reached(frame["version"])

    async def _caught_up(self, session: Session, frame: Frame) -> None:
        if not frame["complete"]:
            await self._reload(session, frame["to"])
        self._catching_up = False
        session.caught_up = time.monotonic()
        session.resumed = len(session.received)
        self.view.reached(max([frame["to"], *(one.version for one in session.received[-1:])]))

    def _settle(self, client_id: str | None, answer: Answer | None) -> None:
        waiting = self._waiting.get(client_id or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    # Sending

    async def send(self, client_id: str, text: str, *, twice: bool) -> Answer | None:
        """Sends by socket; None when it is unknown whether the message was stored."""
        socket = self._socket
        if socket is None:
            return None
        frame = json.dumps(
            {"type": "message", "message": text, "client_id": client_id, "ref": client_id}
        )
        waiting: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._waiting[client_id] = waiting
        try:
            async with asyncio.timeout(ACKNOWLEDGED_TIMEOUT):
                await socket.send(frame)
                if twice:
                    await socket.send(frame)
                return await waiting
        except (ConnectionClosed, TimeoutError):
            return None
        finally:
            self._waiting.pop(client_id, None)

    async def freeze(self, seconds: float) -> None:
        """Stops reading: frames fill the client's buffers, then the server's."""
        self.reads.clear()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(seconds)
        self.reads.set()


def _answer(frame: Frame) -> Answer:
    return Answer(frame["id"], frame["seq"], frame["version"], frame["duplicate"])
