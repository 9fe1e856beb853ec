"""Generates the load of all clients, in a process and on a core of its own.

It is `load.c`, compiled when first needed; without a C compiler, `python_load.py` takes the same
commands at a fraction of the speed. Every result holds how busy it was, to show that it was not the
limit.
"""

import hashlib
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.servers import ROOT

from . import cpu_affinity

CACHE = ROOT / ".bench"
SOURCE = Path(__file__).with_name("load.c")
PYTHON_LOAD = "tests.benchmarks.python_load"
TEXT = 60
"""Characters of a message, about as people write."""
IN_FLIGHT = 48
"""Connections opened at a time.

Daphne's listen backlog is 50: the kernel drops more, and clients retry them a second later.
"""


@dataclass(frozen=True)
class Wire:
    """The frames of a system and of its clients.

    In `frame`, $T is the text and $I an unused number. `answered` begins the frame after which a
    sender continues. `envelope` is the size of a delivered frame without its text.
    """

    frame: str
    delivery: str
    answered: str
    envelope: int
    ready: str = ""
    hello: str = ""
    ping: str = ""
    pong: str = ""

    def commands(self) -> Iterable[str]:
        for name in ("frame", "delivery", "ready", "hello", "ping", "pong"):
            if getattr(self, name):
                yield f"{name} {getattr(self, name)}"
        yield f"answer {self.answered}"


@dataclass(frozen=True)
class Client:
    port: int
    path: str
    sends: bool


class Receipt(NamedTuple):
    """A client (its index) received the message of time `sent` after `after` ns."""

    client: int
    sent: int
    after: int


class LoadError(Exception):
    """The load generator failed or gave no answer."""


class Load:
    """`with Load(wire, clients, padding=60) as load: load.open(); load.closed(1, 3)`."""

    def __init__(
        self,
        wire: Wire,
        clients: list[Client],
        *,
        padding: int,
        in_flight: int = IN_FLIGHT,
        offers_compression: bool = False,
    ) -> None:
        self._settings = [
            f"padding {padding}",
            f"in_flight {in_flight}",
            f"offers {int(offers_compression)}",
            *wire.commands(),
            *_introduced(clients),
        ]

    def __enter__(self) -> Self:
        with cpu_affinity.pinned(cpu_affinity.LOAD):
            self._process = subprocess.Popen(
                command(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )
        self._send(*self._settings)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def open(self, within: float = 120) -> dict[str, Any]:
        """Connects every client.

        Returns `entered`, `lost`, `compressed`, `seconds`.
        """
        return self._ask(f"open {within}", within)

    def closed(self, warm: float, seconds: float, *, strict: bool = False) -> dict[str, Any]:
        """Each sender sends the next message after the answer to the last.

        A `strict` loop has one sender, which waits until every client has the last message.

        `deliveries`, `answers`, `bytes` and `busy` (the generator's own CPU seconds) of the
        `seconds` after warming up; `all_deliveries` and `all_answers` of the whole command.
        """
        return self._ask(f"{'strict' if strict else 'closed'} {warm} {seconds}", warm + seconds)

    def paced(self, rate: float, total: int, patience: float = 5) -> dict[str, Any]:
        """Sends at a fixed rate.

        Returns `p50`, `p99`, `max` seconds from sending to each delivery.
        """
        return self._ask(f"paced {rate} {total} {patience}", total / rate + patience)

    def receipts(self) -> list[Receipt]:
        """Returns all deliveries of the last `paced`."""
        return [Receipt(*each) for each in self._ask("receipts", 10)["receipts"]]

    def _send(self, *lines: str) -> None:
        assert self._process.stdin is not None
        data = memoryview("".join(f"{line}\n" for line in lines).encode())
        with suppress(BrokenPipeError):
            while data:
                data = data[self._process.stdin.write(data) or 0 :]

    def _ask(self, line: str, within: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        self._send(line)
        if not select.select([self._process.stdout], [], [], within + 30)[0]:
            raise LoadError(f"No answer to {line!r}")
        answer: dict[str, Any] = json.loads(self._process.stdout.readline() or b"{}")
        if "error" in answer or not answer:
            raise LoadError(f"{line!r} was answered with {answer}")
        return answer


def _introduced(clients: list[Client]) -> Iterable[str]:
    """A client connects to the port that was named last before it."""
    port = 0
    for client in clients:
        if client.port != port:
            port = client.port
            yield f"port {port}"
        yield f"client {int(client.sends)} {client.path}"


def command() -> list[str]:
    """Returns the generator's command; SLOW_LOAD=1 chooses the one in Python."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sys.platform != "linux" or os.environ.get("SLOW_LOAD"):
        return [sys.executable, "-m", PYTHON_LOAD]
    return [str(_compiled(compiler))]


def _compiled(compiler: str) -> Path:
    program = CACHE / f"load-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}"
    if not program.exists():
        CACHE.mkdir(exist_ok=True)
        subprocess.run([compiler, "-O2", "-o", str(program), str(SOURCE)], check=True, timeout=120)
    return program
