"""Daphne's HTTP: connections per address."""

from typing import Any

from pytest_django import Settings
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from realtime.servers import daphne_http
from realtime.servers.http_connections import OpenConnections
from tests.realtime.servers.transports import new_line

open_connections = OpenConnections()
new_bounded_channel: Any = daphne_http.BoundedChannel


async def test_connections_per_address_are_limited(settings: Settings) -> None:
    settings.CHAT_CONNECTIONS_PER_ADDRESS = 1
    first, refused, second = (new_channel("192.0.2.1") for _ in range(3))
    first.makeConnection(first.line)
    refused.makeConnection(refused.line)
    assert (first.line.abort_called, refused.line.abort_called) == (False, True)
    first.line.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]
    second.makeConnection(second.line)
    assert not second.line.abort_called
    second.line.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]
    assert len(open_connections) == 0
    for channel in (first, refused, second):
        channel.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]


def new_channel(peer: str) -> Any:
    daphne_http.BoundedChannel.open_connections = open_connections
    channel: Any = new_bounded_channel()
    channel.timeOut = None
    channel.line = new_line(peerAddress=IPv4Address("TCP", peer, 50_000))
    return channel
