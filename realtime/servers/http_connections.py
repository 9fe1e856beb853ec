"""Bounds connections per address, and the time and size of request heads.

A head is the request line and the headers. Servers wait for one without a timeout, and some accept
any size. Here its time, its size and its number of headers are bounded.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address

from django.conf import settings

from accounts.auth import network_of
from accounts.kernel.metrics import count_refusal


class HeadDeadline:
    """Calls `expire` when a request head is not complete in time."""

    __slots__ = ("_expire", "_timer")

    def __init__(self, expire: Callable[[], None]) -> None:
        self._expire = expire
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Starts the timer unless it runs: a client that drips bytes gains no time."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(settings.CHAT_HEADER_TIMEOUT, self._expire)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def too_many_headers(count: int) -> bool:
    """Returns whether there are too many headers, and counts the refusal."""
    limit: int | None = settings.CHAT_HEADER_COUNT
    if limit is None or count <= limit:
        return False
    count_refusal("CHAT_HEADER_COUNT")
    return True


def too_large_head(size: int) -> bool:
    """Returns whether the bytes of a head are over the limit, and counts the refusal."""
    limit: int | None = settings.CHAT_HEADER_SIZE
    if limit is None or size <= limit:
        return False
    count_refusal("CHAT_HEADER_SIZE")
    return True


class OpenConnections:
    """Limits open connections per address, upgraded ones included."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(self._counts.values())

    def enter(self, peer: str | None) -> Callable[[], None] | None:
        """Counts a connection and returns its release; None if it must be refused."""
        limit: int | None = settings.CHAT_CONNECTIONS_PER_ADDRESS
        network = _counted_network(peer)
        if limit is None or network is None:
            return leave_uncounted
        count = self._counts.get(network, 0)
        if count >= limit:
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
    """Releases a connection that no address counts."""


def _counted_network(peer: str | None) -> str | None:
    """Returns the network that counts a connection; None for a proxy or the loopback.

    Behind proxies all clients share the proxy's address. A Unix socket has none.
    """
    if settings.CHAT_TRUSTED_PROXIES or peer is None:
        return None
    return _network_beyond_loopback(peer)


# For each connection: parsing an address costs more than the look-up.
@lru_cache(4096)
def _network_beyond_loopback(peer: str) -> str | None:
    network = network_of(peer)
    try:
        return None if ip_address(network or "").is_loopback else network
    except ValueError:  # an IPv6 network, which is never the loopback address alone
        return network if peer != "::1" else None
