"""Writes lines above the line that the user is typing."""

import os
import sys

from .escaping import escaped, width

PROMPT = "> "
ERASE_LINE = "\r\x1b[K"


class Screen:
    """All output of the client. Escapes every line, so no caller has to think of it.

    With `prompt` it controls a terminal; without it writes plain lines, as for a pipe.
    """

    def __init__(self, *, prompt: bool) -> None:
        self._prompt = prompt
        self._typed = ""
        # A terminal that has no emoji gets `\\U0001f44d` rather than an error.
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    def show(self, line: str) -> None:
        if self._prompt:
            sys.stdout.write(f"{ERASE_LINE}{escaped(line)}\n{self._input_line()}")
        else:
            sys.stdout.write(f"{escaped(line)}\n")
        sys.stdout.flush()

    def show_typed(self, typed: str) -> None:
        """Draws the input line anew."""
        self._typed = typed
        if self._prompt:
            sys.stdout.write(ERASE_LINE + self._input_line())
            sys.stdout.flush()

    def close(self) -> None:
        """Takes the input line away."""
        if self._prompt:
            self._prompt = False
            sys.stdout.write(ERASE_LINE)
            sys.stdout.flush()

    def _input_line(self) -> str:
        """Its end, as much as fits into one row: a second one could not be erased."""
        # Not shutil's: it believes a COLUMNS of before the window was resized.
        left = os.get_terminal_size(sys.stdout.fileno()).columns - len(PROMPT) - 1
        start = len(self._typed)
        while start and width(self._typed[start - 1]) <= left:
            start -= 1
            left -= width(self._typed[start])
        return PROMPT + self._typed[start:]
