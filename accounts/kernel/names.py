"""Checks and compares names of users and rooms (contract §2).

Both share the rules: people type them, and they are part of URLs.
"""

import itertools
import unicodedata
from collections.abc import Callable

from .scripts import mixes_digits, mixes_scripts, piles_up_marks

MAX_NAME_LENGTH = 64
PUNCTUATION = frozenset("_.+-")

# Letters and marks without a glyph: two names that differ by one of them look the same.
INVISIBLE = frozenset(
    {"\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u3164", "\uffa0"}
    | {chr(code) for code in range(0x180B, 0x1810)}
    | {chr(code) for code in range(0xFE00, 0xFE10)}
    | {chr(code) for code in range(0xE0100, 0xE01F0)}
)


def name_key(name: str) -> str:
    """Returns the key that compares names: NFKC and casefold, so `ﬁlm` is `FILM`."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", folded)


def search_key(text: str) -> str:
    """Returns the key by which searches compare the start of a title or display name."""
    return name_key(text)[:MAX_NAME_LENGTH]


def shared_start(first: str, second: str) -> int:
    """Returns how many characters both keys begin with."""
    pairs = zip(first, second, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def check_name(name: str) -> str:
    """Returns a new name as it is stored (NFC).

    Raises ValueError with a sentence for people.
    """
    stored = _check_characters(name)
    # The key is checked too: a letter may fold into one of another script.
    if mixes_scripts(stored) or mixes_scripts(name_key(stored)):
        raise ValueError("must keep to one script, such as Latin or Cyrillic")
    if mixes_digits(stored):
        raise ValueError("must keep to digits of one kind")
    if piles_up_marks(stored):
        raise ValueError("must not pile up marks on a letter")
    return stored


def _check_characters(name: str) -> str:
    stored = unicodedata.normalize("NFC", name)
    key = name_key(stored)
    if not stored or len(stored) > MAX_NAME_LENGTH or len(key) > MAX_NAME_LENGTH:
        raise ValueError(f"must have 1 to {MAX_NAME_LENGTH} characters")
    # The key is checked too: some letters fold into spaces or signs.
    if not all(is_name_character(character) for character in stored + key):
        raise ValueError("may hold letters, marks, digits and _ . + - only")
    if not any(unicodedata.category(character)[0] in "LN" for character in stored):
        raise ValueError("needs at least one letter or digit")
    return stored


def is_name(name: str) -> bool:
    """Checks whether a stored name can have this form: old names keep older rules."""
    return _passes(_check_characters, name)


def is_new_name(name: str) -> bool:
    """Checks whether a new user or room may take this name if it is free."""
    return _passes(check_name, name)


def _passes(check: Callable[[str], str], name: str) -> bool:
    try:
        check(name)
    except ValueError:
        return False
    return True


def is_name_character(character: str) -> bool:
    if character in PUNCTUATION:
        return True
    category = unicodedata.category(character)
    return (category[0] in "LM" or category == "Nd") and character not in INVISIBLE
