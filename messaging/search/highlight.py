"""Makes excerpts of found messages in HTML, with the matching words marked."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import accumulate, pairwise

from .query import Term
from .words import cut_between_words, words_in, words_of

MAX_EXCERPT = 240
"""Characters of the text that an excerpt shows."""
BEFORE = 60
"""Characters that it shows before the first marked word of a longer text."""
SPECIAL = re.compile("[&<>\"']")
"""What `escape` replaces."""


def highlight(text: str, terms: Sequence[Term]) -> str:
    """Returns an escaped HTML excerpt with matches in `<mark>`."""
    marked = _matches(text, [term for term in terms if not term.is_excluded])
    start, end = _bounds(text, marked[0][0] if marked else 0)
    in_html = escape if SPECIAL.search(text) else str  # a fifth of the time
    shown, place = ["…" if start else ""], start
    for first, last in marked:
        if last > end:
            break
        shown += (in_html(text[place:first]), "<mark>", in_html(text[first:last]), "</mark>")
        place = last
    shown += (in_html(text[place:end]), "…" if end < len(text) else "")
    return "".join(shown)


def _matches(text: str, terms: Sequence[Term]) -> list[tuple[int, int]]:
    """Returns the places of matching words, as far as an excerpt shows them."""
    begin, end, following = _surroundings(text, terms)
    words = list(words_in(text, begin, end))
    near = [word.key for word in words]
    places = accumulate((len(key) + 1 for key in near), initial=0)
    numbers = dict(zip(places, range(len(near)), strict=False))
    keys = f" {_joined(near)}{following}"
    found = set[int]()
    for term in terms:
        is_word = len(term.words) == 1
        found.update(_of_word(term, near) if is_word else _of_phrase(term, keys, numbers))
    spans = (words[number][1:] for number in sorted(found) if number < len(words))
    return list(dict.fromkeys(spans))  # one character may be several words


def _surroundings(text: str, terms: Sequence[Term]) -> tuple[int, int, str]:
    """Returns the bounds of what an excerpt may show, and the words that follow.

    The whole text is compared as one string, as the database does. Only the surroundings of its
    first match are split into words with places. Doing that to the whole text, for each word of
    each match, took 20 s for a page of phrases that match everywhere.
    """
    cuts = cut_between_words(text)
    parts = [_joined(words_of(text[begin:end])) for begin, end in pairwise(cuts)]
    keys = f" {''.join(parts)}"
    first = min((place for term in terms if (place := keys.find(term.stored)) >= 0), default=-1)
    if first < 0:
        return 0, 0, ""
    places = list(accumulate(map(len, parts), initial=0))
    part = bisect_right(places, first) - 1
    last = bisect_left(cuts, min(cuts[part + 1] + MAX_EXCERPT, len(text)))
    return cuts[part], cuts[last], keys[places[last] + 1 :]


def _joined(keys: Sequence[str]) -> str:
    """Returns the words with a space after each."""
    return " ".join([*keys, ""])


def _of_word(term: Term, near: Sequence[str]) -> Iterator[int]:
    """Yields the numbers of the words that a term of one word matches."""
    (word,) = term.words
    for number, key in enumerate(near):
        if key == word or (term.is_prefix and key.startswith(word)):
            yield number


def _of_phrase(term: Term, keys: str, numbers: Mapping[int, int]) -> Iterator[int]:
    """Yields the numbers of the words in each match that begins in `numbers`.

    Of the matches that begin within a match, the last covers the others: `"a a"` in `a a a a`.
    """
    size, count = len(term.stored) - 1, len(term.words)
    place, marked = keys.find(term.stored), 0
    while (number := numbers.get(place)) is not None:
        yield from range(max(number, marked), number + count)
        marked = number + count
        within = keys.rfind(term.stored, place + 1, place + 2 * size + 1)
        place = within if within >= 0 else keys.find(term.stored, place + 1)


def _bounds(text: str, first: int) -> tuple[int, int]:
    if len(text) <= MAX_EXCERPT:
        return 0, len(text)
    start = max(0, min(first - BEFORE, len(text) - MAX_EXCERPT))
    if start:  # at the beginning of a word
        space = text.find(" ", start, first)
        start = space + 1 if space >= 0 else start
    return start, min(len(text), start + MAX_EXCERPT)
