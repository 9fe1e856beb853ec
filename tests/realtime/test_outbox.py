"""The outbox: a peer that does not read delays nobody, and waits in bounds."""

import asyncio
import sys
from collections.abc import Callable

import pytest
from pytest_django import Settings
from typing_extensions import override

from realtime.close_codes import CloseCode
from realtime.delivery import send_queue as outbox_module
from realtime.delivery.send_queue import SendQueue
from realtime.servers.interface import Event
from tests.factories import Wire
from tests.realtime.wiring import send_queue, state


def word(text: str) -> Event:
    return {"type": "websocket.send", "text": text}


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def queue(wire: Wire) -> SendQueue:
    return send_queue(wire)


async def stuck(wire: Wire, queue: SendQueue) -> None:
    """The peer stops reading while "0" is on its way."""
    wire.block()
    assert queue.put(word("0"))
    await asyncio.sleep(0)


def test_a_send_that_does_not_block_is_done_at_once_and_needs_no_loop(
    wire: Wire, queue: SendQueue
) -> None:
    event = word("a")
    assert queue.put(event)
    assert wire.sent[0] is event


def test_a_text_goes_straight_once_there_is_a_way() -> None:
    wire = Wire(quick=True)
    queue = send_queue(wire)
    assert [queue.put(word(text)) for text in "012"] == [True, True, True]
    assert (wire.texts, wire.writes) == (["0", "1", "2"], 2)


async def test_nothing_goes_straight_while_something_waits() -> None:
    wire = Wire(quick=True)
    queue = send_queue(wire)
    changes: list[bool] = []
    queue.on_writer_change = lambda: changes.append(queue.direct_writer is not None)
    queue.put(word("first"))
    await stuck(wire, queue)
    queue.put(word("1"))
    wire.unblock()
    # It reads again, and what waited is yet to be written.
    queue.put(word("2"))
    assert queue.direct_writer is None
    await queue.drained()
    queue.put(word("3"))
    assert wire.texts == ["first", "0", "1", "2", "3"]
    assert changes == [True, False, True]


@pytest.mark.parametrize(
    "end", [lambda queue: queue.close(CloseCode.NORMAL), SendQueue.discard, SendQueue.cut]
)
def test_nothing_goes_straight_once_it_ends(end: Callable[[SendQueue], None]) -> None:
    queue = send_queue(Wire(quick=True))
    queue.put(word("0"))
    assert queue.direct_writer is not None
    end(queue)
    assert queue.direct_writer is None


def test_one_whose_way_fails_is_cut() -> None:
    class Torn(Wire):
        @override
        def _write(self, data: bytes) -> None:
            raise ConnectionResetError

    torn = Torn(quick=True)
    queue = send_queue(torn)
    assert queue.put(word("0"))
    assert queue.put(word("1"))
    assert torn.aborted
    assert queue.direct_writer is None


async def test_a_blocked_peer_delays_nobody(wire: Wire, queue: SendQueue) -> None:
    other = Wire()
    await stuck(wire, queue)
    assert queue.put(word("1"))
    assert send_queue(other).put(word("1"))
    assert (wire.texts, other.texts) == ([], ["1"])
    wire.unblock()
    await queue.drained()
    assert wire.texts == ["0", "1"]


async def test_the_order_is_kept_over_blocking_and_reading(wire: Wire, queue: SendQueue) -> None:
    said: list[str] = []
    for _ in range(3):
        wire.block()
        for _ in range(3):
            said.append(str(len(said)))
            queue.put(word(said[-1]))
            await asyncio.sleep(0)
        wire.unblock()
        await asyncio.sleep(0)
        said.append(str(len(said)))
        queue.put(word(said[-1]))
        await queue.drained()
        said.append(str(len(said)))
        queue.put(word(said[-1]))
    assert wire.texts == said


async def test_drained_waits_for_what_waits(wire: Wire, queue: SendQueue) -> None:
    await queue.drained()
    await stuck(wire, queue)
    draining = asyncio.ensure_future(queue.drained())
    await asyncio.sleep(0.01)
    assert not draining.done()
    wire.unblock()
    await asyncio.wait_for(draining, 5)
    assert wire.texts == ["0"]


