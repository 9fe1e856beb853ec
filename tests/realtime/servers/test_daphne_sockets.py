"""Daphne's sockets: direct writes, and limits on what one peer may hold."""

import asyncio
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from typing_extensions import override

from realtime.servers import control_frames, daphne_sockets, draining
from realtime.servers.detect import connection_of
from tests.factories import WeakReferableSendQueue
from tests.raw_websocket import PING, PONG, TEXT, handshake, masked
from tests.realtime.servers.transports import new_line
from tests.realtime.wiring import state

new_factory: Any = WebSocketServerFactory  # autobahn has no types


def on_daphne() -> tuple[Any, Any]:
    """Opens a connection: autobahn's protocol, and our Connection."""
    protocol: Any = WebSocketServerProtocol()
    protocol.factory = new_factory(reactor=Clock())
    protocol.factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
    protocol.taken = []
    protocol.onMessage = lambda payload, is_binary: protocol.taken.append(payload)
    line = new_line()
    line.registerProducer(line, True)  # instead of the HTTP channel
    protocol.makeConnection(line)

    async def send(protocol: Any, event: Any) -> None:
        protocol.sendMessage(event["text"].encode())

    async def receive() -> Any: ...

    protocol.dataReceived(handshake("ws://localhost:80/"))
    connection = connection_of(receive, partial(send, protocol))
    line.clear()
    return protocol, connection


async def test_text_is_written_directly_while_the_peer_reads() -> None:
    protocol, connection = on_daphne()
    changes: list[str] = []
    connection.watch(lambda: changes.append("change"))
    write = connection.direct_writer()
    assert write is not None
    write(b"\x81\x05hello")
    assert protocol.transport.value() == b"\x81\x05hello"
    protocol.transport.producer.pauseProducing()
    assert len(changes) == 1
    assert connection.direct_writer() is None
    protocol.transport.producer.resumeProducing()
    assert len(changes) == 2
    assert connection.direct_writer() is not None


class Narrow(FileDescriptor):
    """Twisted's real buffering over a kernel that takes a few bytes at a time."""

    TLS = False
    abortConnection = FileDescriptor.loseConnection  # noqa: N815 - Twisted names it

    def __init__(self) -> None:
        super().__init__(reactor=Mock())
        self.connected = 1
        self.takes = 0
        self.sent = b""

    @override
    def writeSomeData(self, data: bytes) -> int | BaseException:
        if self.takes < 0:
            return ConnectionLost()
        taken = bytes(data[: self.takes])
        self.takes -= len(taken)
        self.sent += taken
        return len(taken)


def on_tcp(narrow: Any) -> Any:
    """Opens a connection on daphne over this transport."""
    protocol, _ = on_daphne()
    protocol.transport = narrow
    return connection_of(protocol.onMessage, partial(protocol.sendMessage, protocol))


async def test_text_reaches_the_kernel_in_the_same_loop_turn() -> None:
    narrow: Any = Narrow()
    write = on_tcp(narrow).direct_writer()
    narrow.takes = 100
    write(b"at once")
    assert narrow.sent == b"at once"
    assert not narrow.reactor.addWriter.called


async def test_bytes_that_the_kernel_refuses_keep_their_order() -> None:
    narrow: Any = Narrow()
    write = on_tcp(narrow).direct_writer()
    narrow.takes = 3
    write(b"one,")
    narrow.takes = 100
    write(b"two,")
    assert narrow.sent == b"one"
    narrow.takes = 2
    narrow.doWrite()
    narrow.takes = 100
    write(b"three,")
    assert narrow.sent == b"one,t"
    narrow.doWrite()
    write(b"four")
    assert narrow.sent == b"one,two,three,four"


async def test_reading_peer_is_not_paused_by_large_writes_in_one_loop_turn() -> None:
    narrow: Any = Narrow()
    connection = on_tcp(narrow)
    narrow.takes = narrow.bufferSize * 3
    for _ in range(3):
        connection.direct_writer()(bytes(narrow.bufferSize))
    assert connection.direct_writer() is not None
    for _ in range(2):
        connection.direct_writer()(bytes(narrow.bufferSize - 1))
    assert connection.direct_writer() is None


async def test_lost_connection_is_left_to_twisted() -> None:
    narrow: Any = Narrow()
    write = on_tcp(narrow).direct_writer()
    narrow.takes = -1
    write(b"dropped")
    narrow.reactor.addWriter.assert_called_once_with(narrow)


async def test_connection_released_by_twisted_is_not_written_to() -> None:
    narrow: Any = Narrow()
    write = on_tcp(narrow).direct_writer()
    narrow.takes = 100
    narrow.connected = 0
    write(b"dropped")
    assert narrow.sent == b""


class Encrypting:
    """Forwards missing attributes to the transport below, as Twisted's wrappers do."""

    def __init__(self, below: Any) -> None:
        self.below = below
        self.encrypted = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)

    def write(self, data: bytes) -> None:
        self.encrypted += data


async def test_no_direct_write_bypasses_tls() -> None:
    narrow = Narrow()
    narrow.takes = 100
    encrypting = Encrypting(narrow)
    on_tcp(encrypting).direct_writer()(b"secret")
    assert encrypting.encrypted == b"secret"
    assert narrow.sent == b""


async def test_no_direct_write_bypasses_tls_started_later() -> None:
    narrow: Any = Narrow()
    narrow.TLS = True  # Twisted sets this at startTLS; from then on its `write` encrypts
    narrow.takes = 100
    on_tcp(narrow).direct_writer()(b"secret")
    assert narrow.sent == b""


