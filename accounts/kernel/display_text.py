"""Checks titles, topics and display names for characters that cannot be seen.

Control characters, bidi overrides and characters without a glyph are refused: with them one text
looks like another, or reorders the text beside it. Joiners of emoji and some scripts are allowed.
"""

import re
import unicodedata
from collections.abc import Callable

from .names import INVISIBLE
from .scripts import piles_up_marks, script_of

JOINERS = ("\u200c", "\u200d")
# Symbols without a glyph: Braille blank, object replacement, a note without a head.
BLANK_SYMBOLS = frozenset("\u2800\ufffc\U0001d159")
# Scripts in which a joiner changes how letters are drawn.
JOINING_SCRIPTS = frozenset(
    # Arabic and its like
    {"Adlm", "Arab", "Mong", "Nkoo", "Syrc"}
    # Indic ones
    | {"Beng", "Deva", "Gujr", "Guru", "Knda", "Mlym", "Orya", "Sinh", "Taml", "Telu"}
    | {"Khmr", "Mymr"}
)
VIRAMA_CLASS = 9
EMOJI_STYLES = ("\ufe0e", "\ufe0f")
KEYCAP = "\u20e3"
# Emoji that Unicode does not class as symbols: double exclamation marks, a wavy dash, an i.
STYLED_SIGNS = frozenset("\u203c\u2049\u2139\u3030")
SKIN_TONES = range(0x1F3FB, 0x1F400)
# Characters of this range that this Python does not know are newer emoji.
EMOJI_RANGE = range(0x1F000, 0x1FC00)
# Flags of regions, such as that of Scotland.
TAGGED_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")


def display_text(limit: int, *, lines: bool = False) -> Callable[[str], str]:
    """Returns a check for texts of up to `limit` characters.

    `lines` allows line breaks. The check returns the text as stored (NFC), or raises ValueError
    with a sentence for people.
    """

    def check(text: str) -> str:
        stored = unicodedata.normalize("NFC", text)
        if lines:
            stored = stored.replace("\r\n", "\n")
        if len(stored) > limit:
            raise ValueError(f"must have at most {limit} characters")
        visible = TAGGED_FLAG.sub("\U0001f3f4", stored.replace("\n", " ") if lines else stored)
        if not all(_is_visible(visible, place) for place in range(len(visible))):
            raise ValueError("must not contain control, bidi or invisible characters")
        if piles_up_marks(visible):
            raise ValueError("must not pile up marks on a letter")
        return stored

    return check


def _is_visible(text: str, place: int) -> bool:
    character = text[place]
    if character.isascii():
        return character.isprintable()
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    if character in JOINERS:
        return _joins_letters(before, after) or (
            character == "\u200d" and _joins_emoji(before, after)
        )
    if character in EMOJI_STYLES:
        return _has_style(before, after)
    if character in INVISIBLE:
        # Variation selectors of ideographs, as in Japanese names.
        return character >= "\U000e0100" and before != "" and script_of(before) == "Hani"
    if character in BLANK_SYMBOLS:
        return False
    category = unicodedata.category(character)
    return category not in ("Zl", "Zp") and (category[0] != "C" or _is_new_emoji(character))


def _joins_letters(before: str, after: str) -> bool:
    if not _is_joining(before):
        return False
    return _is_joining(after) or unicodedata.combining(before) == VIRAMA_CLASS


def _is_joining(character: str) -> bool:
    return character != "" and character.isprintable() and script_of(character) in JOINING_SCRIPTS


def _joins_emoji(before: str, after: str) -> bool:
    toned = before != "" and ord(before) in SKIN_TONES
    return (toned or before == "\ufe0f" or _is_symbol(before)) and _is_symbol(after)


def _has_style(before: str, after: str) -> bool:
    if before != "" and before in "0123456789#*":
        return after == KEYCAP
    return _is_symbol(before) or before in STYLED_SIGNS


def _is_symbol(character: str) -> bool:
    if character == "" or character.isascii():
        return False
    return unicodedata.category(character) in ("So", "Sm") or _is_new_emoji(character)


def _is_new_emoji(character: str) -> bool:
    return unicodedata.category(character) == "Cn" and ord(character) in EMOJI_RANGE
