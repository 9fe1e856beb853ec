"""Message texts: trimming and limits."""

import pytest
from pytest_django import Settings

from accounts.kernel.errors import Invalid
from messaging.validation import clean_text


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Hey", "Hey"),
        ("  Hey \n you\t\n", "Hey \n you"),
        ("\u2003Hey\u00a0", "Hey"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_text_is_only_trimmed(text: str, stored: str) -> None:
    assert clean_text(text) == stored


@pytest.mark.parametrize("text", ["", " ", "\n\t\u2003"])
def test_empty_text_is_rejected(text: str) -> None:
    with pytest.raises(Invalid, match="must not be empty"):
        clean_text(text)


def test_text_length_counts_after_trimming() -> None:
    assert len(clean_text(f"  {'é' * 4000}  ")) == 4000
    with pytest.raises(Invalid, match="at most 4000"):
        clean_text("é" * 4001)


def test_text_length_limit_is_a_setting(settings: Settings) -> None:
    settings.CHAT_MESSAGE_LENGTH = 3
    assert clean_text("abc") == "abc"
    with pytest.raises(Invalid, match="at most 3"):
        clean_text("abcd")


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "a\x00"])
def test_nul_is_rejected(text: str) -> None:
    with pytest.raises(Invalid, match="NUL"):
        clean_text(text)


def test_text_error_uses_the_member_name_of_the_client() -> None:
    with pytest.raises(Invalid) as refusal:
        clean_text("", "message")
    assert refusal.value.errors == [
        {"loc": ["message"], "msg": "must not be empty", "type": "string_too_short"}
    ]
