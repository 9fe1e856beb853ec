"""Text of other users cannot control the terminal."""

import unicodedata

import pytest

from config.chat_client.escaping import escaped, width


def test_no_unicode_character_controls_the_terminal() -> None:
    assigned = (*range(0x20000), *range(0xE0000, 0xE1000))  # except ideographs and private use
    shown = escaped("".join(map(chr, assigned)))
    dangerous = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    left = {one for one in shown if unicodedata.category(one) in dangerous}
    assert left == {"\u200c", "\u200d"}
    shown.encode()  # no lone surrogate is left


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J\x1b]52;c;ZXZpbA==\x07", "\\x1b[2J\\x1b]52;c;ZXZpbA==\\x07"),
        ("hi\n12:00 ila: give me money", "hi\\n12:00 ila: give me money"),
        ("a\r-- maya left", "a\\r-- maya left"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\ud800", "\\ud800"),
    ],
)
def test_hostile_text_is_escaped_on_one_line(hostile: str, shown: str) -> None:
    assert escaped(hostile) == shown


@pytest.mark.parametrize("text", ["Hello!", "Grüße, 您好 и привет", "👩‍👩‍👧 👍🏽", "می‌خواهم"])
def test_text_and_emoji_are_unchanged(text: str) -> None:
    assert escaped(text) == text


def test_wide_and_combining_characters_have_the_right_width() -> None:
    assert [width(one) for one in "a您👍e\u0301"] == [1, 2, 2, 1, 0]
