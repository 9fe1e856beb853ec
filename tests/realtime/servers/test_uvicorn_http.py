"""Uvicorn's HTTP: connections per address, and no compression of sockets."""

from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from pytest_django import Settings
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from realtime.servers import uvicorn_http
from realtime.servers.http_connections import OpenConnections
from tests.realtime.servers.transports import COMPRESSED, HANDSHAKE, Transport

open_connections = OpenConnections()


def http(stock: type[Any], peer: str) -> tuple[Any, Transport]:
    """A connection of one of uvicorn's HTTP classes, from an address."""
    for _ in range(2):
        uvicorn_http.bound_http(open_connections)
    config = uvicorn.Config(lambda scope: None, log_config=None)
    config.load()
    protocol, transport = stock(config, ServerState(), {}), Transport()
    transport.peer = peer
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    return protocol, transport


@pytest.fixture
def stock_http() -> Iterator[None]:
    yield
    for stock in (HttpToolsProtocol, H11Protocol):
        if "__new__" in vars(stock):
            del stock.__new__


@pytest.mark.usefixtures("stock_http")
@pytest.mark.parametrize("stock", [HttpToolsProtocol, H11Protocol])
async def test_connections_per_address_are_limited_and_include_sockets(
    settings: Settings, stock: type[Any]
) -> None:
    settings.CHAT_CONNECTIONS_PER_ADDRESS = 2
    upgraded, wire = http(stock, "192.0.2.1")
    upgraded.data_received(HANDSHAKE % b"")
    second, _ = http(stock, "192.0.2.1")
    assert http(stock, "192.0.2.1")[1].aborted.is_set()
    other, away = http(stock, "192.0.2.2")
    assert not away.aborted.is_set()
    wire.protocol.connection_lost(None)
    third, again = http(stock, "192.0.2.1")
    assert not again.aborted.is_set()
    assert len(open_connections) == 3
    for protocol in (second, other, third):
        protocol.connection_lost(None)
    assert len(open_connections) == 0


@pytest.mark.usefixtures("stock_http")
@pytest.mark.parametrize("stock", [HttpToolsProtocol, H11Protocol])
async def test_compression_is_not_negotiated(stock: type[Any]) -> None:
    protocol, transport = http(stock, "192.0.2.1")
    protocol.data_received(HANDSHAKE % COMPRESSED)
    assert isinstance(transport.protocol, WebSocketsSansIOProtocol)
    assert "Sec-WebSocket-Extensions" in transport.protocol.request.headers
    assert "Sec-WebSocket-Extensions" not in transport.protocol.response.headers
    transport.protocol.connection_lost(None)


@pytest.mark.usefixtures("stock_http")
@pytest.mark.parametrize(
    ("peer", "proxies"), [("127.0.0.1", 0), ("::1", 0), ("::ffff:127.0.0.1", 0), ("192.0.2.1", 1)]
)
async def test_connections_of_a_proxy_are_not_counted(
    settings: Settings, peer: str, proxies: int
) -> None:
    settings.CHAT_CONNECTIONS_PER_ADDRESS = 1
    settings.CHAT_TRUSTED_PROXIES = proxies
    made = [http(HttpToolsProtocol, peer) for _ in range(3)]
    assert not any(transport.aborted.is_set() for _, transport in made)
    for protocol, _ in made:
        protocol.connection_lost(None)
    assert len(open_connections) == 0


@pytest.mark.usefixtures("stock_http")
@pytest.mark.parametrize(("count", "is_cut"), [(33, False), (34, True), (14_000, True)])
@pytest.mark.parametrize("body", [b"", b"b"])
async def test_requests_that_wait_for_an_answer_are_limited(
    count: int, is_cut: bool, body: bytes
) -> None:
    protocol, wire = http(HttpToolsProtocol, "192.0.2.1")
    if body:  # the rest of a body comes in one read with the next requests
        protocol.data_received(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\na")
        count -= 1
    protocol.data_received(body + b"GET / HTTP/1.1\r\n\r\n" * count)
    assert wire.aborted.is_set() == is_cut
    assert len(protocol.pipeline) == 32
    protocol.connection_lost(None)
