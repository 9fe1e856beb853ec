"""Splits texts into words without case, accents and punctuation, for search.

Both databases index these words instead of the text, so they find the same messages, and no rule of
their parsers applies.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

MAX_WORD_LENGTH = 64
"""Characters of a word that are compared. PostgreSQL refuses words above 2 KB."""
ACCENTS = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)
"""Accents of Latin, Greek and Cyrillic, and the optional vowel signs of Hebrew and Arabic. The
vowel signs of other scripts are spelling."""
UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
"""Han, Hiragana and Katakana are written without spaces: each character counts as a word."""
VOICING_MARKS = "\u3099\u309a"
"""Become one character with the Kana before them."""
MAX_DECOMPOSED = 4
"""Characters to which one of a text may grow in NFKD: a Hangul syllable becomes three, a Vietnamese
letter too. A few become eighteen, and a message of them would cost a hundred others."""
MAX_STORED = 2
"""Characters of `Message.words` for each of the text: Han characters need a space each."""
ALLOWANCE = 64
"""More for short texts: a query of one such character must find it."""
PART_LENGTH = 48
"""Shorter than MAX_WORD_LENGTH, so that the words of most parts need not be cut."""
_ASCII = bytes(ord(chr(code).lower()) if chr(code).isalnum() else 32 for code in range(128)).ljust(
    256
)
"""Most messages are ASCII: this table takes a third of the time of a regular expression."""


class Word(NamedTuple):
    """A word in the form that is compared, and where it stands in the text."""

    key: str
    start: int
    end: int


def words_of(text: str) -> list[str]:
    """Returns the words of a text in the form that is compared."""
    if text.isascii():
        words = text.encode().translate(_ASCII).decode().split()
    else:
        words = _folded(text).translate(_SEPARATED).split()
    if len(text) <= MAX_WORD_LENGTH:
        return words
    return [word[:MAX_WORD_LENGTH] for word in words]


FILE_TOKEN, IMAGE_TOKEN = "_file", "_image"
"""Stand among the words of a message with files. No word has an underscore, and no prefix of a word
begins with one."""


def stored_words(text: str, files: Iterable[Mapping[str, Any]] = ()) -> str:
    """Returns the words for `Message.words`, each between two spaces.

    `files` have the members of AttachmentOut.
    """
    words = [_bounded(" ".join(words_of(text)), MAX_STORED * len(text))]
    types = [file["content_type"] for file in files]
    if types:
        words.append(FILE_TOKEN)
    if any(kind.startswith("image/") for kind in types):
        words.append(IMAGE_TOKEN)
    stored = " ".join(words).strip()
    return f" {stored} " if stored else ""


def _bounded(words: str, length: int) -> str:
    """Cuts stored words of a text that grew too much, between two words."""
    if len(words) <= length + ALLOWANCE:
        return words
    cut = words[: length + ALLOWANCE]
    return cut.rpartition(" ")[0] or cut


def words_in(text: str, begin: int = 0, end: int | None = None) -> Iterator[Word]:
    """Yields the words between two places of a text with their places.

    Ten times slower than `words_of`.
    """
    start = None
    for place, sign in enumerate(text[begin:end] + " ", begin):
        part = _SEPARATED[ord(sign)]
        if start is not None and (part.isspace() or len(part) > 1):
            for key in words_of(text[start:place]):
                yield Word(key, start, place)
            start = None
        if len(part) > 1:
            for key in words_of(sign):
                yield Word(key, place, place + 1)
        elif start is None and not part.isspace():
            start = place


def cut_between_words(text: str) -> list[int]:
    """Returns where to cut a text into parts of about PART_LENGTH characters."""
    cuts = [0]
    while cuts[-1] + PART_LENGTH < len(text):
        place = cuts[-1] + PART_LENGTH
        while place < len(text) and _goes_on(text[place]):
            place += 1
        cuts.append(place)
    return cuts if cuts[-1] == len(text) else [*cuts, len(text)]


def _goes_on(sign: str) -> bool:
    """Whether a character may belong to the word of the one before it."""
    part = _SEPARATED[ord(sign)]
    return sign in VOICING_MARKS or not (part.isspace() or len(part) > 1)


def _folded(text: str) -> str:
    """Without case and accents. Some letters are accented only in lower case: İ, ΐ."""
    decomposed = unicodedata.normalize("NFKD", text)[: MAX_DECOMPOSED * len(text) + ALLOWANCE]
    plain = ACCENTS.sub("", decomposed).casefold()
    return unicodedata.normalize("NFC", ACCENTS.sub("", unicodedata.normalize("NFKD", plain)))


class _Separated(dict[int, str]):
    """Maps each character to itself within words, and to spaces around words.

    Categories are looked up once for each character: `str.translate` asks for 60 of a message.
    """

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        if UNSPACED.match(sign):
            part = f" {sign} "
        else:
            part = sign if sign.isalnum() or unicodedata.category(sign)[0] == "M" else " "
        self[code] = part
        return part


_SEPARATED = _Separated()
