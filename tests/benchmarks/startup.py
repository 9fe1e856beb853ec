"""Starts each system: a database, Redis for some, and its processes."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.servers import COMMANDS, RELAXED, ROOT, SECRET_KEY

from . import node, redis
from .postgres import Postgres
from .processes import PORT, run, served
from .systems import (
    BEFORE,
    POSTGRESQL,
    PRODUCT,
    PRODUCT_WIRE,
    RAW_WIRE,
    SOCKETIO_WIRE,
    STANDARD_WIRE,
    WORKERS,
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
    before: Path | None
    """The checkout that BEFORE is."""


Maker = Callable[[System, list[Room], Ground], Iterator[Running]]


@contextmanager
def running(
    system: System,
    rooms: list[Room],
    folder: Path,
    postgres: Callable[[], Postgres],
    before: Path | None = None,
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
        ground = Ground(folder, database_url, redis_url, before)
        make = contextmanager(MAKERS[system.name])
        one = stack.enter_context(make(system, rooms, ground))
        one.helpers = helpers
        yield one


def asgi(server: str, application: str, workers: int = 1) -> list[str]:
    """With the server's own log, as in production."""
    several = ["--workers", str(workers)] if server == WORKERS else []
    command = COMMANDS["loud" if server in ("uvicorn", WORKERS) else server]
    return [sys.executable, *command, PORT, *several, application]


LOGS = {"LOG_LEVEL": "INFO", "CHAT_LOG_FORMAT": "json"}
"""As in production. All that a system prints goes to a file."""


def _product(system: System, rooms: list[Room], ground: Ground) -> Iterator[Running]:
    checkout = ROOT if system.name == PRODUCT or ground.before is None else ground.before
    variables = (
        os.environ
        | _relaxed(checkout)
        | LOGS
        | {
            "DATABASE_URL": ground.database_url,
            "REDIS_URL": ground.redis_url,
            "SECRET_KEY": SECRET_KEY,
            "MEDIA_ROOT": str(ground.folder / "media"),
            "DEBUG": "0",
            "ALLOWED_HOSTS": "127.0.0.1",
        }
    )
    run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], variables, folder=checkout)
    plan = json.dumps([[room.name, room.members, room.messages] for room in rooms])
    seed = [sys.executable, "-m", "tests.benchmarks.seed"]
    tokens = json.loads(run(seed, variables, plan, checkout))
    command = asgi(system.server, "config.asgi:application", system.processes)
    with ExitStack() as stack:
        started = [
            stack.enter_context(served(command, variables, ground.folder / "log", folder=checkout))
            for _ in range(1 if system.server == WORKERS else system.processes)
        ]
        yield Running(
            system,
            [port for port, _ in started],
            [process for _, process in started],
            PRODUCT_WIRE,
            rooms,
            lambda room, token: f"/ws/chat/group/{room}/?token={token}",
            tokens,
            variables,
        )


def _relaxed(checkout: Path) -> dict[str, str]:
    """Another checkout may have other names for its settings."""
    if checkout == ROOT:
        return RELAXED
    code = "import json; from tests.servers import RELAXED; print(json.dumps(RELAXED))"
    relaxed: dict[str, str] = json.loads(
        run([sys.executable, "-c", code], dict(os.environ), folder=checkout)
    )
    return relaxed


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
    BEFORE: _product,
    "raw": _raw,
    "blaster": _blaster,
    "standard": _standard,
    "standard-orm": _standard,
    "standard-redis": _standard,
    "standard-pubsub": _standard,
    "socketio": _socketio,
    "socketio-insert": _socketio,
}
