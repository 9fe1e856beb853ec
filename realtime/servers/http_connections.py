"""What a client may hold before its request reaches the application: connections and request heads.

A head is the request line and the headers. Servers wait for one as long as a client likes, and some
take one of any size: here it has a time, a size and a number of headers. How many connections one
address may have open is bounded as well.
"""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address

from django.conf import settings

from accounts.auth import network_of
from accounts.kernel.metrics import count_refusal


class HeadDeadline:
    """Calls `expire` when no whole head has come in time."""

    __slots__ = ("_expire", "_timer")

    def __init__(self, expire: Callable[[], None]) -> None:
        self._expire = expire
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Nothing happens when it runs already: a client that drips bytes gains no time."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(settings.CHAT_HEADER_TIMEOUT, self._expire)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def too_many_headers(count: int) -> bool:
    """Whether so many headers are refused; counts the refusal."""
    most: int | None = settings.CHAT_HEADER_COUNT
    if most is None or count <= most:
        return False
    count_refusal("CHAT_HEADER_COUNT")
    return True


def too_large_head(size: int) -> bool:
    """Whether a head of so many bytes is refused; counts the refusal."""
    most: int | None = settings.CHAT_HEADER_SIZE
    if most is None or size <= most:
        return False
    count_refusal("CHAT_HEADER_SIZE")
    return True


class OpenConnections:
    """Counts the open connections of each address. An upgraded one stays the same connection."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(self._counts.values())

    def enter(self, peer: str | None) -> Callable[[], None] | None:
        """What to call when the connection has ended; None when it must be refused."""
        most: int | None = settings.CHAT_CONNECTIONS_PER_ADDRESS
        network = _counted_network(peer)
        if most is None or network is None:
            return leave_uncounted
        count = self._counts.get(network, 0)
        if count >= most:
            count_refusal("CHAT_CONNECTIONS_PER_ADDRESS")
            return None
        self._counts[network] = count + 1
        return lambda: self._leave(network)

    def _leave(self, network: str) -> None:
        left = self._counts[network] - 1
        if left:
            self._counts[network] = left
        else:
            del self._counts[network]


def leave_uncounted() -> None:
    """For connections that count for no address."""


def _counted_network(peer: str | None) -> str | None:
    """The network that a connection counts for; None for one of a proxy or of this machine.

    Behind proxies all clients share the proxy's address. A Unix socket has none.
    """
    if settings.CHAT_TRUSTED_PROXIES or peer is None:
        return None
    network = network_of(peer)
    try:
        return None if ip_address(network or "").is_loopback else network
    except ValueError:  # an IPv6 network, which is never the loopback address alone
        return network if peer != "::1" else None
