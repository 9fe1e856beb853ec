"""Reactions: every kind of emoji, and no invisible text."""

import pytest
from pydantic import TypeAdapter, ValidationError

from messaging.schemas import Emoji

EMOJI = TypeAdapter[str](Emoji)


@pytest.mark.parametrize(
    "emoji",
    [
        "👍",
        "👍🏽",
        "❤️",
        "1️⃣",
        "🇮🇳",
        "👩‍👩‍👧",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # the flag of Scotland
        "\U0001fadf",  # newer than the oldest supported Python
        "+1",
        "हाँ",
    ],
)
def test_every_kind_of_emoji_is_a_reaction(emoji: str) -> None:
    assert EMOJI.validate_python(emoji) == emoji


@pytest.mark.parametrize(
    "signs",
    [
        " ",
        "\n",
        "\u200b",  # zero width space
        "\u200d",  # a joiner with nothing to join
        "\u2060",  # word joiner
        "\ufe0f",  # a variation selector alone
        "\u3164",  # a letter without ink
        "\u2800",  # Braille without a dot
        "\u0301",  # an accent alone
        "\U000e0067\U000e007f",  # tags alone
        "\u202eolleh",  # reverses the line
        "👍\u200b",
        "a\u2028b",
        "\ufeff1",
    ],
)
def test_invisible_text_is_no_reaction(signs: str) -> None:
    with pytest.raises(ValidationError, match="visible"):
        EMOJI.validate_python(signs)
