"""Reads the final state by REST: each room and its whole history."""

import asyncio
from dataclasses import dataclass

from .client import Client
from .records import Frame, RoomRef

QUIET = 0.5


@dataclass(frozen=True, slots=True)
class Room:
    id: int
    last_seq: int
    version: int
    history: list[Frame]

    @property
    def by_id(self) -> dict[int, Frame]:
        return {message["id"]: message for message in self.history}


async def read_quiet_room(client: Client, room: RoomRef) -> Room:
    """Waits for writes that clients gave up on and the server may still finish."""
    before = -1
    while True:
        after = (await _ask(client, room))["version"]
        if after == before:
            break
        before = after
        await asyncio.sleep(QUIET)
    return await _read(client, room)


async def _read(client: Client, room: RoomRef) -> Room:
    body = await _ask(client, room)
    return Room(room.id, body["last_seq"], body["version"], await client.history(room.id))


async def _ask(client: Client, room: RoomRef) -> Frame:
    answer = await client.insist("GET", f"/rooms/{room.id}")
    answer.raise_for_status()
    body: Frame = answer.json()
    return body
