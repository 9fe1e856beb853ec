"""A send queue is bounded, and its slow peer delays no other socket."""

import asyncio
import sys
from collections.abc import Callable

import pytest
from pytest_django import Settings
from typing_extensions import override

from realtime.close_codes import CloseCode
from realtime.delivery import send_queue as send_queue_module
from realtime.delivery.send_queue import SendQueue
from realtime.servers.interface import Event
from tests.factories import Wire
from tests.realtime.wiring import send_queue, state


def text_frame(text: str) -> Event:
    return {"type": "websocket.send", "text": text}


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def queue(wire: Wire) -> SendQueue:
    return send_queue(wire)


async def block_during_send(wire: Wire, queue: SendQueue) -> None:
    """Makes the peer stop reading during the send of "0"."""
    wire.block()
    assert queue.put(text_frame("0"))
    await asyncio.sleep(0)


def test_send_that_does_not_block_needs_no_loop(wire: Wire, queue: SendQueue) -> None:
    event = text_frame("a")
    assert queue.put(event)
    assert wire.sent[0] is event


def test_texts_use_the_direct_writer_once_there_is_one() -> None:
    wire = Wire(direct=True)
    queue = send_queue(wire)
    assert [queue.put(text_frame(text)) for text in "012"] == [True, True, True]
    assert (wire.texts, wire.writes) == (["0", "1", "2"], 2)


async def test_no_direct_writer_while_frames_wait() -> None:
    wire = Wire(direct=True)
    queue = send_queue(wire)
    changes: list[bool] = []
    queue.on_writer_change = lambda: changes.append(queue.direct_writer is not None)
    queue.put(text_frame("first"))
    await block_during_send(wire, queue)
    queue.put(text_frame("1"))
    wire.unblock()
    # The peer reads again, and the queued frames are not written yet.
    queue.put(text_frame("2"))
    assert queue.direct_writer is None
    await queue.drained()
    queue.put(text_frame("3"))
    assert wire.texts == ["first", "0", "1", "2", "3"]
    assert changes == [True, False, True]


@pytest.mark.parametrize(
    "end", [lambda queue: queue.close(CloseCode.NORMAL), SendQueue.discard, SendQueue.cut]
)
def test_no_direct_writer_after_the_end(end: Callable[[SendQueue], None]) -> None:
    queue = send_queue(Wire(direct=True))
    queue.put(text_frame("0"))
    assert queue.direct_writer is not None
    end(queue)
    assert queue.direct_writer is None


def test_failing_direct_writer_is_cut() -> None:
    class FailingWire(Wire):
        @override
        def _write(self, data: bytes) -> None:
            raise ConnectionResetError

    failing = FailingWire(direct=True)
    queue = send_queue(failing)
    assert queue.put(text_frame("0"))
    assert queue.put(text_frame("1"))
    assert failing.aborted
    assert queue.direct_writer is None


async def test_blocked_peer_delays_no_other_peer(wire: Wire, queue: SendQueue) -> None:
    other = Wire()
    await block_during_send(wire, queue)
    assert queue.put(text_frame("1"))
    assert send_queue(other).put(text_frame("1"))
    assert (wire.texts, other.texts) == ([], ["1"])
    wire.unblock()
    await queue.drained()
    assert wire.texts == ["0", "1"]


async def test_order_is_kept_when_a_peer_blocks_and_resumes(wire: Wire, queue: SendQueue) -> None:
    put: list[str] = []
    for _ in range(3):
        wire.block()
        for _ in range(3):
            put.append(str(len(put)))
            queue.put(text_frame(put[-1]))
            await asyncio.sleep(0)
        wire.unblock()
        await asyncio.sleep(0)
        put.append(str(len(put)))
        queue.put(text_frame(put[-1]))
        await queue.drained()
        put.append(str(len(put)))
        queue.put(text_frame(put[-1]))
    assert wire.texts == put


async def test_drained_waits_for_queued_frames(wire: Wire, queue: SendQueue) -> None:
    await queue.drained()
    await block_during_send(wire, queue)
    draining = asyncio.ensure_future(queue.drained())
    await asyncio.sleep(0.01)
    assert not draining.done()
    wire.unblock()
    await asyncio.wait_for(draining, 5)
    assert wire.texts == ["0"]


async def test_too_many_frames_are_refused(
    wire: Wire, queue: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue_module, "MAX_FRAMES", 3)
    await block_during_send(wire, queue)
    assert [queue.put(text_frame(text)) for text in "1234"] == [True, True, True, False]
    queue.discard()


