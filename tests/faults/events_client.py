"""Keeps a member's socket of all rooms, and judges each room by itself."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from contextlib import suppress

from typing_extensions import override
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from .client import Client
from .client_socket import READY_TIMEOUT, RESUME, ClientSocket
from .records import Frame, RoomRef, Session


class FollowedRoom(ClientSocket):
    """A room of an events socket: records what the socket receives of it."""

    def begin(self, socket: ClientConnection, version: int, address: str) -> None:
        """Starts at the version that `ready` or `room_added` named; a resume follows."""
        self._catching_up = True
        self._session = Session(
            self.client.account.id,
            self.room.id,
            None,
            time.monotonic(),
            version,
            resumes=[0],
            complete_from=version,
            address=address,
        )
        self.client.records.sessions.append(self._session)
        self._socket = socket

    def end(self, code: int | None = None) -> None:
        """Ends with the socket, or with the membership."""
        if self._session is not None:
            self._session.code = code
            self._session.closed = time.monotonic()
        self._give_up()

    async def take(self, frame: Frame) -> None:
        await self._take(frame)

    @override
    async def _resume(self, socket: ClientConnection) -> None:
        rooms = {str(self.room.id): self.view.version}
        await socket.send(json.dumps({"type": "resume", "rooms": rooms, "ref": RESUME}))

    @override
    async def _caught_up(self, session: Session, frame: Frame) -> None:
        """From `resumed` on the socket has everything that it asked for."""
        if frame["complete"]:
            session.complete_from = frame["from"] - 1
        await super()._caught_up(session, frame)

    async def resume(self) -> None:
        if self._socket is not None:
            await self._resume(self._socket)

    @override
    def _message(self, client_id: str, text: str) -> Frame:
        return {**super()._message(client_id, text), "room_id": self.room.id}


class EventsClient:
    """Reconnects until cancelled, and resumes all rooms each time."""

    def __init__(self, client: Client, rooms: Sequence[RoomRef], rng: random.Random) -> None:
        self.client = client
        self._rng = rng
        self.rooms = {room.id: FollowedRoom(client, room, rng) for room in rooms}
        self._reads = asyncio.Event()
        self._reads.set()
        for room in self.rooms.values():
            room.reads = self._reads

    async def stay(self) -> None:
        """Connects, receives and reconnects until cancelled."""
        while True:
            # The drill cuts and kills on purpose; the checker judges the result.
            with suppress(OSError, WebSocketException, TimeoutError, EOFError):
                await self._visit()
            await asyncio.sleep(self._rng.uniform(0.02, 0.2))

    async def _visit(self) -> None:
        address = self.client.address()
        async with connect(
            f"ws://{address}/ws/events/?token={self.client.account.access}",
            compression=None,
            max_size=None,
            open_timeout=READY_TIMEOUT,
            close_timeout=1,
            ping_interval=None,
            proxy=None,
        ) as socket:
            try:
                await self._enter(socket, address)
                async for text in socket:
                    await self._reads.wait()
                    await self._take(socket, json.loads(text), address)
            finally:
                for room in self.rooms.values():
                    room.end(socket.close_code)

    async def _enter(self, socket: ClientConnection, address: str) -> None:
        first: Frame = json.loads(await asyncio.wait_for(socket.recv(), READY_TIMEOUT))
        if first["type"] != "ready":
            if first.get("code") == "internal":
                self.client.records.errors.append(f"at the door: {first}")
            await socket.wait_closed()
            return
        for state in first["rooms"]:
            if state["id"] in self.rooms:
                self.rooms[state["id"]].begin(socket, state["version"], address)
        await self._resume(socket)

    async def _resume(self, socket: ClientConnection) -> None:
        rooms = {str(room.room.id): room.view.version for room in self._following}
        await socket.send(json.dumps({"type": "resume", "rooms": rooms, "ref": RESUME}))

    @property
    def _following(self) -> list[FollowedRoom]:
        return [room for room in self.rooms.values() if room.connected]

    async def _take(self, socket: ClientConnection, frame: Frame, address: str) -> None:
        kind = frame["type"]
        if kind == "room_added":
            room = self.rooms.get(frame["room"]["id"])
            if room is not None:
                room.begin(socket, frame["room"]["version"], address)
                await room.resume()
        elif kind == "room_removed":
            if frame["room_id"] in self.rooms:
                self.rooms[frame["room_id"]].end()
        elif "room_id" in frame:
            room = self.rooms.get(frame["room_id"])
            if room is not None:
                await room.take(frame)
        elif kind == "error":
            await self._refused(socket, frame)

    async def _refused(self, socket: ClientConnection, frame: Frame) -> None:
        if frame["code"] == "internal":
            self.client.records.errors.append(f"on an events socket: {frame}")
        if frame.get("ref") == RESUME:
            await asyncio.sleep(frame.get("retry_after") or 1.0)
            await self._resume(socket)
