"""Starts each system: a database, Redis for some, and processes on the server's core."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.servers import COMMANDS, RELAXED, SECRET_KEY

from . import node, redis
from .postgres import Postgres
from .processes import PORT, run, served
from .systems import (
    POSTGRESQL,
    PRODUCT,
    PRODUCT_WIRE,
    RAW_WIRE,
    SOCKETIO_WIRE,
    STANDARD_WIRE,
    Room,
    Running,
    System,
)

LAYERS = {"standard-redis": "core", "standard-pubsub": "pubsub"}


@dataclass(frozen=True)
class Ground:
    """Folder, database and Redis of a system."""

    folder: Path
    database_url: str
    redis_url: str


Maker = Callable[[System, list[Room], Ground], Iterator[Running]]


@contextmanager
def running(
    system: System, rooms: list[Room], folder: Path, postgres: Callable[[], Postgres]
) -> Iterator[Running]:
    """Yields a running system. Raises Missing when a peer cannot run here."""
    helpers: dict[str, psutil.Process] = {}
    database_url, redis_url = f"sqlite:///{folder / 'chat.sqlite3'}", ""
    with ExitStack() as stack:
        if system.database == POSTGRESQL:
            helpers["PostgreSQL"] = postgres().process
            database_url = postgres().server.new_database()
        if system.redis or system.name in LAYERS:
            redis_url, helpers["Redis"] = stack.enter_context(redis.serving(folder))
        ground = Ground(folder, database_url, redis_url)
        make = contextmanager(MAKERS[system.name])
        one = stack.enter_context(make(system, rooms, ground))
        one.helpers = helpers
        yield one


def asgi(server: str, application: str) -> list[str]:
    return [sys.executable, *COMMANDS[server], PORT, application]


def _product(system: System, rooms: list[Room], ground: Ground) -> Iterator[Running]:
    variables = (
        os.environ
        | RELAXED
        | {
            "DATABASE_URL": ground.database_url,
            "REDIS_URL": ground.redis_url,
            "SECRET_KEY": SECRET_KEY,
            "DEBUG": "0",
            "ALLOWED_HOSTS": "127.0.0.1",
        }
    )
    run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], variables)
    plan = json.dumps([[room.name, room.members, room.messages] for room in rooms])
    tokens = json.loads(run([sys.executable, "-m", "tests.benchmarks.seed"], variables, plan))
    command = asgi(system.server, "config.asgi:application")
    with ExitStack() as stack:
        started = [
            stack.enter_context(served(command, variables, ground.folder / "log"))
            for _ in range(system.processes)
        ]
        yield Running(
            system,
            [port for port, _ in started],
            [process for _, process in started],
            PRODUCT_WIRE,
            rooms,
            lambda room, token: f"/ws/chat/group/{room}/?token={token}",
            tokens,
        )


def _raw(system: System, rooms: list[Room], ground: Ground) -> Iterator[Running]:
    command = asgi(system.server, "tests.benchmarks.peers.raw:application")
    with served(command, dict(os.environ), ground.folder / "log") as (port, process):
        yield Running(system, [port], [process], RAW_WIRE, rooms, lambda room, _: f"/{room}/")


def _blaster(system: System, rooms: list[Room], ground: Ground) -> Iterator[Running]:
    command = [sys.executable, "-m", "tests.benchmarks.peers.blaster", PORT]
    with served(command, dict(os.environ), ground.folder / "log") as (port, process):
        yield Running(system, [port], [process], RAW_WIRE, rooms, lambda room, _: f"/{room}/")


def _standard(system: System, rooms: list[Room], ground: Ground) -> Iterator[Running]:
    kind = "stored" if system.name == "standard-orm" else "chat"
    variables = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.peers.standard.settings",
        "DATABASE_URL": ground.database_url,
        "LAYER": LAYERS.get(system.name, "memory"),
        "REDIS": ground.redis_url,
    }
    run([sys.executable, "-m", "django", "migrate", "--run-syncdb", "-v0"], variables)
    command = asgi(system.server, "tests.benchmarks.peers.standard.asgi:application")
    with served(command, variables, ground.folder / "log") as (port, process):
        yield Running(
            system,
            [port],
            [process],
            STANDARD_WIRE,
            rooms,
            lambda room, _: f"/{kind}/{room}/",
        )


def _socketio(system: System, rooms: list[Room], ground: Ground) -> Iterator[Running]:
    stores = system.name == "socketio-insert"
    command = [*node.command(stores=stores), PORT]
    if stores:
        command.append(str(ground.folder / "socketio.sqlite3"))
    with served(command, node.environment(), ground.folder / "log") as (port, process):
        yield Running(
            system,
            [port],
            [process],
            SOCKETIO_WIRE,
            rooms,
            lambda room, _: f"/socket.io/?EIO=4&transport=websocket&room={room}",
        )


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
