"""Uvicorn's sockets: direct writes, and limits on what one peer may hold."""

import asyncio
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from realtime.servers import control_frames, uvicorn_sockets
from realtime.servers.detect import connection_of
from realtime.servers.interface import Connection, Event
from tests.factories import WeakReferableSendQueue
from tests.raw_websocket import CONTINUATION, PING, PONG, TEXT, masked
from tests.realtime.servers.transports import COMPRESSED, HANDSHAKE, Transport
from tests.realtime.wiring import send_queue, state

HELLO: Event = {"type": "websocket.send", "text": "hello"}
HELLO_FRAME = b"\x81\x05hello"
CLOSE = 8


async def accepted(headers: bytes = b"") -> tuple[Any, Transport]:
    """Opens a socket of uvicorn's class; the transport has what was written since."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    config = uvicorn.Config(application, log_config=None)
    config.load()
    protocol: Any = WebSocketsSansIOProtocol(config, ServerState(), {})
    transport = Transport()
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    protocol.data_received(HANDSHAKE % headers)
    await protocol.send({"type": "websocket.accept"})
    protocol.stop_keepalive()
    transport.written.clear()
    return protocol, transport


async def test_direct_write_makes_the_same_bytes_as_send() -> None:
    protocol, transport = await accepted()
    queue = send_queue(connection_of(protocol.receive, protocol.send))
    queue.put(HELLO)
    assert queue.direct_writer is not None
    queue.put(HELLO)
    await protocol.send({"type": "websocket.send", "text": "hello"})
    assert transport.written == [HELLO_FRAME] * 3


async def test_other_events_use_send() -> None:
    protocol, transport = await accepted()
    send_queue(connection_of(protocol.receive, protocol.send)).close(1000)
    assert protocol.close_sent
    assert transport.written == [b"\x88\x02\x03\xe8"]


async def watched(protocol: Any) -> tuple[Connection, list[str]]:
    """Returns the connection and a list of its direct writer's changes."""
    connection = connection_of(protocol.receive, protocol.send)
    changes: list[str] = []
    connection.watch(lambda: changes.append("change"))
    assert connection.direct_writer() is not None
    return connection, changes


async def test_no_direct_writer_for_a_peer_that_does_not_read() -> None:
    protocol, _ = await accepted()
    connection, changes = await watched(protocol)
    protocol.pause_writing()
    assert len(changes) == 1
    assert connection.direct_writer() is None
    protocol.resume_writing()
    assert len(changes) == 2
    assert connection.direct_writer() is not None


@pytest.mark.parametrize(
    "end",
    [
        lambda protocol: protocol.data_received(masked(b"\x03\xe8", CLOSE)),
        lambda protocol: protocol.data_received(b"\xff\xff no frame"),
        lambda protocol: protocol.keepalive_timeout(),
        lambda protocol: protocol.shutdown(),
        lambda protocol: protocol.connection_lost(None),
    ],
    ids=["a close", "a broken frame", "no pong", "a server going down", "a lost connection"],
)
async def test_no_direct_writer_after(end: Callable[[Any], None]) -> None:
    protocol, _ = await accepted()
    connection, changes = await watched(protocol)
    end(protocol)
    assert changes
    assert connection.direct_writer() is None


async def test_lost_connection_releases_its_send_queue() -> None:
    """At once, not at the next garbage collection: the queue may hold a megabyte."""
    protocol, _ = await accepted()
    queue = WeakReferableSendQueue(connection_of(protocol.receive, protocol.send), state)
    queue.put(HELLO)
    protocol.connection_lost(None)
    seen = weakref.ref(queue)
    del queue
    assert seen() is None


async def test_lost_connection_is_freed_without_a_garbage_collection() -> None:
    """A full collection visits all sockets' objects, and the process waits."""
    protocol, _ = await accepted()
    connection_of(protocol.receive, protocol.send)
    protocol.connection_lost(None)
    seen = weakref.ref(protocol.conn)
    del protocol.conn
    assert seen() is None


async def test_no_frames_are_written_after_a_close() -> None:
    protocol, transport = await accepted()
    queue = send_queue(connection_of(protocol.receive, protocol.send))
    queue.put(HELLO)
    queue.close(1000)
    written = len(transport.written)
    queue.put(HELLO)
    assert queue.direct_writer is None
    assert len(transport.written) == written
    # The peer has not answered it yet.
    assert not transport.is_closing()
    assert connection_of(protocol.receive, protocol.send).direct_writer() is None


async def test_compressed_socket_uses_send() -> None:
    protocol, _ = await accepted(COMPRESSED)
    assert connection_of(protocol.receive, protocol.send).direct_writer() is None


async def test_uvicorn_without_a_required_name_is_not_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uvicorn_sockets, "CAN_TAKE_OVER", False)
    protocol, _ = await accepted()
    assert connection_of(protocol.receive, protocol.send).direct_writer() is None
    assert type(protocol) is WebSocketsSansIOProtocol


async def test_close_frame_carries_its_reason() -> None:
    protocol, transport = await accepted()
    connection = connection_of(protocol.receive, protocol.send)
    await connection.send({"type": "websocket.close", "code": 4401, "reason": "token_invalid"})
    assert transport.written == [b"\x88\x0f" + (4401).to_bytes(2) + b"token_invalid"]


