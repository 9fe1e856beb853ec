"""Starts the followers: in the servers by default, or by `manage.py follow` (CHAT_FOLLOWER)."""

import atexit

from django.conf import settings

from messaging.follower.loop import FollowerThread
from messaging.push.consumer import PushConsumer
from realtime.cluster.socket_lookup import SocketLookup
from realtime.runtime import runtime


def followers() -> list[FollowerThread]:
    """Builds one follower for each consumer. A new consumer is added here."""
    sockets = SocketLookup(runtime.hub)
    return [FollowerThread(PushConsumer(sockets))]


def start_in_server() -> None:
    """Starts the followers in this server process; one of all processes gets each lease."""
    if settings.CHAT_FOLLOWER != "server":
        return
    for follower in followers():
        follower.start()
        # Gives up the lease, so that another process continues without a wait.
        atexit.register(follower.stop)
