"""Which consumer serves which address. Any case, final slash optional (contract §3)."""

from typing import Any

from channels.routing import URLRouter
from django.urls import re_path

from accounts.errors import DomainError
from rooms.errors import NoSuchRoom

from .base import refuse
from .consumers import GroupChatConsumer, PrivateChatConsumer, PublicChatConsumer


async def nothing_here(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Without a catch-all URLRouter raises, and the client sees a broken connection."""
    error: DomainError = NoSuchRoom("There is no socket at this address")
    await refuse(scope, receive, send, error)


sockets: Any = URLRouter(
    [
        re_path(r"^ws/chat/group/(?P<name>[^/]+)/?$", GroupChatConsumer.as_asgi()),  # type: ignore[arg-type]
        re_path(r"^ws/chat/(?P<name>[^/]+)/?$", PublicChatConsumer.as_asgi()),  # type: ignore[arg-type]
        re_path(r"^ws/private/(?P<name>[^/]+)/?$", PrivateChatConsumer.as_asgi()),  # type: ignore[arg-type]
        re_path(r"", nothing_here),  # type: ignore[arg-type]
    ]
)