async def test_peer_that_does_not_read_gets_one_pong_later() -> None:
    protocol, transport = await accepted()
    connection_of(protocol.receive, protocol.send)
    protocol.data_received(masked(b"0", PING))
    protocol.pause_writing()
    for payload in (b"1", b"2", b"3"):
        protocol.data_received(masked(payload, PING) * 2)
    protocol.resume_writing()
    protocol.resume_writing()
    protocol.data_received(masked(b"4", PING))
    assert transport.written == [b"\x8a\x010", b"\x8a\x013", b"\x8a\x014"]


async def test_close_after_unread_pings_is_answered() -> None:
    protocol, transport = await accepted()
    connection_of(protocol.receive, protocol.send)
    protocol.pause_writing()
    protocol.data_received(masked(b"1", PING) + masked(b"\x03\xe8", CLOSE))
    protocol.resume_writing()
    assert b"".join(transport.written) == b"\x8a\x011\x88\x02\x03\xe8"


async def test_no_frame_follows_our_close() -> None:
    protocol, transport = await accepted()
    connection = connection_of(protocol.receive, protocol.send)
    protocol.data_received(masked(b"0", PING))
    await connection.send({"type": "websocket.close", "code": 1000})
    protocol.pause_writing()
    protocol.data_received(masked(b"1", PING))
    protocol.resume_writing()
    assert transport.written == [b"\x8a\x010", b"\x88\x02\x03\xe8"]


def piece(text: bytes, opcode: int = CONTINUATION) -> bytes:
    """A frame that is not the last of its message."""
    frame = masked(text, opcode)
    return bytes([frame[0] & 0x7F]) + frame[1:]


@pytest.mark.parametrize("begun", [False, True])
async def test_fragmented_message_takes_the_memory_of_its_text(begun: bool) -> None:
    """Also when fragments arrived before we took over the socket."""
    protocol, _ = await accepted()
    first = piece(b"he", TEXT) + piece(b"l")
    if begun:
        protocol.data_received(first)
    connection = connection_of(protocol.receive, protocol.send)
    if not begun:
        protocol.data_received(first)
    protocol.data_received(piece(b"") * 10_000)
    assert sys.getsizeof(protocol.frames) + sum(map(sys.getsizeof, protocol.frames)) < 1000
    protocol.data_received(masked(b"lo", CONTINUATION))
    assert (await connection.receive())["type"] == "websocket.connect"
    assert await connection.receive() == {"type": "websocket.receive", "text": "hello"}


async def test_peer_that_answers_no_ping_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uvicorn_sockets, "ABORT_DELAY", 0.01)
    protocol, transport = await accepted()
    connection_of(protocol.receive, protocol.send)
    protocol.keepalive_timeout()
    assert transport.written[-1].startswith(b"\x88")
    assert not transport.aborted.is_set()
    async with asyncio.timeout(5):
        await transport.aborted.wait()


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_too_many_control_frames_cut_the_connection(
    monkeypatch: pytest.MonkeyPatch, opcode: int
) -> None:
    monkeypatch.setattr(control_frames, "MAX_CONTROL_FRAMES", 10)
    protocol, transport = await accepted()
    connection_of(protocol.receive, protocol.send)
    protocol.data_received(masked(b"", opcode) * 10)
    assert not transport.aborted.is_set()
    much = masked(b"", opcode) * (2 * uvicorn_sockets.MAX_CHUNK)
    protocol.data_received(much + masked(b"unread", TEXT))
    assert transport.aborted.is_set()
    assert protocol.queue.qsize() == 1  # the connect


async def test_occasional_pings_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_frames, "MAX_CONTROL_FRAMES", 10)
    monkeypatch.setattr(control_frames, "WINDOW", 0.0)
    protocol, transport = await accepted()
    connection_of(protocol.receive, protocol.send)
    protocol.data_received(masked(b"", PING) * 100)
    assert not transport.aborted.is_set()


async def test_limits_hold_on_an_unknown_uvicorn_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uvicorn_sockets, "CAN_TAKE_OVER", False)
    monkeypatch.setattr(control_frames, "MAX_CONTROL_FRAMES", 10)
    protocol, transport = await accepted()
    connection_of(protocol.receive, protocol.send)
    for byte in masked(b"payload", TEXT) + masked(b"x" * 300, TEXT) + masked(b"", PING) * 10:
        transport.protocol.data_received(bytes([byte]))
    assert not transport.aborted.is_set()
    transport.protocol.data_received(masked(b"", PONG))
    assert transport.aborted.is_set()


async def test_unknown_uvicorn_version_bounds_queued_pongs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uvicorn_sockets, "CAN_TAKE_OVER", False)
    protocol, transport = await accepted()
    connection_of(protocol.receive, protocol.send)
    transport.protocol.data_received(masked(b"1", PING))
    assert transport.written == [b"\x8a\x011"]
    transport.buffered = 2 * 1024 * 1024
    transport.protocol.data_received(masked(b"2", PING))
    assert transport.aborted.is_set()
