"""Detects mixed scripts and piled-up marks, which make names look alike.

Unicode TS 39: §5.1 and §5.2 (restriction level "Highly Restrictive"), §5.3 and §5.4.
"""

import unicodedata
from collections.abc import Iterable

from fontTools import unicodedata as script_data

MAX_MARKS = 4
"""On one letter. Vietnamese needs two, Hebrew with all its points four."""
COMMON = frozenset({"Zyyy", "Zinh"})
# Scripts that are written together, under their combined names in ISO 15924.
TOGETHER = {
    "Hani": {"Jpan", "Kore", "Hanb"},
    "Hira": {"Jpan"},
    "Kana": {"Jpan"},
    "Hang": {"Kore"},
    "Bopo": {"Hanb"},
}
WITH_LATIN = frozenset({"Jpan", "Kore", "Hanb"})


def script_of(character: str) -> str:
    """Returns the ISO 15924 code, such as `Latn`."""
    return str(script_data.script(character))


def mixes_scripts(text: str) -> bool:
    """Checks whether a text needs more than one script or listed combination."""
    scripts = [_scripts_of(character) for character in text]
    specific = [each for each in scripts if not each & COMMON]
    if _shared(specific):
        return False
    return not _shared(each for each in specific if "Latn" not in each) & WITH_LATIN


def _scripts_of(character: str) -> set[str]:
    scripts: set[str] = script_data.script_extension(character)
    return scripts.union(*(TOGETHER.get(one, ()) for one in scripts))


def _shared(sets: Iterable[set[str]]) -> set[str]:
    """Returns the scripts that all sets share; Common without any set."""
    every = list(sets)
    return set.intersection(*every) if every else set(COMMON)


def mixes_digits(text: str) -> bool:
    """Checks whether a text has digits of several number systems."""
    zeros = {ord(one) - unicodedata.decimal(one) for one in text if one.isdecimal()}
    return len(zeros) > 1


def piles_up_marks(text: str) -> bool:
    """Checks for more marks than any language uses, or one mark twice in a row."""
    marks, last = 0, ""
    for character in unicodedata.normalize("NFD", text):
        if unicodedata.category(character) not in ("Mn", "Me"):
            marks, last = 0, ""
            continue
        if character == last or marks == MAX_MARKS:
            return True
        marks, last = marks + 1, character
    return False
