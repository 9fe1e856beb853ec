"""Checks the text of messages (contract §2)."""

from collections.abc import Sequence

from django.conf import settings

from accounts.kernel.errors import invalid


def clean_text(text: str, field: str = "content", *, attachments: Sequence[int] = ()) -> str:
    """Trims a text, which may be empty beside files (contract §5).

    Raises Invalid when it is empty without them, too long or contains NUL.
    """
    max_length: int | None = settings.CHAT_MESSAGE_LENGTH
    trimmed = text.strip()
    if not trimmed and not attachments:
        raise invalid(field, "must not be empty", "string_too_short")
    if max_length is not None and len(trimmed) > max_length:
        raise invalid(field, f"must have at most {max_length} characters", "string_too_long")
    if "\x00" in trimmed:
        raise invalid(field, "must not contain NUL")
    return trimmed