@pytest.mark.parametrize("letter", ["a", "é", "語", "😀"])
async def test_too_many_bytes_are_refused(
    letter: str, wire: Wire, queue: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit counts bytes, for any width of a character."""
    text = letter * 1000
    monkeypatch.setattr(send_queue_module, "MAX_BYTES", 2 * sys.getsizeof(text))
    await block_during_send(wire, queue)
    assert [queue.put(text_frame(text)) for _ in range(3)] == [True, True, False]
    queue.discard()


@pytest.mark.parametrize("end", ["written", "cut", "lost"])
async def test_bytes_of_all_sockets_of_a_user_are_bounded_together(
    end: str, settings: Settings
) -> None:
    wires = [Wire() for _ in range(4)]
    queues = [send_queue(wire) for wire in wires]
    *own, other = queues
    text = "x" * 10_000
    settings.CHAT_SEND_BUFFER_PER_USER = 5 * sys.getsizeof(text)
    before = state.send_buffers.total
    for wire, queue, user_id in zip(wires, queues, (71, 71, 71, 72), strict=True):
        await block_during_send(wire, queue)
        queue.belong_to(user_id)
    assert [queue.put(text_frame(text)) for queue in own * 2] == [True] * 5 + [False]
    assert other.put(text_frame(text))
    for wire, queue in zip(wires, queues, strict=True):
        if end == "written":
            wire.unblock()
            await queue.drained()
        else:
            queue.cut() if end == "cut" else queue._lost(ConnectionResetError())
    assert state.send_buffers.total == before
    assert not state.send_buffers.is_full(71)


async def test_written_frames_free_space(
    wire: Wire, queue: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue_module, "MAX_BYTES", 2 * sys.getsizeof("12345"))
    monkeypatch.setattr(send_queue_module, "MAX_FRAMES", 2)
    for _ in range(5):
        await block_during_send(wire, queue)
        assert queue.put(text_frame("12345"))
        assert queue.put(text_frame("12345"))
        wire.unblock()
        await queue.drained()
    assert len(wire.texts) == 15


async def test_droppable_frames_are_dropped_first(
    wire: Wire, queue: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue_module, "MAX_FRAMES", 3)
    await block_during_send(wire, queue)
    for text in "ab":
        queue.put(text_frame(text), droppable=True)
    assert all(queue.put(text_frame(text)) for text in "123")
    assert queue.put(text_frame("c"), droppable=True)
    assert not queue.put(text_frame("4"))
    assert queue.put(text_frame("d"), droppable=True)
    wire.unblock()
    await queue.drained()
    assert wire.texts == ["0", "1", "2", "3", "4"]


async def test_droppable_frame_never_makes_a_reader_too_slow(
    wire: Wire, queue: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue_module, "MAX_FRAMES", 2)
    await block_during_send(wire, queue)
    queue.put(text_frame("1"))
    assert all(queue.put(text_frame("typing"), droppable=True) for _ in range(20))
    assert queue.put(text_frame("2"))
    wire.unblock()
    await queue.drained()
    assert wire.texts == ["0", "1", "2"]


async def test_close_follows_queued_frames_and_ends_the_queue(wire: Wire, queue: SendQueue) -> None:
    await block_during_send(wire, queue)
    queue.put(text_frame("1"))
    queue.close(CloseCode.NORMAL)
    queue.put(text_frame("2"))
    wire.unblock()
    await queue.drained()
    end = {"type": "websocket.close", "code": CloseCode.NORMAL, "reason": ""}
    assert wire.sent == [text_frame("0"), text_frame("1"), end]


def test_closing_twice_closes_once(wire: Wire, queue: SendQueue) -> None:
    queue.close(CloseCode.NORMAL)
    queue.close(CloseCode.TOO_SLOW)
    assert wire.sent == [{"type": "websocket.close", "code": CloseCode.NORMAL, "reason": ""}]


class DisconnectedWire(Wire):
    @override
    async def send(self, event: Event) -> None:
        await super().send(event)
        raise ConnectionResetError


def test_put_to_a_disconnected_peer_raises_no_error() -> None:
    wire = DisconnectedWire()
    queue = send_queue(wire)
    assert queue.put(text_frame("1"))
    assert queue.disconnected
    assert queue.put(text_frame("2"))
    queue.close(CloseCode.NORMAL)
    assert wire.texts == ["1"]


async def test_peer_that_disconnects_while_blocked_raises_no_error() -> None:
    wire = DisconnectedWire()
    queue = send_queue(wire)
    await block_during_send(wire, queue)
    queue.put(text_frame("1"))
    wire.unblock()
    await queue.drained()
    assert queue.disconnected
    assert wire.texts == ["0"]


async def test_cut_aborts_the_connection_and_drops_queued_frames(
    wire: Wire, queue: SendQueue
) -> None:
    await block_during_send(wire, queue)
    queue.put(text_frame("1"))
    queue.cut()
    assert wire.aborted
    wire.unblock()
    await asyncio.sleep(0.01)
    queue.put(text_frame("2"))
    assert wire.texts == []


LAST_FRAME = text_frame("too slow")


async def test_slow_reader_that_resumes_receives_the_reason(wire: Wire, queue: SendQueue) -> None:
    await block_during_send(wire, queue)
    queue.put(text_frame("1"))
    queue.give_up(LAST_FRAME, CloseCode.TOO_SLOW)
    queue.put(text_frame("2"))
    wire.unblock()
    await queue.drained()
    assert wire.sent == [
        text_frame("0"),
        LAST_FRAME,
        {"type": "websocket.close", "code": CloseCode.TOO_SLOW, "reason": ""},
    ]
    assert not wire.aborted


async def test_peer_that_does_not_read_the_last_frame_is_cut(
    wire: Wire, queue: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue_module, "LAST_FRAME_TIMEOUT", 0.05)
    await block_during_send(wire, queue)
    queue.give_up(LAST_FRAME, CloseCode.TOO_SLOW)
    assert not wire.aborted
    async with asyncio.timeout(5):
        while not wire.aborted:
            await asyncio.sleep(0.01)
    assert wire.texts == []


async def test_give_up_twice_closes_once(wire: Wire, queue: SendQueue) -> None:
    for _ in range(2):
        queue.give_up(LAST_FRAME, CloseCode.TOO_SLOW)
    assert [event["type"] for event in wire.sent] == ["websocket.send", "websocket.close"]


async def test_cancelled_blocked_send_ends_cleanly(wire: Wire, queue: SendQueue) -> None:
    wire.block()
    queue.put(text_frame("0"))
    queue.discard()  # before its task ever ran
    await asyncio.wait_for(queue.drained(), 5)
    assert queue.disconnected
    assert wire.texts == []


async def test_cut_ends_the_wait_for_drained(wire: Wire, queue: SendQueue) -> None:
    await block_during_send(wire, queue)
    draining = asyncio.ensure_future(queue.drained())
    await asyncio.sleep(0)
    queue.cut()
    await asyncio.wait_for(draining, 5)
