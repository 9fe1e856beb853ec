"""Message texts: trimming, limits, and the digest that detects repeats."""

import pytest
from pytest_django import Settings

from accounts.kernel.errors import Invalid
from messaging.validation import clean_text, digest_of


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


def test_same_text_and_reply_have_the_same_digest() -> None:
    assert digest_of("Hey", 7) == digest_of("Hey", 7)


def test_different_text_or_reply_has_another_digest() -> None:
    said = [("Hey", None), ("hey", None), ("Hey", 7), ("Hey", 8), ("Hey, 7", None), ("[]", None)]
    assert len({digest_of(text, reply_to) for text, reply_to in said}) == len(said)


def test_digest_fits_its_column() -> None:
    assert len(digest_of("Hey", 2**63 - 1)) == 32
