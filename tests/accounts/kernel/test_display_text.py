"""Titles, topics and display names keep visible text and reject invisible text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.kernel.display_text import display_text

line = display_text(100)
lines = display_text(1000, lines=True)

SEEN = {
    "plain": "All about sports & more (2026)!",
    "umlaut": "Zoë Müller-Lüdenscheidt",
    "hebrew": "שָׁלוֹם עולם",
    "arabic": "مرحبا بالعالم",
    "persian": "می\u200cخواهم",
    "sinhala": "ශ\u0dca\u200dරී",
    "malayalam at the end": "അവൻ ന\u0d4d\u200d",
    "hindi": "क\u094d\u200dष",
    "smile": "😀",
    "heart": "❤️",
    "copyright": "©️ ™",
    "keycap": "Room 1️⃣ #️⃣ *️⃣",
    "family": "👨‍👩‍👧‍👦",
    "tone": "👩🏽‍🚀 👍🏿",
    "tone and sign": "🤷🏽‍♀️",
    "rainbow": "🏳️‍🌈",
    "pirates": "🏴‍☠️",
    "couple": "👩‍❤️‍👨",
    "nod": "🙂‍↕️ 🙂‍↔️",
    "flag": "🇮🇳🇩🇪",
    "scotland": "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "information": "ℹ️ 〰️ ‼️ ⁉️ ↔️ ⌛️",
    "text style": "☎\ufe0e",
    "newer than Python 3.11": "\U0001fae8 \U0001fae9 \U0001f6dc",
    "ideograph": "葛\U000e0100城",
    "spaces": "a\u00a0b\u3000c",
    "thai": "ที่นี่",
    "vietnamese": "Tiếng Việt",
}
UNSEEN = {
    "NUL": "a\x00b",
    "bell": "a\x07b",
    "tab": "a\tb",
    "delete": "a\x7fb",
    "C1": "a\x85b",
    "line break": "a\nb",
    "line separator": "a\u2028b",
    "right to left override": "a\u202eb",
    "embedding": "a\u202ab\u202c",
    "isolate": "a\u2066b\u2069",
    "right to left mark": "a\u200fb",
    "arabic letter mark": "a\u061cb",
    "zero width space": "a\u200bb",
    "joiner in latin": "a\u200db",
    "non-joiner in latin": "a\u200cb",
    "joiner alone": "\u200d",
    "joiner before an emoji": "\u200d😀",
    "joiner after an emoji": "😀\u200d",
    "two joiners": "👩\u200d\u200d👩",
    "word joiner": "a\u2060b",
    "byte order mark": "\ufeffa",
    "soft hyphen": "a\u00adb",
    "hangul filler": "a\u3164b",
    "halfwidth filler": "\uffa0",
    "braille blank": "\u2800",
    "grapheme joiner": "a\u034fb",
    "style on a letter": "a\ufe0f",
    "style on a digit": "1\ufe0f",
    "two styles": "❤\ufe0f\ufe0f",
    "style alone": "\ufe0f",
    "variant of a letter": "a\U000e0100",
    "tag": "a\U000e0061",
    "tags without an end": "🏴\U000e0067\U000e0062",
    "private use": "a\ue000",
    "no character": "a\uffff",
    "interlinear": "a\ufff9b\ufffb",
    "object": "a\ufffc",
    "pile of marks": "a\u0301\u0302\u0303\u0304\u0305",
    "one mark twice": "a\u0332\u0332",
}


@pytest.mark.parametrize("name", SEEN)
def test_visible_text_is_kept(name: str) -> None:
    text = unicodedata.normalize("NFC", SEEN[name])
    assert line(SEEN[name]) == text
    assert lines(SEEN[name]) == text


@pytest.mark.parametrize("name", UNSEEN)
def test_invisible_text_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="must not"):
        line(UNSEEN[name])
    if name != "line break":
        with pytest.raises(ValueError, match="must not"):
            lines(UNSEEN[name])


def test_topic_may_have_several_lines() -> None:
    assert lines("one\r\ntwo\nthree") == "one\ntwo\nthree"
    with pytest.raises(ValueError, match="must not"):
        lines("one\rtwo")


def test_decomposed_text_is_stored_composed() -> None:
    assert line("Zoe\u0308") == "Zoë"


def test_length_is_checked_after_composition() -> None:
    with pytest.raises(ValueError, match="at most 100"):
        line("\u0958" * 60)


@given(st.text(max_size=40))
def test_accepted_text_is_accepted_again(text: str) -> None:
    try:
        stored = lines(text)
    except ValueError:
        return
    assert lines(stored) == stored
    assert unicodedata.is_normalized("NFC", stored)
