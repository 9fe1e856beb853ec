"""Starts the Python programs of tests from a process that has loaded the libraries already.

Importing Django, Twisted and pydantic takes half of the start of a server, and `make test` starts
about a hundred. Here one process for each worker of pytest imports them once and forks. The
project's own modules are loaded after the fork, with the variables of that server. Benchmarks and
`make faults` start `python` itself, as a user does; so do the tests of the README and of
deployment.
"""

import atexit
import functools
import gc
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Nothing that reads settings or makes an event loop while it is imported: `daphne.server` does.
LIBRARIES = (
    *("django.core.asgi", "django.db.migrations.executor", "django.test.client"),
    *("django.contrib.admin.sites", "django.db.backends.sqlite3.base"),
    *("psycopg", "django.db.backends.postgresql.base", "cryptography.x509", "jwt", "injector"),
    *("pydantic.networks", "redis.asyncio", "channels_redis.pubsub", "channels.routing"),
    *("prometheus_client", "yaml", "fontTools.unicodedata", "servestatic", "puremagic", "h11"),
    *("twisted.web.http", "twisted.internet.ssl", "autobahn.websocket.protocol"),
    *("uvicorn.main", "uvloop", "httptools", "websockets.asyncio.server"),
)


class ForkServer:
    """The process that has the libraries. It starts one program for each request."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forkserver"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._lock = threading.Lock()
        self._number = 0
        atexit.register(self.close)

    def ask(self, *request: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._number += 1
            self._process.stdin.write(json.dumps([self._number, *request]).encode() + b"\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                number, answer = map(int, line.split())
                if number == self._number:  # not one that a test's timeout left
                    return answer
        raise RuntimeError("The fork server has ended")

    def close(self) -> None:
        self._process.communicate(timeout=10)


fork_server = functools.cache(ForkServer)


class Program:
    """A running Python program, with the part of `subprocess.Popen` that tests use."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: Path, errors: Path
    ) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self._waiting = threading.Lock()
        output.touch()  # a reader may come before the program
        self.pid = fork_server().ask(
            "start", list(arguments), dict(environment), str(output), str(errors)
        )
        self._ended = os.pidfd_open(self.pid)

    def poll(self) -> int | None:
        return self._wait(0)

    def wait(self, timeout: float | None = None) -> int:
        """Raises `subprocess.TimeoutExpired` after `timeout` seconds."""
        returncode = self._wait(timeout)
        if returncode is None:
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
        return returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._ended, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _wait(self, timeout: float | None) -> int | None:
        with self._waiting:
            if self.returncode is None and _is_readable(self._ended, timeout):
                self.returncode = fork_server().ask("wait", self.pid)
                os.close(self._ended)
            return self.returncode


def _is_readable(descriptor: int, timeout: float | None) -> bool:
    """Waits with poll: select refuses descriptors above 1,023, and tests open many sockets."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))


def main() -> None:
    """Answers each request with a line: the id of the new process, or how a process ended."""
    for name in LIBRARIES:
        import_module(name)
    # A collection in a program need not walk the libraries, nor copy their memory by that.
    gc.collect()
    gc.freeze()
    # Ctrl-C is for the programs: this process ends with the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    running: set[int] = set()
    for line in sys.stdin.buffer:
        number, request, *rest = json.loads(line)
        if request == "start":
            answer = os.fork()
            if not answer:
                return _run(*rest)
            running.add(answer)
        else:
            _, status = os.waitpid(rest[0], 0)
            answer = os.waitstatus_to_exitcode(status)
            running.discard(rest[0])
        print(number, answer, flush=True)
    for pid in running:  # pytest was killed
        os.kill(pid, signal.SIGKILL)
    return None


def _run(arguments: list[str], environment: dict[str, str], output: str, errors: str) -> None:
    """Turns this process into `python <arguments>`."""
    for descriptor, path in enumerate((os.devnull, output, errors)):
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
