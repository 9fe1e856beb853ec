"""Writes lines above the user's input line."""

import os
import sys

from .escaping import escaped, width

PROMPT = "> "
ERASE_LINE = "\r\x1b[K"


class Screen:
    """Writes all output of the client, and escapes every line.

    With `prompt` it keeps an input line in a terminal; without, it writes plain lines, as for a
    pipe.
    """

    def __init__(self, *, prompt: bool) -> None:
        self._prompt = prompt
        self._typed = ""
        # A terminal without emoji gets `\\U0001f44d` instead of an error.
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    def show(self, line: str) -> None:
        if self._prompt:
            sys.stdout.write(f"{ERASE_LINE}{escaped(line)}\n{self._input_line()}")
        else:
            sys.stdout.write(f"{escaped(line)}\n")
        sys.stdout.flush()

    def show_typed(self, typed: str) -> None:
        """Redraws the input line."""
        self._typed = typed
        if self._prompt:
            sys.stdout.write(ERASE_LINE + self._input_line())
            sys.stdout.flush()

    def close(self) -> None:
        """Removes the input line."""
        if self._prompt:
            self._prompt = False
            sys.stdout.write(ERASE_LINE)
            sys.stdout.flush()

    def _input_line(self) -> str:
        """Returns the end of the input that fits into one row.

        A second row could not be erased.
        """
        # Not shutil's, which prefers a COLUMNS from before the window was resized.
        left = os.get_terminal_size(sys.stdout.fileno()).columns - len(PROMPT) - 1
        start = len(self._typed)
        while start and width(self._typed[start - 1]) <= left:
            start -= 1
            left -= width(self._typed[start])
        return PROMPT + self._typed[start:]
