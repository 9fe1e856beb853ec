"""Makes excerpts of found messages in HTML, with the matching words marked."""

from collections.abc import Iterator, Sequence
from html import escape

from .query import Term
from .words import Word, words_in

MAX_EXCERPT = 240
"""Characters of the text that an excerpt shows."""
BEFORE = 60
"""Characters that it shows before the first marked word of a longer text."""


def highlight(text: str, terms: Sequence[Term]) -> str:
    """Returns an escaped HTML excerpt with matches in `<mark>`."""
    marked = _merged(sorted(_matches(list(words_in(text)), terms)))
    start, end = _bounds(text, marked[0][0] if marked else 0)
    shown, place = ["…" if start else ""], start
    for first, last in marked:
        if first >= start and last <= end:
            shown += [escape(text[place:first]), "<mark>", escape(text[first:last]), "</mark>"]
            place = last
    shown += [escape(text[place:end]), "…" if end < len(text) else ""]
    return "".join(shown)


def _matches(words: Sequence[Word], terms: Sequence[Term]) -> Iterator[tuple[int, int]]:
    keys = [word.key for word in words]
    for term in terms:
        if term.is_excluded:
            continue
        *whole, last = term.words
        for place in range(len(keys) - len(whole)):
            end = place + len(whole)
            is_here = keys[end].startswith(last) if term.is_prefix else keys[end] == last
            if is_here and keys[place:end] == whole:
                yield from ((word.start, word.end) for word in words[place : end + 1])


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Drops repeated matches.

    A word may match two terms, and one character may be several words.
    """
    return list(dict.fromkeys(spans))


def _bounds(text: str, first: int) -> tuple[int, int]:
    if len(text) <= MAX_EXCERPT:
        return 0, len(text)
    start = max(0, min(first - BEFORE, len(text) - MAX_EXCERPT))
    if start:  # at the beginning of a word
        space = text.find(" ", start, first)
        start = space + 1 if space >= 0 else start
    return start, min(len(text), start + MAX_EXCERPT)