async def test_too_many_frames_are_refused(
    wire: Wire, queue: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_FRAMES", 3)
    await stuck(wire, queue)
    assert [queue.put(word(text)) for text in "1234"] == [True, True, True, False]
    queue.discard()


@pytest.mark.parametrize("letter", ["a", "é", "語", "😀"])
async def test_too_many_bytes_are_refused(
    letter: str, wire: Wire, queue: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many bytes a character of the peer's choice takes."""
    text = letter * 1000
    monkeypatch.setattr(outbox_module, "MAX_BYTES", 2 * sys.getsizeof(text))
    await stuck(wire, queue)
    assert [queue.put(word(text)) for _ in range(3)] == [True, True, False]
    queue.discard()


@pytest.mark.parametrize("end", ["written", "cut", "lost"])
async def test_bytes_of_all_sockets_of_a_user_are_bounded_together(
    end: str, settings: Settings
) -> None:
    wires = [Wire() for _ in range(4)]
    outboxes = [send_queue(wire) for wire in wires]
    *own, other = outboxes
    text = "x" * 10_000
    settings.CHAT_SEND_BUFFER_PER_USER = 5 * sys.getsizeof(text)
    before = state.send_buffers.total
    for wire, queue, user_id in zip(wires, outboxes, (71, 71, 71, 72), strict=True):
        await stuck(wire, queue)
        queue.belong_to(user_id)
    assert [queue.put(word(text)) for queue in own * 2] == [True] * 5 + [False]
    assert other.put(word(text))
    for wire, queue in zip(wires, outboxes, strict=True):
        if end == "written":
            wire.unblock()
            await queue.drained()
        else:
            queue.cut() if end == "cut" else queue._lost(ConnectionResetError())
    assert state.send_buffers.total == before
    assert not state.send_buffers.is_full(71)


async def test_what_was_written_makes_room_again(
    wire: Wire, queue: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_BYTES", 2 * sys.getsizeof("12345"))
    monkeypatch.setattr(outbox_module, "MAX_FRAMES", 2)
    for _ in range(5):
        await stuck(wire, queue)
        assert queue.put(word("12345"))
        assert queue.put(word("12345"))
        wire.unblock()
        await queue.drained()
    assert len(wire.texts) == 15


async def test_the_droppable_go_first(
    wire: Wire, queue: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_FRAMES", 3)
    await stuck(wire, queue)
    for text in "ab":
        queue.put(word(text), droppable=True)
    assert all(queue.put(word(text)) for text in "123")
    assert queue.put(word("c"), droppable=True)
    assert not queue.put(word("4"))
    assert queue.put(word("d"), droppable=True)
    wire.unblock()
    await queue.drained()
    assert wire.texts == ["0", "1", "2", "3", "4"]


async def test_a_droppable_frame_never_makes_a_reader_too_slow(
    wire: Wire, queue: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_FRAMES", 2)
    await stuck(wire, queue)
    queue.put(word("1"))
    assert all(queue.put(word("typing"), droppable=True) for _ in range(20))
    assert queue.put(word("2"))
    wire.unblock()
    await queue.drained()
    assert wire.texts == ["0", "1", "2"]


async def test_a_close_comes_after_what_waits_and_nothing_after_it(
    wire: Wire, queue: SendQueue
) -> None:
    await stuck(wire, queue)
    queue.put(word("1"))
    queue.close(CloseCode.NORMAL)
    queue.put(word("2"))
    wire.unblock()
    await queue.drained()
    end = {"type": "websocket.close", "code": CloseCode.NORMAL, "reason": ""}
    assert wire.sent == [word("0"), word("1"), end]


def test_closing_twice_closes_once(wire: Wire, queue: SendQueue) -> None:
    queue.close(CloseCode.NORMAL)
    queue.close(CloseCode.TOO_SLOW)
    assert wire.sent == [{"type": "websocket.close", "code": CloseCode.NORMAL, "reason": ""}]


class Broken(Wire):
    @override
    async def send(self, event: Event) -> None:
        await super().send(event)
        raise ConnectionResetError


def test_a_peer_that_is_gone_troubles_nobody() -> None:
    broken = Broken()
    queue = send_queue(broken)
    assert queue.put(word("1"))
    assert queue.gone
    assert queue.put(word("2"))
    queue.close(CloseCode.NORMAL)
    assert broken.texts == ["1"]


async def test_a_peer_that_goes_while_it_blocks_troubles_nobody() -> None:
    broken = Broken()
    queue = send_queue(broken)
    await stuck(broken, queue)
    queue.put(word("1"))
    broken.unblock()
    await queue.drained()
    assert queue.gone
    assert broken.texts == ["0"]


async def test_cutting_ends_the_connection_and_forgets_what_waits(
    wire: Wire, queue: SendQueue
) -> None:
    await stuck(wire, queue)
    queue.put(word("1"))
    queue.cut()
    assert wire.aborted
    wire.unblock()
    await asyncio.sleep(0.01)
    queue.put(word("2"))
    assert wire.texts == []


LAST_WORD = word("too slow")


async def test_one_who_reads_again_hears_why_it_is_given_up(wire: Wire, queue: SendQueue) -> None:
    await stuck(wire, queue)
    queue.put(word("1"))
    queue.give_up(LAST_WORD, CloseCode.TOO_SLOW)
    queue.put(word("2"))
    wire.unblock()
    await queue.drained()
    assert wire.sent == [
        word("0"),
        LAST_WORD,
        {"type": "websocket.close", "code": CloseCode.TOO_SLOW, "reason": ""},
    ]
    assert not wire.aborted


async def test_one_who_does_not_even_take_the_last_word_is_cut(
    wire: Wire, queue: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "LAST_FRAME_TIMEOUT", 0.05)
    await stuck(wire, queue)
    queue.give_up(LAST_WORD, CloseCode.TOO_SLOW)
    assert not wire.aborted
    async with asyncio.timeout(5):
        while not wire.aborted:
            await asyncio.sleep(0.01)
    assert wire.texts == []


async def test_a_socket_is_given_up_once(wire: Wire, queue: SendQueue) -> None:
    for _ in range(2):
        queue.give_up(LAST_WORD, CloseCode.TOO_SLOW)
    assert [event["type"] for event in wire.sent] == ["websocket.send", "websocket.close"]


async def test_a_cancelled_send_that_blocked_ends_cleanly(wire: Wire, queue: SendQueue) -> None:
    wire.block()
    queue.put(word("0"))
    queue.discard()  # before its task ever ran
    await asyncio.wait_for(queue.drained(), 5)
    assert queue.gone
    assert wire.texts == []


async def test_one_who_waits_for_the_outbox_is_freed_by_a_cut(wire: Wire, queue: SendQueue) -> None:
    await stuck(wire, queue)
    draining = asyncio.ensure_future(queue.drained())
    await asyncio.sleep(0)
    queue.cut()
    await asyncio.wait_for(draining, 5)
