"""Words of texts and queries, and excerpts that show them."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from types import FrameType
from typing import Any

import pytest

from messaging.search.highlight import MAX_EXCERPT, _bounds, highlight
from messaging.search.query import MAX_TERMS, parse_query
from messaging.search.words import MAX_WORD_LENGTH, stored_words, words_in, words_of

TEXTS = {
    "Hello, World! foo_bar 3.14 it's": "hello world foo bar 3 14 it s",
    "Ünïcödé Straße ΣΊΣΥΦΟΣ ﬁlm İstanbul": "unicode strasse σισυφοσ film istanbul",
    "cafe\N{COMBINING ACUTE ACCENT} “quoted”…": "cafe quoted",
    "東京タワー tower": "東 京 タ ワ ー tower",
    "हिन्दी भाषा": "हिन्दी भाषा",
    "한국어 이름": "한국어 이름",
    "Ёлка й": "елка и",
    "½ ①": "1 2 1",
    "a\N{ZERO WIDTH JOINER}b \N{GRINNING FACE}": "a b",
    "…": "",
}


@pytest.mark.parametrize("text", TEXTS)
def test_words_have_no_case_no_accents_and_no_punctuation(text: str) -> None:
    assert " ".join(words_of(text)) == TEXTS[text]
    assert [word.key for word in words_in(text)] == words_of(text)
    assert stored_words(text) == (f" {TEXTS[text]} " if TEXTS[text] else "")


@pytest.mark.parametrize("letter", ["x", "é"])
def test_long_words_are_cut_in_texts_and_queries(letter: str) -> None:
    assert [len(word) for word in words_of(letter * 4000)] == [MAX_WORD_LENGTH]
    (term,) = parse_query(letter * 200)
    assert term.stored in stored_words(letter * 4000)


@pytest.mark.parametrize("sign", ["\ufdfa", "\u3300", "½", "東", "각", "ế"])
def test_words_of_a_text_grow_to_twice_its_length(sign: str) -> None:
    stored = stored_words(sign * 4000)
    assert len(stored) <= 2 * 4000 + 66
    (*_, term) = parse_query(sign)
    assert stored_words(f"a {sign} b") == f" a {' '.join(words_of(sign))} b "
    assert term.stored.strip() in stored
    assert stored_words(sign * 4000, [{"content_type": "image/png"}]) == f"{stored}_file _image "


QUERIES = {
    'red "blue car" -green ye': ["+ red ", "+ blue car ", "- green ", "+ ye"],
    '-"a b" c': ["- a b ", "+ c"],
    "foo-bar baz": ["+ foo bar ", "+ baz"],
    '"not closed': ["+ not closed "],
    "a - b": ["+ a ", "+ b"],
    "a a a b": ["+ a ", "+ b"],
    "-a": ["- a "],
    "": [],
    '" "': [],
    "*": [],
    "OR NOT NEAR(x y) words:* ^z": ["+ or ", "+ not ", "+ near x ", "+ y ", "+ words ", "+ z"],
    "東京": ["+ 東 京"],
}


@pytest.mark.parametrize("text", QUERIES)
def test_queries_are_words_phrases_exclusions_and_a_last_prefix(text: str) -> None:
    terms = parse_query(text)
    assert [f"{'-' if one.is_excluded else '+'}{one.stored}" for one in terms] == QUERIES[text]


def test_a_query_has_a_bounded_number_of_terms() -> None:
    assert len(parse_query(" ".join(f"w{number}" for number in range(100)))) == MAX_TERMS


HIGHLIGHTS = {
    ("Hello wörld", "world"): "Hello <mark>wörld</mark>",
    ("<b>Hello</b> & bye", "hello"): "&lt;b&gt;<mark>Hello</mark>&lt;/b&gt; &amp; bye",
    ("hello hell", "hel"): "<mark>hello</mark> <mark>hell</mark>",
    ("a b, a c", '"a b"'): "<mark>a</mark> <mark>b</mark>, a c",
    ("a b", "-a b"): "a <mark>b</mark>",
    ("東京タワー", "京タ"): "東<mark>京</mark><mark>タ</mark>ワー",
    ("½ cup", "1"): "<mark>½</mark> cup",
    ("plain", ""): "plain",
}


@pytest.mark.parametrize(("text", "query"), HIGHLIGHTS)
def test_excerpts_mark_matches_and_escape_the_rest(text: str, query: str) -> None:
    assert highlight(text, parse_query(query)) == HIGHLIGHTS[text, query]


def test_an_excerpt_of_a_long_text_begins_before_the_first_match() -> None:
    text = "word " * 400 + "needle" + " word" * 400
    excerpt = highlight(text, parse_query("needle"))
    assert excerpt.startswith("…word ")
    assert excerpt.endswith("…")
    assert "<mark>needle</mark>" in excerpt
    assert len(excerpt) <= MAX_EXCERPT + len("<mark></mark>……")
    assert highlight(text, parse_query("word")).startswith("<mark>word</mark>")
    assert len(highlight("x" * 4000, parse_query("y"))) == MAX_EXCERPT + 1


def marks(excerpt: str) -> int:
    return excerpt.count("<mark>")


def test_matches_are_marked_up_to_the_end_of_the_excerpt() -> None:
    text = "a " * 2000
    assert marks(highlight(text, parse_query("a"))) == MAX_EXCERPT / 2
    assert highlight(text, parse_query('"a a a"')) == highlight(text, parse_query("a"))
    late = "b " * 1500 + text
    excerpt = highlight(late, parse_query('"b a a" "a a a a"'))
    shown = excerpt.replace("<mark>", "").replace("</mark>", "")
    assert shown == "…" + "b " * 29 + ("b " + "a " * 90) + "…"
    assert excerpt.startswith("…" + "b " * 29 + "<mark>b</mark> <mark>a</mark> ")
    assert marks(excerpt) == 91


@pytest.mark.parametrize("before", [0, 47, 48, 239, 240, 3000])
def test_phrase_that_goes_on_behind_the_excerpt_is_marked_as_far_as_it_is_shown(
    before: int,
) -> None:
    phrase = " ".join(f"w{number}" for number in range(50))
    text = "x" * before + " " + phrase.replace(" ", " … ") + " end" * 200
    excerpt = highlight(text, parse_query(f'"{phrase}"'))
    assert marks(excerpt) >= 25
    assert "<mark>w0</mark> … <mark>w1</mark> … " in excerpt
    assert marks(highlight(text, parse_query(f'"{phrase} other"'))) == 0


def test_excerpts_of_random_texts_mark_what_a_plain_comparison_finds() -> None:
    dice = random.Random(3)
    signs = ["a", "b", "ab", "é", "東", "京", "½", "ß", "<", "&", "-", "x" * 70, "कि", "a\u0301"]
    for _ in range(400):
        some = dice.sample(signs, dice.randint(1, 4))
        size = dice.choice([5, 60, 600])
        text = "".join(dice.choice(some) + dice.choice(["", " ", ". "]) for _ in range(size))
        query = " ".join(
            dice.choice(["{}", '"{} {}"', '"{} {} {}"', "-{}"]).format(*dice.choices(some, k=3))
            for _ in range(dice.randint(1, 3))
        )
        assert highlight(text, parse_query(query)) == plainly_marked(text, query), (text, query)


def plainly_marked(text: str, query: str) -> str:
    """Marks the shown part of a text by comparing each word of each term at each word."""
    words, marked = list(words_in(text)), set[tuple[int, int]]()
    keys = [f"{word.key} " for word in words]
    for term in parse_query(query):
        for place in range(len(keys) * (not term.is_excluded)):
            near = f" {''.join(keys[place : place + len(term.words)])}"
            if near.startswith(term.stored):
                marked |= {word[1:] for word in words[place : place + len(term.words)]}
    start = _bounds(text, min(marked, default=(0, 0))[0])[0]
    end = min(len(text), start + MAX_EXCERPT)
    pieces = [escape(sign) for sign in text]
    for first, last in marked:
        if last <= end:
            pieces[first] = f"<mark>{pieces[first]}"
            pieces[last - 1] += "</mark>"
    return ("…" if start else "") + "".join(pieces[start:end]) + ("…" if end < len(text) else "")


@contextmanager
def counted_lines() -> Iterator[list[int]]:
    """Counts the lines of Python that run: a measure of work that no other process disturbs."""
    lines, before = [0], sys.gettrace()

    def trace(_frame: FrameType, event: str, _value: Any) -> Any:
        lines[0] += event == "line"
        return trace

    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)


def lines_of(text: str, query: str) -> int:
    terms = parse_query(query)
    highlight(text, terms)  # fills caches
    with counted_lines() as lines:
        highlight(text, terms)
    return lines[0]


@pytest.mark.parametrize(
    "query",
    [
        '"' + "a " * 98 + '"',
        " ".join('"' + "a " * size + '"' for size in range(2, 14)),
    ],
)
def test_long_phrases_that_match_everywhere_cost_as_much_as_one_word(query: str) -> None:
    text = "a " * 2000
    assert lines_of(text, query) < 1.5 * lines_of(text, "a")
    assert lines_of(text * 2, query) < 1.5 * lines_of(text, query)
    assert lines_of("b " * 1800 + "a " * 200, query) < 1.5 * lines_of(text, query)
