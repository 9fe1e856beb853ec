"""What may be a reaction: emoji of any make, and nothing that cannot be seen."""

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
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland
        "\U0001fadf",  # newer than the oldest Python that we run on
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
        "\u200d",  # joins, and nothing is there to join
        "\u2060",  # word joiner
        "\ufe0f",  # a variation of nothing
        "\u3164",  # a letter that draws nothing
        "\u2800",  # Braille without a dot
        "\u0301",  # an accent alone
        "\U000e0067\U000e007f",  # tags alone
        "\u202eolleh",  # turns the line round
        "👍\u200b",
        "a\u2028b",
        "\ufeff1",
    ],
)
def test_invisible_text_is_no_reaction(signs: str) -> None:
    with pytest.raises(ValidationError, match="visible"):
        EMOJI.validate_python(signs)
