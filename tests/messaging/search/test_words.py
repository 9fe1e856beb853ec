"""Words of texts and queries, and excerpts that show them."""

import pytest

from messaging.search.highlight import MAX_EXCERPT, highlight
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
