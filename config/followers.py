"""Starts the followers, in servers or by `manage.py follow` (CHAT_FOLLOWER)."""

import atexit
from typing import Any

from django.conf import settings

from messaging.follower.loop import FollowerThread
from messaging.push.consumer import PushConsumer
from realtime.cluster.socket_lookup import SocketLookup
from realtime.runtime import runtime


def followers() -> list[FollowerThread]:
    """Builds one follower for each consumer. A new consumer is added here."""
    sockets = SocketLookup(runtime.hub)
    return [FollowerThread(PushConsumer(sockets))]


def with_followers(application: Any) -> Any:
    """Wraps an ASGI application, whose first event starts this process's followers.

    Not the import: management commands and tests import the application, too.
    """
    started = False

    async def following(scope: Any, receive: Any, send: Any) -> None:
        nonlocal started
        if not started:
            started = True
            _start()
        await application(scope, receive, send)

    return following


def _start() -> None:
    """Starts the followers; of all processes one gets each lease."""
    if settings.CHAT_FOLLOWER != "server":
        return
    for follower in followers():
        follower.start()
        # Gives up the lease, so that another process continues without a wait.
        runtime.lifecycle.at_shutdown(follower.stop)
        atexit.register(follower.stop)  # for servers whose signals are not known