async def test_no_direct_writer_after_a_close() -> None:
    protocol, connection = on_daphne()
    write = connection.direct_writer()
    assert write is not None
    protocol.sendCloseFrame(code=1000)
    written = protocol.transport.value()
    write(b"\x81\x05hello")
    assert protocol.transport.value() == written
    assert connection.direct_writer() is None


@pytest.mark.parametrize(
    "end",
    [
        lambda protocol: protocol.dropConnection(abort=True),
        lambda protocol: protocol.transport.producer.stopProducing(),
    ],
    ids=["by autobahn", "by the transport"],
)
async def test_no_direct_writer_after_the_end(end: Callable[[Any], None]) -> None:
    protocol, connection = on_daphne()
    changes: list[str] = []
    connection.watch(lambda: changes.append("change"))
    end(protocol)
    assert changes
    assert connection.direct_writer() is None


async def test_lost_connection_releases_its_send_queue() -> None:
    protocol, connection = on_daphne()
    queue = WeakReferableSendQueue(connection, state)
    queue.put({"type": "websocket.send", "text": "hello"})
    protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]
    seen = weakref.ref(queue)
    del queue, connection
    assert seen() is None


async def test_compressed_or_queued_frames_use_send() -> None:
    protocol, connection = on_daphne()
    protocol.send_queue.append((b"", True))
    assert connection.direct_writer() is None
    protocol.send_queue.clear()
    assert connection.direct_writer() is not None
    protocol._perMessageCompress = object()
    assert connection.direct_writer() is None


async def test_peer_that_does_not_read_gets_one_pong_later() -> None:
    protocol, _ = on_daphne()
    line = protocol.transport
    protocol.dataReceived(masked(b"0", PING))
    line.producer.pauseProducing()
    for payload in (b"1", b"2", b"3"):
        protocol.dataReceived(masked(payload, PING) * 2)
    line.producer.resumeProducing()
    line.producer.resumeProducing()
    protocol.dataReceived(masked(b"4", PING))
    assert line.value() == b"\x8a\x010\x8a\x013\x8a\x014"


async def test_fragmented_message_takes_the_memory_of_its_text() -> None:
    protocol, _ = on_daphne()
    begin, empty, end = masked(b"hel", TEXT), masked(b"", 0), masked(b"lo", 0)
    protocol.dataReceived(bytes([begin[0] & 0x7F]) + begin[1:])
    protocol.dataReceived((bytes([empty[0] & 0x7F]) + empty[1:]) * 1000)
    assert len(protocol.message_data) == 1
    protocol.dataReceived(end)
    assert protocol.taken == [b"hello"]


async def test_waiting_writer_is_released_when_autobahn_aborts() -> None:
    protocol, connection = on_daphne()
    line = protocol.transport
    line.producer.pauseProducing()
    sending = asyncio.ensure_future(
        connection.send({"type": "websocket.send", "text": "unread"}),
    )
    await asyncio.sleep(0)
    assert not sending.done()
    protocol.onAutoPingTimeout()
    await asyncio.wait([sending], timeout=5)
    assert sending.done()


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_too_many_empty_frames_cut_the_connection(
    monkeypatch: pytest.MonkeyPatch, opcode: int
) -> None:
    monkeypatch.setattr(control_frames, "MAX_CONTROL_FRAMES", 10)
    protocol, _ = on_daphne()
    protocol.dataReceived(masked(b"", opcode) * 10)
    assert not protocol.transport.abort_called
    protocol.dataReceived(masked(b"", opcode) + masked(b"unread", TEXT))
    assert protocol.transport.abort_called
    assert protocol.taken == []


async def test_close_frame_carries_its_reason() -> None:
    protocol, connection = on_daphne()
    await connection.send({"type": "websocket.close", "code": 4401, "reason": "token_invalid"})
    assert protocol.transport.value() == b"\x88\x0f" + (4401).to_bytes(2) + b"token_invalid"


async def test_bytes_after_our_close_are_not_stored() -> None:
    protocol, connection = on_daphne()
    await connection.send({"type": "websocket.close", "code": 1000})
    protocol.dataReceived(masked(b"late", TEXT) * 3)
    assert protocol.taken == []
    line = protocol.transport
    line.resumeProducing()
    for _ in range(3):
        protocol.dataReceived(bytes(draining.MAX_DRAIN // 2))
    assert line.producerState == "paused"


@pytest.mark.parametrize("opcode", [PING, PONG, 0])
async def test_limits_hold_on_an_unknown_autobahn_version(
    monkeypatch: pytest.MonkeyPatch, opcode: int
) -> None:
    monkeypatch.setattr(daphne_sockets, "KNOWS_AUTOBAHN", False)
    monkeypatch.setattr(control_frames, "MAX_CONTROL_FRAMES", 10)
    protocol, connection = on_daphne()
    assert connection.direct_writer() is None
    first, frame = masked(b"he", TEXT), masked(b"", opcode)
    if opcode == 0:
        protocol.dataReceived(bytes([first[0] & 0x7F]) + first[1:])
        frame = bytes([frame[0] & 0x7F]) + frame[1:]
    protocol.dataReceived(frame * 9)
    assert not protocol.transport.abort_called
    protocol.dataReceived(frame * 2)
    assert protocol.transport.abort_called
