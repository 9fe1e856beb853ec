"""Reads the user's lines, from a terminal key by key, from a pipe line by line."""

import asyncio
import codecs
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .escaping import escaped

MAX_LINE = 16_000
MAX_WAITING = 100
INTERRUPT, END_OF_INPUT, ERASE_ALL, ERASE_WORD = "\x03", "\x04", "\x15", "\x17"
ERASE = ("\x7f", "\b")


def is_terminal() -> bool:
    """Checks for a terminal that can erase lines, unlike `TERM=dumb`."""
    if os.name != "posix" or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return sys.stdin.isatty() and sys.stdout.isatty()


def _unbuffered_attributes(terminal: int) -> Any:
    """Returns attributes for a terminal that delivers each key and shows none."""
    import termios  # noqa: PLC0415 - not on every system

    attributes: Any = termios.tcgetattr(terminal)
    attributes[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
    # Ctrl-C as a key: as a signal it would also end `make`, with an error.
    attributes[6][termios.VINTR] = bytes([os.fpathconf(terminal, "PC_VDISABLE") & 0xFF])
    attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 1, 0
    return attributes


class LineEditor:
    """Turns keys into lines. Cursor keys and other escape sequences are ignored."""

    def __init__(self, redraw: Callable[[str], None]) -> None:
        self._redraw = redraw
        self._typed: list[str] = []
        self._sequence = ""

    def feed(self, keys: str) -> Iterator[str | None]:
        """Yields finished lines, None at the end of input. Raises KeyboardInterrupt."""
        for key in keys:
            if self._skips(key):
                continue
            if key == INTERRUPT:
                raise KeyboardInterrupt
            if key in "\r\n":
                line = "".join(self._typed)
                self._typed.clear()
                yield line
            elif key == END_OF_INPUT:
                if not self._typed:
                    yield None
            else:
                self._edit(key)
        self.redraw()

    def redraw(self) -> None:
        self._redraw("".join(self._typed))

    def _edit(self, key: str) -> None:
        if key in ERASE:
            del self._typed[-1:]
        elif key == ERASE_ALL:
            self._typed.clear()
        elif key == ERASE_WORD:
            words = "".join(self._typed).rstrip().rpartition(" ")
            self._typed = list(words[0] + words[1])
        elif key == "\t":
            self._typed.append(" ")
        elif escaped(key) == key and len(self._typed) < MAX_LINE:
            self._typed.append(key)

    def _skips(self, key: str) -> bool:
        """Returns whether the key belongs to an escape sequence such as `ESC [ A`."""
        if not self._sequence:
            self._sequence = "\x1b" if key == "\x1b" else ""
            return bool(self._sequence)
        if self._sequence == "\x1b":
            self._sequence = key if key in "[O" else ""
            return True
        if "@" <= key <= "~":
            self._sequence = ""
        return True


class Keyboard:
    """Queues lines from the terminal or pipe; None at the end of input."""

    def __init__(self, redraw: Callable[[str], None], interrupt: Callable[[], None]) -> None:
        self._lines: asyncio.Queue[str | None] = asyncio.Queue(MAX_WAITING)
        self._loop = asyncio.get_running_loop()
        self._redraw = redraw
        self._interrupt = interrupt

    async def line(self) -> str | None:
        return await self._lines.get()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Reads until the block ends, then restores the terminal."""
        if os.name == "posix":
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._loop.add_signal_handler(number, self._interrupt)
        if is_terminal():
            with self._keys():
                yield
        else:
            threading.Thread(target=self._read_pipe, name="stdin", daemon=True).start()
            yield

    @contextmanager
    def _keys(self) -> Iterator[None]:
        import termios  # noqa: PLC0415 - not on every system

        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
        reading = _unbuffered_attributes(terminal)

        def resume() -> None:
            termios.tcsetattr(terminal, termios.TCSADRAIN, reading)
            editor.redraw()

        editor = LineEditor(self._redraw)
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        resume()
        self._loop.add_signal_handler(signal.SIGCONT, resume)  # after Ctrl-Z
        self._loop.add_reader(terminal, lambda: self._read_keys(terminal, decoder, editor))
        try:
            yield
        finally:
            self._loop.remove_reader(terminal)
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)

    def _read_keys(self, terminal: int, decoder: Any, editor: LineEditor) -> None:
        try:
            read = os.read(terminal, 4096)
        except OSError:  # the terminal is gone
            read = b""
        if not read:
            self._loop.remove_reader(terminal)
            self._interrupt()
            return
        try:
            for line in editor.feed(decoder.decode(read)):
                # Full when the server has been unreachable for a hundred lines.
                with suppress(asyncio.QueueFull):
                    self._lines.put_nowait(line)
        except KeyboardInterrupt:
            self._interrupt()

    def _read_pipe(self) -> None:
        """Reads in a thread, because loops cannot watch files.

        Waits while the queue is full.
        """
        with suppress(RuntimeError):  # the loop has closed
            while line := sys.stdin.buffer.readline(MAX_LINE):
                self._put_from_thread(line.decode(errors="replace").rstrip("\r\n"))
            self._put_from_thread(None)

    def _put_from_thread(self, line: str | None) -> None:
        asyncio.run_coroutine_threadsafe(self._lines.put(line), self._loop).result()
