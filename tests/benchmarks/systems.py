"""Describes the product and its peers: server, database, and wire format."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import psutil
from typing_extensions import override

from . import processes
from .load import IN_FLIGHT, TEXT, Client, Load, Wire

PRODUCT = "chat"
BEFORE = "before"
"""The product of another checkout (`--before`)."""
OWN = (PRODUCT, BEFORE)
WORKERS = "make serve"
"""The server of `make serve WORKERS=n`: n processes of uvicorn on one port."""
SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
REDIS, DEAD_REDIS = "Redis", "dead Redis"


@dataclass(frozen=True)
class Room:
    name: str
    members: int
    senders: int = 1
    messages: int = 0
    sockets_each: int = 1


@dataclass(frozen=True)
class System:
    """A way to serve chat: `name` on `server`, with its database and Redis."""

    name: str
    server: str
    database: str = SQLITE
    redis: str = ""
    """REDIS, or DEAD_REDIS: killed after the clients have connected."""
    processes: int = 1

    @override
    def __str__(self) -> str:
        count = f"{self.processes} processes" if self.processes > 1 else ""
        database = "" if self.database == SQLITE else self.database
        around = (part for part in (count, database, self.redis) if part)
        return ", ".join([f"{self.name} on {self.server}", *around])


@dataclass
class Running:
    """A system that serves `rooms`.

    `tokens`: those of each room's members, for the product.
    """

    system: System
    ports: list[int]
    processes: list[psutil.Process]
    wire: Wire
    rooms: list[Room]
    path: Callable[[str, str], str]
    tokens: dict[str, list[str]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    """The environment of the product's processes."""
    helpers: dict[str, psutil.Process] = field(default_factory=dict)
    """Its Redis and its PostgreSQL. The PostgreSQL serves the other systems too, in turns."""

    @property
    def port(self) -> int:
        return self.ports[0]

    def clients(self, rooms: list[Room]) -> list[Client]:
        """Returns the clients, first sockets of users first: only these send a `join`.

        The members of each room are spread over the processes in turn, and so are the senders.
        """
        return [
            Client(
                self.ports[(place + number) % len(self.ports)],
                self.path(room.name, token),
                not turn and number < room.senders,
            )
            for place, room in enumerate(rooms)
            for turn in range(room.sockets_each)
            for number, token in enumerate(self.tokens.get(room.name) or [""] * room.members)
        ]

    def load(
        self,
        rooms: list[Room] | None = None,
        wire: Wire | None = None,
        *,
        in_flight: int = IN_FLIGHT,
        offers_compression: bool = False,
    ) -> Load:
        """Clients whose messages make frames of the product's size on every system."""
        return Load(
            wire or self.wire,
            self.clients(self.rooms if rooms is None else rooms),
            padding=TEXT + PRODUCT_WIRE.envelope - self.wire.envelope,
            in_flight=in_flight,
            offers_compression=offers_compression,
        )

    def cpu(self) -> float:
        """CPU seconds of the server's processes, with all threads."""
        return sum(processes.cpu(one) for one in self.processes)

    def helpers_cpu(self) -> dict[str, float]:
        """CPU seconds of its database and Redis, by name."""
        return {name: processes.cpu(helper) for name, helper in self.helpers.items()}

    def has_ended(self) -> bool:
        """Whether any process has ended: unawaited ones remain as zombies."""
        return any(
            not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
            for process in self.processes
        )

    def memory(self) -> int:
        return sum(int(one.memory_info().rss) for one in self.processes)


PRODUCT_WIRE = Wire(
    frame='{"type":"message","message":"$T"}',
    delivery='{"type":"message"',
    answered='{"type":"message"',
    ready='{"type":"ready"',
    envelope=272,
)
RAW_WIRE = Wire(frame='{"message":"$T"}', delivery='{"message"', answered='{"message"', envelope=14)
STANDARD_WIRE = replace(RAW_WIRE, envelope=15)
SOCKETIO_WIRE = Wire(
    frame='42["message","$T"]',
    delivery='42["message"',
    answered='42["message"',
    ready="40",
    hello="40",
    ping="2",
    pong="3",
    envelope=29,
)


def acknowledged(one: Running) -> Wire:
    """Senders continue after the acknowledgement, or the delivery without one."""
    if one.system.name in OWN:
        run_id = f"{os.getpid()}-{time.time_ns()}"
        return replace(
            one.wire,
            frame=f'{{"type":"message","message":"$T","client_id":"{run_id}-$I"}}',
            answered='{"type":"ack"',
        )
    if one.system.server == "node":
        return replace(one.wire, frame='42$I["message","$T"]', answered="43")
    return one.wire


def over_events(one: Running) -> Running:
    """Returns the same system with a socket of all rooms for each member."""
    numbers = {room.name: number for number, room in enumerate(one.rooms, 1)}
    return replace(
        one, path=lambda room, token: f"/ws/events/?token={token}&room_id={numbers[room]}"
    )


def acknowledged_in_room(one: Running) -> Wire:
    """As `acknowledged`, on sockets of all rooms."""
    wire = acknowledged(one)
    return replace(wire, frame=f'{wire.frame[:-1]},"room_id":$R}}')
