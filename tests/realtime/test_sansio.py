"""Writing past uvicorn's `send`: the same bytes, and only where it would have nothing to add."""

from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from realtime.outbox import Outbox
from realtime.transport import Event, connection_of

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)
COMPRESSED = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
HELLO: Event = {"type": "websocket.send", "text": "hello"}
HELLO_FRAME = b"\x81\x05hello"


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_extra_info(self, name: str) -> Any:
        return None

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...


async def accepted(headers: bytes = b"") -> tuple[Any, Transport]:
    """A socket of the stock class whose handshake is done, and what was written since."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    config = uvicorn.Config(application, log_config=None)
    config.load()
    protocol: Any = WebSocketsSansIOProtocol(config, ServerState(), {})
    transport = Transport()
    protocol.connection_made(transport)
    protocol.data_received(HANDSHAKE % headers)
    await protocol.send({"type": "websocket.accept"})
    protocol.stop_keepalive()
    transport.written.clear()
    return protocol, transport


async def test_a_text_goes_out_as_the_frame_that_send_would_have_made() -> None:
    protocol, transport = await accepted()
    offer = connection_of(protocol.receive, protocol.send).offer
    assert offer is not None
    assert offer(HELLO)
    await protocol.send({"type": "websocket.send", "text": "hello"})
    assert transport.written == [HELLO_FRAME, HELLO_FRAME]


async def test_what_is_no_text_goes_by_send() -> None:
    protocol, transport = await accepted()
    Outbox(connection_of(protocol.receive, protocol.send)).close(1000)
    assert protocol.close_sent
    assert transport.written == [b"\x88\x02\x03\xe8"]


async def test_nothing_is_written_to_a_peer_that_does_not_read() -> None:
    protocol, transport = await accepted()
    offer = connection_of(protocol.receive, protocol.send).offer
    assert offer is not None
    protocol.pause_writing()
    assert not offer(HELLO)
    protocol.resume_writing()
    assert offer(HELLO)
    assert transport.written == [HELLO_FRAME]


async def test_nothing_is_written_after_a_close() -> None:
    protocol, transport = await accepted()
    offer = connection_of(protocol.receive, protocol.send).offer
    assert offer is not None
    await protocol.send({"type": "websocket.close", "code": 1000})
    written = len(transport.written)
    assert not offer(HELLO)
    assert len(transport.written) == written


async def test_a_compressed_socket_is_left_to_send() -> None:
    protocol, transport = await accepted(COMPRESSED)
    offer = connection_of(protocol.receive, protocol.send).offer
    assert offer is not None
    assert not offer(HELLO)
    assert transport.written == []


async def test_an_unknown_uvicorn_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol, _ = await accepted()
    monkeypatch.setattr(uvicorn, "__version__", "0.55.0")
    assert connection_of(protocol.receive, protocol.send).offer is None
