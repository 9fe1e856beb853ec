"""Measures REST against a bare Ninja endpoint and another checkout.

`python -m tests.benchmarks rest`, or alone with options of its own: `python -m
tests.benchmarks.rest --against ../before --rows history,send`.
"""

import argparse
import base64
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil

from tests.servers import RELAXED, ROOT, SECRET_KEY

from . import cpu_affinity
from .load import CACHE
from .processes import cpu, run, served
from .startup import asgi
from .systems import PRODUCT, System

NINJA, BEFORE = "ninja", "before"
RATE = "requests/s"
BOUNDS = {
    "empty": 0.9,
    "history": 1.2,
    "my_rooms_20": 0.9,
    "my_rooms_200": 1.2,
    "send_1": 2.0,
    "send_32": 3.0,
    "login": 0.8,
}
"""Times the rate of the bare Ninja endpoint, at least."""
CONNECTIONS = 8
FEW_ROOMS, MANY_ROOMS = 20, 200
HISTORY = 20_000
"""Messages of the room whose history is read."""
PASSWORD = "a-password-for-measuring"


@dataclass(frozen=True)
class Site:
    """How much the database holds. Users and messages are spread over the rooms."""

    users: int = 100_000
    rooms: int = 10_000
    messages: int = 200_000


@dataclass(frozen=True)
class Seeded:
    """Holds a filled database, and tokens of users.

    They are those of each room's first user, by the number of the room.
    """

    database: Path
    tokens: list[str]
    user_ids: list[int]


@dataclass(frozen=True)
class Row:
    """One kind of request. `product` and `peer` make the requests of connection n."""

    work: str
    product: Callable[[Seeded, int], list[str]]
    peer: Callable[[Seeded, int], list[str]]
    connections: int = CONNECTIONS
    status: int = 200


def _request(method: str, path: str, token: str = "", body: Any = None) -> str:
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if token:
        head.append(f"Authorization: Bearer {token}")
    text = ""
    if body is not None:
        text = json.dumps(body)
        head += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    return "\r\n".join([*head, "", text])


def _history_paths(number: int) -> list[str]:
    befores = range(HISTORY - 400 * number, 400, -1999)
    return [f"/api/rooms/1/messages?before={before}&limit=50" for before in befores]


def _history(site: Seeded, number: int) -> list[str]:
    return [_request("GET", path, site.tokens[number]) for path in _history_paths(number)]


def _history_of_peer(site: Seeded, number: int) -> list[str]:
    return [_request("GET", path) for path in _history_paths(number)]


def _my_rooms(count: int) -> tuple[Callable[..., list[str]], Callable[..., list[str]]]:
    """The first eight users have few rooms, the next eight have many."""
    first = 0 if count == FEW_ROOMS else CONNECTIONS

    def product(site: Seeded, number: int) -> list[str]:
        path = f"/api/my-rooms?limit={count}"
        return [_request("GET", path, site.tokens[first + number])]

    def peer(site: Seeded, number: int) -> list[str]:
        return [_request("GET", f"/api/rooms/of/{site.user_ids[first + number]}?limit={count}")]

    return product, peer


def _send(site: Seeded, number: int) -> list[str]:
    """Each connection in a room of its own, as its only sender."""
    body = {"content": "about as long as a message usually is, give or take"}
    path = f"/api/rooms/{100 + number}/messages"
    return [_request("POST", path, site.tokens[99 + number], body)]


def _send_of_peer(site: Seeded, number: int) -> list[str]:
    body = {"content": "about as long as a message usually is, give or take"}
    return [_request("POST", f"/api/rooms/{100 + number}/messages", body=body)]


def _login(site: Seeded, number: int) -> list[str]:
    body = {"username": f"room{number}-0", "password": PASSWORD}
    return [_request("POST", "/api/login", body=body)]


def _users(site: Seeded, number: int) -> list[str]:
    return [_request("GET", "/api/users?q=room&limit=50", site.tokens[number])]


