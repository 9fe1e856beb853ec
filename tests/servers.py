"""Runs real servers for tests: `manage.py migrate`, then daphne or uvicorn."""

import atexit
import functools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from .forkserver import Program

ROOT = Path(__file__).resolve().parent.parent
SECRET_KEY = "a-key-for-tests-that-is-long-enough-to-be-taken"
# Limits off and cheap passwords: tests of limits switch them on again. No .env: it may
# name a Redis and a Sentry that are in use.
RELAXED = {
    "DEBUG": "1",
    "SECRET_KEY": SECRET_KEY,
    "ENV_FILE": os.devnull,
    "REDIS_URL": "",
    "LOG_LEVEL": "WARNING",
    "CHAT_PASSWORD_ITERATIONS": "1",
    "CHAT_DRAIN_DELAY": "0.1",
    "CHAT_REGISTER_RATE": "off",
    "CHAT_LOGIN_RATE": "off",
    "CHAT_LOGIN_NAME_RATE": "off",
    "CHAT_MESSAGE_RATE": "off",
    "CHAT_FRAME_RATE": "off",
    "CHAT_ROOM_RATE": "off",
    "CHAT_JOIN_RATE": "off",
    "CHAT_READ_RATE": "off",
    "CHAT_WRITE_RATE": "off",
    "CHAT_REFRESH_RATE": "off",
    "CHAT_SOCKETS_PER_USER": "off",
    "CHAT_PENDING_PER_ADDRESS": "off",
    "CHAT_CONNECT_RATE": "off",
    "CHAT_TYPING_RATE": "off",
    "CHAT_UPLOAD_RATE": "off",
}
COMMANDS = {
    "daphne": ["-m", "daphne", "--websocket-max-message-size", "262144", "-b", "127.0.0.1", "-p"],
    "uvicorn": [
        *("-m", "uvicorn", "--ws", "websockets-sansio", "--loop", "uvloop"),
        *("--ws-max-size", "262144", "--ws-per-message-deflate", "false"),
        *("--timeout-graceful-shutdown", "15", "--no-proxy-headers", "--log-level", "warning"),
        *("--host", "127.0.0.1", "--port"),
    ],
}
# As `make serve WORKERS=2` runs it: both workers on one port. Tests freeze a worker for longer than
# the 5 s without a sign of life after which uvicorn would kill it.
COMMANDS["workers"] = [
    *COMMANDS["uvicorn"][:2],
    *("--workers", "2", "--timeout-worker-healthcheck", "60"),
    *COMMANDS["uvicorn"][2:],
]
# Without options, as in the README.
COMMANDS["plain daphne"] = ["-m", "daphne", "-p"]
COMMANDS["plain uvicorn"] = ["-m", "uvicorn", "--port"]
COMMANDS["runserver"] = ["manage.py", "runserver", "--noreload"]
# The same with uvicorn's access log.
COMMANDS["loud"] = [part for part in COMMANDS["uvicorn"] if part not in ("--log-level", "warning")]
STARTS_TIMEOUT = 60.0


def start_program(
    arguments: Sequence[str], environment: dict[str, str], output: Path, errors: Path | None = None
) -> Program | subprocess.Popen[bytes]:
    """Starts `python <arguments>`; in a test from the fork server, which is faster."""
    # A path is read by an interpreter that starts.
    starts_python = environment.get("PYTHONPATH") != os.environ.get("PYTHONPATH")
    if "PYTEST_VERSION" in os.environ and not starts_python:
        return Program(arguments, environment, output, errors or output)
    with output.open("ab") as out, (errors or output).open("ab") as err:
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=out, stderr=err
        )


@dataclass
class Server:
    """A running server; the file `log` holds its output."""

    kind: str
    port: int
    environment: dict[str, str]
    log: Path
    application: str = "config.asgi:application"
    process: Program | subprocess.Popen[bytes] = field(init=False)

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        application = [self.application] if self.kind != "runserver" else []
        command = [*COMMANDS[self.kind], str(self.port), *application]
        self.process = start_program(command, self.environment, self.log)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + STARTS_TIMEOUT
        # One client without certificates: reading them for each question took half as much
        # processor time as the server's own start.
        with httpx.Client(base_url=self.http, timeout=2, verify=False) as http:
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    break
                try:
                    if http.get("/readyz").status_code == 200:
                        return
                except httpx.HTTPError:
                    time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{self.kind} did not start: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """Kills it (kill -9), as a power cut does."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, within: float = 20.0) -> None:
        """Sends SIGTERM, as a deployment does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(within)
            except subprocess.TimeoutExpired:
                self.kill()


def free_port() -> int:
    """Returns a port below the kernel's client range, which no client takes."""
    while True:
        port = random.randrange(10_240, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Returns the variables of a server on this folder's database.

    `settings` override them.
    """
    places = {
        "DATABASE_URL": f"sqlite:///{folder / 'chat.sqlite3'}",
        "MEDIA_ROOT": str(folder / "media"),
    }
    return os.environ | RELAXED | places | settings


def manage(environment: dict[str, str], *arguments: str) -> str:
    """Runs a management command and returns its output."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder) / "output", Path(folder) / "errors"
        program = start_program(["manage.py", *arguments], environment, output, errors)
        try:
            program.wait(120)
        finally:
            program.kill()
        if program.returncode:
            raise RuntimeError(f"manage.py {arguments} failed: {errors.read_text()[-2000:]}")
        return output.read_text()


@functools.cache
def _migrated() -> Path:
    """Returns an empty migrated database: copying it costs a tenth of migrating."""
    folder = Path(tempfile.mkdtemp(prefix="chat-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    manage(environment(folder), "migrate", "--verbosity", "0")
    return folder / "chat.sqlite3"


def prepare_database(folder: Path, variables: dict[str, str]) -> None:
    """Prepares the database of `variables`: a copy for SQLite, else migrations."""
    if variables["DATABASE_URL"].startswith("sqlite"):
        shutil.copy(_migrated(), folder / "chat.sqlite3")
    else:
        manage(variables, "migrate", "--verbosity", "0")


@contextmanager
def serving(kind: str, folder: Path, **settings: str) -> Iterator[Server]:
    """Yields a server with a fresh database in `folder`."""
    with serving_together([kind], folder, **settings) as (server,):
        yield server


@contextmanager
def serving_together(kinds: Sequence[str], folder: Path, **settings: str) -> Iterator[list[Server]]:
    """Yields several servers on one database."""
    variables = environment(folder, **settings)
    prepare_database(folder, variables)
    with ExitStack() as stack:
        servers = []
        for number, kind in enumerate(kinds):
            server = Server(kind, free_port(), variables, folder / f"{kind}{number}.log")
            server.start()
            stack.callback(server.stop)
            servers.append(server)
        yield servers
