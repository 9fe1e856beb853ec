"""Starts, pins, awaits and ends the processes of the benchmarks."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.servers import ROOT, free_port

from . import cpu_affinity

STARTS_TIMEOUT = 30.0
PORT = "PORT"
"""Placeholder in a command for the port to listen on."""


class Missing(Exception):
    """A peer cannot run here; the text is the reason."""


def run(
    command: list[str],
    environment: dict[str, str],
    given: str = "",
    folder: Path = ROOT,
    timeout: float = 300,
) -> str:
    """Runs a command that must succeed; returns its output."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def served(
    command: list[str],
    environment: dict[str, str],
    log: Path,
    core: set[int] = cpu_affinity.SERVER,
    folder: Path = ROOT,
) -> Iterator[tuple[int, psutil.Process]]:
    """Yields port and process of a listening server."""
    port = free_port()
    with log.open("ab") as output, cpu_affinity.pinned(core):
        process = subprocess.Popen(
            [str(port) if part == PORT else part for part in command],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        _wait_for(process, port, log)
        yield port, psutil.Process(process.pid)
    finally:
        _end(process)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + STARTS_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start: {log.read_text()[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def cpu(process: psutil.Process) -> float:
    """CPU seconds of a process, its threads, and its running and ended children."""
    try:
        times = process.cpu_times()
        own = times.user + times.system + times.children_user + times.children_system
        return float(own) + sum(cpu(child) for child in process.children())
    except psutil.NoSuchProcess:
        return 0.0
