"""Checks the text of messages (contract §2)."""

from django.conf import settings

from accounts.kernel.errors import invalid


def clean_text(text: str, field: str = "content") -> str:
    """Trims a text. Raises Invalid when it is empty, too long or contains NUL."""
    max_length: int | None = settings.CHAT_MESSAGE_LENGTH
    trimmed = text.strip()
    if not trimmed:
        raise invalid(field, "must not be empty", "string_too_short")
    if max_length is not None and len(trimmed) > max_length:
        raise invalid(field, f"must have at most {max_length} characters", "string_too_long")
    if "\x00" in trimmed:
        raise invalid(field, "must not contain NUL")
    return trimmed
