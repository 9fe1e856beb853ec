"""What the rest of `realtime` knows of a server: one connection and how to write to it."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

Event = dict[str, Any]
Send = Callable[[Event], Coroutine[Any, Any, None]]
Receive = Callable[[], Coroutine[Any, Any, Event]]
Write = Callable[[bytes], object]


def ignore_change() -> None:
    """The callback of a connection whose changes concern nobody."""


class Connection(Protocol):
    """The two ends of a socket. `send` waits while the peer does not read."""

    @property
    def send(self) -> Send: ...

    @property
    def receive(self) -> Receive: ...

    def direct_writer(self) -> Write | None:
        """A function that writes whole frames past `send`; None while `send` has more to do."""

    def watch(self, on_writer_change: Callable[[], None]) -> None:
        """Calls it whenever `direct_writer` has come or gone.

        What is written directly a moment too late goes out in order or, if the connection ends,
        nowhere.
        """

    def abort(self) -> bool:
        """Cuts it at once. False when this server offers no way."""