ROWS = {
    "empty": Row(
        "empty response",
        lambda site, number: [_request("GET", "/healthz")],
        lambda site, number: [_request("GET", "/api/empty")],
    ),
    "history": Row("history page of 50", _history, _history_of_peer),
    "my_rooms_20": Row("my-rooms of 20", *_my_rooms(FEW_ROOMS)),
    "my_rooms_200": Row("my-rooms of 200", *_my_rooms(MANY_ROOMS)),
    "send_1": Row("send, 1 connection", _send, _send_of_peer, 1, 201),
    "send_32": Row("send, 32 connections", _send, _send_of_peer, 32, 201),
    "login": Row("login, hash of 1 iteration", _login, _login),
    "users": Row(
        "users?q= that all names match",
        _users,
        lambda site, number: [_request("GET", "/api/users?q=room&limit=50")],
    ),
}


@contextmanager
def seeded(site: Site, folder: Path) -> Iterator[Seeded]:
    """Seeds once for each size and state of the tables: the file is kept."""
    kept = CACHE / f"rest-{site.users}-{site.rooms}-{site.messages}-{_digest_of_migrations()}"
    if not (kept / "tokens.json").exists():
        seed_site(site, kept)
    tokens, ids = json.loads((kept / "tokens.json").read_text())
    yield Seeded(kept / "chat.sqlite3", tokens, ids)


