"""Escapes text from other users for the terminal.

A message may contain escape sequences that clear the screen or write to the clipboard, line breaks
that forge another user's line, and characters that reverse the direction of a line. All are shown
as escapes such as `\\x1b`, and the text stays on one line.
"""

import unicodedata

UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of control, format, surrogate, private and line-breaking characters."""
JOINERS = frozenset("\u200c\u200d")
"""Format characters that emoji and some scripts need, and that terminals ignore."""


def escaped(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_escaped_character, text))


def _escaped_character(character: str) -> str:
    if character in JOINERS or unicodedata.category(character) not in UNSAFE:
        return character
    return character.encode("unicode_escape").decode("ascii")


def width(character: str) -> int:
    """Returns the columns of an unescaped character in a terminal."""
    if character in JOINERS or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
