"""The application with a bug that quotes: it stumbles over some messages and says over which."""

from typing import Any

from config.asgi import application
from messaging import services

__all__ = ["application"]
STUMBLES_OVER = "stumble"
_draft_message = services.draft_message


def draft_message(*, content: str, **others: Any) -> Any:
    if not content.startswith(STUMBLES_OVER):
        return _draft_message(content=content, **others)
    try:
        return int(content)
    except ValueError as error:
        raise LookupError(f"{content} of {others}") from error


services.draft_message = draft_message
