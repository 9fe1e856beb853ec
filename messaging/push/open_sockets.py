"""Defines how pushes learn who has an open socket.

Messaging must not import sockets: `config.followers` passes the lookup in.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SocketsFound:
    """Users with an open socket.

    Unless `is_complete`, others may have one on another process.
    """

    users: Collection[int]
    is_complete: bool


class OpenSockets(Protocol):
    """Looks up open sockets over all processes."""

    def users_with_socket(self, room_id: int, user_ids: Collection[int]) -> SocketsFound:
        """Returns which of these users have a socket in the room."""