def _digest_of_migrations() -> str:
    digest = hashlib.sha256()
    for file in sorted(ROOT.glob("*/migrations/*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def seed_site(site: Site, folder: Path) -> None:
    """Makes `chat.sqlite3` and `tokens.json` in a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    variables = _variables(folder / "chat.sqlite3")
    run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], variables)
    each, some = site.users // site.rooms, (site.messages - HISTORY) // site.rooms
    plan = [[f"room{n}", each, some if n else HISTORY] for n in range(site.rooms)]
    tokens = json.loads(
        run([sys.executable, "-m", "tests.benchmarks.seed"], variables, json.dumps(plan))
    )
    ids = _complete(folder / "chat.sqlite3")
    firsts = [tokens[name][0] for name, *_ in plan[:400]]
    (folder / "tokens.json").write_text(json.dumps([firsts, ids]))


def _complete(database: Path) -> list[int]:
    """Passwords, and more rooms for some users: what `seed` does not make."""
    digest = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), b"salt", 1)
    password = f"pbkdf2_sha256$1$salt${base64.b64encode(digest).decode()}"
    # Closing writes the log into the file, which is then copied alone.
    with closing(sqlite3.connect(database)) as db, db:
        db.execute(
            "UPDATE accounts_user SET password = ? WHERE username LIKE 'room_-0'", [password]
        )
        ids = [
            db.execute("SELECT id FROM accounts_user WHERE username = ?", [f"room{n}-0"]).fetchone()
            for n in range(400)
        ]
        plain = [pk for (pk,) in ids]
        for number in range(2 * CONNECTIONS):
            count = FEW_ROOMS if number < CONNECTIONS else MANY_ROOMS
            # Also the first room, whose history they read.
            rooms = {1, number + 1, *range(150, 150 + count)}
            for room in sorted(rooms)[:count]:
                db.execute(
                    "INSERT INTO rooms_member (room_id, user_id, role, last_read_seq,"
                    " delivered_seq, muted, notify, joined_at)"
                    " VALUES (?, ?, 'member', 0, 0, FALSE, 'all', '2026-01-01 00:00:00')"
                    " ON CONFLICT (room_id, user_id) DO NOTHING",
                    [room, plain[number]],
                )
        db.execute("ANALYZE")
    return plain


def _variables(database: Path) -> dict[str, str]:
    return (
        os.environ
        | RELAXED
        | {
            "DATABASE_URL": f"sqlite:///{database}",
            "SECRET_KEY": SECRET_KEY,
            "DEBUG": "0",
            "ALLOWED_HOSTS": "127.0.0.1",
            "LOG_LEVEL": "INFO",
            "CHAT_REQUESTS_PER_USER": "off",
            # A year: the tokens are kept with the file.
            "CHAT_ACCESS_TOKEN_MINUTES": "525600",
        }
    )


@contextmanager
def _serving(name: str, site: Seeded, folder: Path, against: Path | None) -> Iterator["Serving"]:
    """Each system has a copy of the database, so that none sees what another wrote."""
    database = folder / f"{name}.sqlite3"
    shutil.copy(site.database, database)
    variables = _variables(database)
    if name == NINJA:
        variables["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.peers.ninja.settings"
        run([sys.executable, "-m", "django", "migrate", "--run-syncdb", "-v0"], variables)
        command = asgi("uvicorn", "tests.benchmarks.peers.ninja.asgi:application")
    else:
        command = asgi("uvicorn", "config.asgi:application")
        if name == BEFORE:
            command[-1:-1] = ["--app-dir", str(against)]
    with served(command, variables, folder / f"{name}.log") as (port, process):
        # The first request loads the URLs and all that they import.
        httpx.get(f"http://127.0.0.1:{port}{'/api/empty' if name == NINJA else '/healthz'}")
        yield Serving(name, port, process)


@dataclass(frozen=True)
class Serving:
    name: str
    port: int
    process: psutil.Process


@contextmanager
def _load() -> Iterator[Callable[[dict[str, Any], psutil.Process], tuple[float, float]]]:
    """Runs a process on the core of the load.

    Called, it returns requests/s and CPU ms of each.
    """
    with cpu_affinity.pinned(cpu_affinity.LOAD):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.rest_load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    given, answered = process.stdin, process.stdout
    assert given is not None
    assert answered is not None

    def measure(plan: dict[str, Any], server: psutil.Process) -> tuple[float, float]:
        given.write(json.dumps(plan) + "\n")
        given.flush()
        answered.readline()
        before = cpu(server)
        answer = json.loads(answered.readline())
        if "failed" in answer:
            raise RuntimeError(f"{server}: {answer}, of {plan['clients'][0][0]}")
        spent = cpu(server) - before
        return answer["answers"] / answer["seconds"], spent / max(answer["answers"], 1) * 1000

    try:
        yield measure
    finally:
        given.close()
        process.wait(10)


def measure(
    rows: list[str],
    note: Callable[[Row, str, float, float], None],
    *,
    site: Site,
    rounds: int,
    seconds: float,
    against: Path | None = None,
    peer: bool = True,
) -> None:
    """Measures the rows in turn on all systems, round by round."""
    CACHE.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="rest-run-", dir=CACHE)))
        filled = stack.enter_context(seeded(site, folder))
        names = [PRODUCT, *([NINJA] if peer else []), *([BEFORE] if against else [])]
        systems = [stack.enter_context(_serving(one, filled, folder, against)) for one in names]
        send = stack.enter_context(_load())
        for row in (ROWS[name] for name in rows):
            for _ in range(rounds):
                for one in systems:
                    make = row.peer if one.name == NINJA else row.product
                    plan = {
                        "port": one.port,
                        "status": 200 if one.name == NINJA and row.status == 200 else row.status,
                        "seconds": seconds,
                        "clients": [make(filled, n) for n in range(row.connections)],
                    }
                    note(row, one.name, *send(plan, one.process))


def rest(bench: Any) -> None:
    """Measures REST by one closed loop per connection.

    The peer is a bare Ninja endpoint.
    """

    def note(row: Row, name: str, rate: float, cost: float) -> None:
        system = System(name, "uvicorn")
        bench.add(row.work, RATE, system, rate, 1000 / max(cost, 1e-6))

    site = Site(2_000, 400, 24_000) if bench.quick else Site()
    measure(list(ROWS), note, site=site, rounds=bench.rounds, seconds=bench.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rest", description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout, measured as `before`")
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--no-peer", action="store_true")
    for name in ("users", "rooms", "messages"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Site(), name))
    options = parser.parse_args()
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}

    def note(row: Row, name: str, rate: float, cost: float) -> None:
        found.setdefault(row.work, {}).setdefault(name, []).append((rate, cost))

    measure(
        options.rows.split(","),
        note,
        site=Site(options.users, options.rooms, options.messages),
        rounds=options.rounds,
        seconds=options.seconds,
        against=options.against,
        peer=not options.no_peer,
    )
    print(_table(found))


def _table(found: dict[str, dict[str, list[tuple[float, float]]]]) -> str:
    """Holds medians of requests/s and CPU ms, and the ratio to the peer."""
    lines = ["| | System | Requests/s | CPU ms | Product is |", "|---|---|---:|---:|---:|"]
    for work, systems in found.items():
        own = median(rate for rate, _ in systems[PRODUCT])
        for name, values in systems.items():
            rate, cost = (median(one) for one in zip(*values, strict=True))
            ratio = "" if name == PRODUCT else f"{own / rate:.2f} ×"
            lines.append(f"| {work} | {name} | {rate:,.0f} | {cost:.2f} | {ratio} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
