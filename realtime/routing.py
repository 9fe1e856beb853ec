"""Routes WebSocket paths to consumers (any case, optional slash: contract §3)."""

from typing import Any

from channels.routing import URLRouter
from django.urls import re_path

from accounts.kernel.errors import DomainError
from rooms.errors import NoSuchRoom

from .connection.consumer import refuse
from .consumers import (
    EventsConsumer,
    GroupChatConsumer,
    PrivateChatConsumer,
    PublicChatConsumer,
)


async def unknown_path(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuses an unknown path. URLRouter would raise, and send no reason."""
    error: DomainError = NoSuchRoom("There is no socket at this address")
    await refuse(scope, receive, send, error)


# Django's stubs accept only views here, and those of Channels expect another URLPattern.
route: Any = re_path
patterns = [
    route(r"^ws/chat/group/(?P<name>[^/]+)/?$", GroupChatConsumer.as_asgi()),
    route(r"^ws/chat/(?P<name>[^/]+)/?$", PublicChatConsumer.as_asgi()),
    route(r"^ws/private/(?P<name>[^/]+)/?$", PrivateChatConsumer.as_asgi()),
    route(r"^ws/events/?$", EventsConsumer.as_asgi()),
    route(r"", unknown_path),
]
sockets = URLRouter(patterns)
