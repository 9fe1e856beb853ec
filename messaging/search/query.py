"""Parses what a user searches for (contract §6): `red "blue car" -green ye`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .words import words_of

PART = re.compile(r'(?P<minus>(?<!\S)-)?(?:"(?P<phrase>[^"]*)(?:"|$)|(?P<word>[^\s"]+))')
MAX_TERMS = 20
"""More are ignored: each is one more comparison for each message that is looked at."""


@dataclass(frozen=True, slots=True)
class Term:
    """Consecutive words in a text; with `is_prefix` the last may be a prefix.

    `foo-bar` is a term of two words, as in the texts.
    """

    words: tuple[str, ...]
    is_excluded: bool = False
    is_prefix: bool = False

    @property
    def stored(self) -> str:
        """How the term stands in `Message.words`."""
        return f" {' '.join(self.words)}" + ("" if self.is_prefix else " ")


def parse_query(text: str) -> list[Term]:
    """Returns the distinct terms of a query that hold a letter or digit.

    The last word is a prefix: the user may still be typing it. After a space, too: web clients
    trim what they send.
    """
    return list(dict.fromkeys(_terms(text)))[:MAX_TERMS]


def _terms(text: str) -> Iterator[Term]:
    parts = list(PART.finditer(text))
    for part in parts:
        words = tuple(words_of(part["word"] if part["phrase"] is None else part["phrase"]))
        if words:
            is_excluded = part["minus"] is not None
            is_last = part is parts[-1] and part["phrase"] is None
            yield Term(words, is_excluded, is_prefix=is_last and not is_excluded)
