"""Runs one PostgreSQL on the load's core, with a database for each system."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.postgres_server import PostgresServer, postgres_running

from . import cpu_affinity


@dataclass
class Postgres:
    server: PostgresServer
    process: psutil.Process
    """The postmaster; its children serve the connections."""


@contextmanager
def serving() -> Iterator[Postgres]:
    """Uses default settings: every commit waits for the disk."""
    with ExitStack() as stack:
        with cpu_affinity.pinned(cpu_affinity.LOAD):
            server = stack.enter_context(postgres_running())
        lock = Path(server.folder, "postmaster.pid").read_text()
        yield Postgres(server, psutil.Process(int(lock.split("\n", 1)[0])))
