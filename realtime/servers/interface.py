"""Defines the interface of a server: a connection and its writer."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

Event = dict[str, Any]
Send = Callable[[Event], Coroutine[Any, Any, None]]
Receive = Callable[[], Coroutine[Any, Any, Event]]
WriteFunction = Callable[[bytes], object]


def ignore_change() -> None:
    """The callback of a connection that nothing watches."""


class Connection(Protocol):
    """One WebSocket connection. `send` waits while the peer does not read."""

    @property
    def send(self) -> Send: ...

    @property
    def receive(self) -> Receive: ...

    def direct_writer(self) -> WriteFunction | None:
        """Returns a function that writes frames; None while they must go by `send`."""

    def watch(self, on_writer_change: Callable[[], None]) -> None:
        """Calls `on_writer_change` whenever the result of `direct_writer` changes.

        A direct write that comes just after the change still goes out in order, or is dropped if
        the connection has ended.
        """

    def abort(self) -> bool:
        """Aborts the connection at once. Returns False if this server cannot."""
