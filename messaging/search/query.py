"""Parses the text of a search (contract §6): `red "blue car" -green ye`.

Builds the query of the engine's index from it, with each word quoted.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import connection

from .words import words_of

PART = re.compile(r'(?P<minus>(?<!\S)-)?(?:"(?P<phrase>[^"]*)(?:"|$)|(?P<word>[^\s"]+))')
MAX_TERMS = 20
"""More are ignored: each is one more comparison for each message that is read."""


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


def index_query(terms: Iterable[Term], tokens: Iterable[Sequence[str]]) -> str:
    """Returns the query of the engine's index; may be empty.

    It finds the messages with all words of the terms and one of each group of `tokens`. Phrases and
    exclusions are left to the conditions. No part of a term reaches the engine as syntax: its words
    hold letters, marks, digits and underscores only (`words_of`), and are quoted.
    """
    groups = [
        [_quoted(word, is_prefix=term.is_prefix and place == len(term.words))]
        for term in terms
        if not term.is_excluded
        for place, word in enumerate(term.words, 1)
    ]
    groups += [[_quoted(token) for token in group] for group in tokens]
    either, both = (" OR ", " AND ") if connection.vendor == "sqlite" else (" | ", " & ")
    return both.join(f"({either.join(group)})" for group in groups)


def _quoted(word: str, *, is_prefix: bool = False) -> str:
    if connection.vendor == "sqlite":
        return f'"{word}"' + ("*" if is_prefix else "")
    return f"'{word}'" + (":*" if is_prefix else "")
