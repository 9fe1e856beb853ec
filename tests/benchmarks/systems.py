"""What is measured: the product and its peers, each as a process on the server's core."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from tests.servers import COMMANDS, RELAXED, SECRET_KEY

from . import node, redis
from .load import TEXT, Client, Load, Wire
from .processes import PORT, run, served

PRODUCT = "chat"


@dataclass(frozen=True)
class Room:
    name: str
    members: int
    speakers: int = 1
    messages: int = 0
    sockets_each: int = 1


@dataclass(frozen=True)
class System:
    """A way to serve chat: `name` on `server`."""

    name: str
    server: str

    def __str__(self) -> str:
        return f"{self.name} on {self.server}"


@dataclass
class Running:
    """A system that serves `rooms`. `tokens` are those of each room's members, for the product."""

    system: System
    port: int
    process: psutil.Process
    wire: Wire
    rooms: list[Room]
    path: Callable[[str, str], str]
    tokens: dict[str, list[str]]

    def clients(self, rooms: list[Room]) -> list[Client]:
        """First sockets of everybody first: only these are announced to the room."""
        return [
            Client(self.path(room.name, token), not turn and number < room.speakers)
            for room in rooms
            for turn in range(room.sockets_each)
            for number, token in enumerate(self.tokens.get(room.name) or [""] * room.members)
        ]

    def load(self, rooms: list[Room] | None = None, wire: Wire | None = None) -> Load:
        """Clients whose messages make frames of the product's size on every system."""
        padding = TEXT + PRODUCT_WIRE.envelope - self.wire.envelope
        clients = self.clients(self.rooms if rooms is None else rooms)
        return Load(self.port, wire or self.wire, clients, padding=padding)

    def cpu(self) -> float:
        """CPU seconds so far, of all threads."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> int:
        return int(self.process.memory_info().rss)


PRODUCT_WIRE = Wire(
    frame='{"type":"message","message":"$T"}',
    heard='{"type":"message"',
    answered='{"type":"message"',
    ready='{"type":"ready"',
    envelope=272,
)
RAW_WIRE = Wire(frame='{"message":"$T"}', heard='{"message"', answered='{"message"', envelope=14)
STANDARD_WIRE = replace(RAW_WIRE, envelope=15)
SOCKETIO_WIRE = Wire(
    frame='42["message","$T"]',
    heard='42["message"',
    answered='42["message"',
    ready="40",
    hello="40",
    ping="2",
    pong="3",
    envelope=29,
)


def acknowledged(one: Running) -> Wire:
    """Speakers go on when their message is acknowledged, or heard where no word for that is."""
    if one.system.name == PRODUCT:
        run_id = f"{os.getpid()}-{time.time_ns()}"
        return replace(
            one.wire,
            frame=f'{{"type":"message","message":"$T","client_id":"{run_id}-$I"}}',
            answered='{"type":"ack"',
        )
    if one.system.server == "node":
        return replace(one.wire, frame='42$I["message","$T"]', answered="43")
    return one.wire


@contextmanager
def running(system: System, rooms: list[Room], folder: Path) -> Iterator[Running]:
    """Raises Missing when this peer cannot run here."""
    own = folder / f"{system.name}-{system.server}"
    own.mkdir(parents=True)
    with contextmanager(MAKERS[system.name])(system, rooms, own) as one:
        yield one


def asgi(server: str, application: str) -> list[str]:
    return [sys.executable, *COMMANDS[server], PORT, application]


def _product(system: System, rooms: list[Room], folder: Path) -> Iterator[Running]:
    variables = (
        os.environ
        | RELAXED
        | {
            "DATABASE_URL": f"sqlite:///{folder / 'chat.sqlite3'}",
            "SECRET_KEY": SECRET_KEY,
            "DEBUG": "0",
            "ALLOWED_HOSTS": "127.0.0.1",
        }
    )
    run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], variables)
    plan = json.dumps([[room.name, room.members, room.messages] for room in rooms])
    tokens = json.loads(run([sys.executable, "-m", "tests.benchmarks.seed"], variables, plan))
    command = asgi(system.server, "config.asgi:application")
    with served(command, variables, folder / "log") as (port, process):
        yield Running(
            system,
            port,
            process,
            PRODUCT_WIRE,
            rooms,
            lambda room, token: f"/ws/chat/group/{room}/?token={token}",
            tokens,
        )


def _raw(system: System, rooms: list[Room], folder: Path) -> Iterator[Running]:
    command = asgi(system.server, "tests.benchmarks.peers.raw:application")
    with served(command, dict(os.environ), folder / "log") as (port, process):
        yield Running(system, port, process, RAW_WIRE, rooms, lambda room, _: f"/{room}/", {})


def _blaster(system: System, rooms: list[Room], folder: Path) -> Iterator[Running]:
    command = [sys.executable, "-m", "tests.benchmarks.peers.blaster", PORT]
    with served(command, dict(os.environ), folder / "log") as (port, process):
        yield Running(system, port, process, RAW_WIRE, rooms, lambda room, _: f"/{room}/", {})


def _standard(system: System, rooms: list[Room], folder: Path) -> Iterator[Running]:
    layer = {"standard-redis": "core", "standard-pubsub": "pubsub"}.get(system.name, "memory")
    kind = "stored" if system.name == "standard-orm" else "chat"
    with nullcontext("") if layer == "memory" else redis.serving(folder) as url:
        variables = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.peers.standard.settings",
            "DATABASE": str(folder / "standard.sqlite3"),
            "LAYER": layer,
            "REDIS": url,
        }
        run([sys.executable, "-m", "django", "migrate", "--run-syncdb", "-v0"], variables)
        command = asgi(system.server, "tests.benchmarks.peers.standard.asgi:application")
        with served(command, variables, folder / "log") as (port, process):
            yield Running(
                system,
                port,
                process,
                STANDARD_WIRE,
                rooms,
                lambda room, _: f"/{kind}/{room}/",
                {},
            )


def _socketio(system: System, rooms: list[Room], folder: Path) -> Iterator[Running]:
    stores = system.name == "socketio-insert"
    command = [*node.command(stores=stores), PORT]
    if stores:
        command.append(str(folder / "socketio.sqlite3"))
    with served(command, node.environment(), folder / "log") as (port, process):
        yield Running(
            system,
            port,
            process,
            SOCKETIO_WIRE,
            rooms,
            lambda room, _: f"/socket.io/?EIO=4&transport=websocket&room={room}",
            {},
        )


Maker = Callable[[System, list[Room], Path], Iterator[Running]]
MAKERS: dict[str, Maker] = {
    PRODUCT: _product,
    "raw": _raw,
    "blaster": _blaster,
    "standard": _standard,
    "standard-orm": _standard,
    "standard-redis": _standard,
    "standard-pubsub": _standard,
    "socketio": _socketio,
    "socketio-insert": _socketio,
}
