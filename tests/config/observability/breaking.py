"""Serves the application with a bug whose error quotes a message."""

from typing import Any

from config.asgi import application
from messaging import services

__all__ = ["application"]
STUMBLES_OVER = "stumble"
_accept_text = services.accept_text


def accept_text(*, content: str, **others: Any) -> Any:
    if not content.startswith(STUMBLES_OVER):
        return _accept_text(content=content, **others)
    try:
        return int(content)
    except ValueError as error:
        raise LookupError(f"{content} of {others}") from error


services.accept_text = accept_text
