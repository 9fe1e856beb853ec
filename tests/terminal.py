"""Runs a program on a pseudo terminal, types, and reads the screen."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

WAIT = 60.0
"""Seconds until a text must appear: a loaded machine starts Python slowly."""
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """`with Terminal(["make", "run"], cwd=…, env=…) as terminal`; killed at the end."""

    def __init__(
        self, command: Sequence[str], *, cwd: Path, env: dict[str, str], columns: int = 80
    ) -> None:
        self._command, self._cwd, self._columns = command, cwd, columns
        self._env = env | {"TERM": "xterm"}
        self._raw = ""
        self._seen = 0

    def __enter__(self) -> Self:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # Shells start background jobs so, as CI may run these tests, and children inherit it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, self._columns, 0, 0))
        self.process = subprocess.Popen(
            self._command,
            cwd=self._cwd,
            env=self._env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        os.close(self._ours)

    @property
    def raw(self) -> str:
        """All output, with the program's escape sequences."""
        return self._raw

    @property
    def text(self) -> str:
        return ESCAPE.sub("", self._raw)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def press_ctrl_c(self) -> None:
        """Sends the signal that a terminal sends to its foreground processes."""
        os.killpg(self.process.pid, signal.SIGINT)

    def enter(self, line: str) -> None:
        self.type(f"{line}\n")

    def wait_for(self, pattern: str, within: float = WAIT) -> str:
        """Returns the next match after the last one."""
        deadline = time.monotonic() + within
        while True:
            found = re.compile(pattern).search(self.text, self._seen)
            if found:
                self._seen = found.end()
                return found[0]
            assert time.monotonic() < deadline, f"no {pattern!r} in: {self.text}"
            self._read(0.1)

    def ended(self, within: float = WAIT) -> int:
        """Returns the exit status."""
        deadline = time.monotonic() + within
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still running: {self.text}"
            self._read(0.05)
        self._read(0.05)
        return self.process.returncode

    def _read(self, within: float) -> None:
        while select.select([self._ours], [], [], within)[0]:
            try:
                read = os.read(self._ours, 65536)
            except OSError:  # the program has ended
                time.sleep(within)
                return
            if not read:
                return
            self._raw += read.decode(errors="replace")
            within = 0.0
