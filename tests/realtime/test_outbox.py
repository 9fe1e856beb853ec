"""The outbox: a peer that does not read delays nobody, and waits in bounds."""

import asyncio
import sys
from collections.abc import Callable

import pytest
from pytest_django import Settings
from typing_extensions import override

from realtime.close_codes import NORMAL, TOO_SLOW
from realtime.delivery import send_queue as outbox_module
from realtime.delivery.send_buffers import send_buffers
from realtime.delivery.send_queue import SendQueue
from realtime.servers.interface import Event
from tests.factories import Wire


def word(text: str) -> Event:
    return {"type": "websocket.send", "text": text}


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def outbox(wire: Wire) -> SendQueue:
    return SendQueue(wire)


async def stuck(wire: Wire, outbox: SendQueue) -> None:
    """The peer stops reading while "0" is on its way."""
    wire.block()
    assert outbox.put(word("0"))
    await asyncio.sleep(0)


def test_a_send_that_does_not_block_is_done_at_once_and_needs_no_loop(
    wire: Wire, outbox: SendQueue
) -> None:
    event = word("a")
    assert outbox.put(event)
    assert wire.sent[0] is event


def test_a_text_goes_straight_once_there_is_a_way() -> None:
    wire = Wire(quick=True)
    outbox = SendQueue(wire)
    assert [outbox.put(word(text)) for text in "012"] == [True, True, True]
    assert (wire.texts, wire.writes) == (["0", "1", "2"], 2)


async def test_nothing_goes_straight_while_something_waits() -> None:
    wire = Wire(quick=True)
    outbox = SendQueue(wire)
    changes: list[bool] = []
    outbox.on_way_change = lambda: changes.append(outbox.way is not None)
    outbox.put(word("first"))
    await stuck(wire, outbox)
    outbox.put(word("1"))
    wire.unblock()
    # It reads again, and what waited is yet to be written.
    outbox.put(word("2"))
    assert outbox.way is None
    await outbox.drained()
    outbox.put(word("3"))
    assert wire.texts == ["first", "0", "1", "2", "3"]
    assert changes == [True, False, True]


@pytest.mark.parametrize(
    "end", [lambda outbox: outbox.close(NORMAL), SendQueue.discard, SendQueue.cut]
)
def test_nothing_goes_straight_once_it_ends(end: Callable[[SendQueue], None]) -> None:
    outbox = SendQueue(Wire(quick=True))
    outbox.put(word("0"))
    assert outbox.way is not None
    end(outbox)
    assert outbox.way is None


def test_one_whose_way_fails_is_cut() -> None:
    class Torn(Wire):
        @override
        def _write(self, data: bytes) -> None:
            raise ConnectionResetError

    torn = Torn(quick=True)
    outbox = SendQueue(torn)
    assert outbox.put(word("0"))
    assert outbox.put(word("1"))
    assert torn.aborted
    assert outbox.way is None


async def test_a_blocked_peer_delays_nobody(wire: Wire, outbox: SendQueue) -> None:
    other = Wire()
    await stuck(wire, outbox)
    assert outbox.put(word("1"))
    assert SendQueue(other).put(word("1"))
    assert (wire.texts, other.texts) == ([], ["1"])
    wire.unblock()
    await outbox.drained()
    assert wire.texts == ["0", "1"]


async def test_the_order_is_kept_over_blocking_and_reading(wire: Wire, outbox: SendQueue) -> None:
    said: list[str] = []
    for _ in range(3):
        wire.block()
        for _ in range(3):
            said.append(str(len(said)))
            outbox.put(word(said[-1]))
            await asyncio.sleep(0)
        wire.unblock()
        await asyncio.sleep(0)
        said.append(str(len(said)))
        outbox.put(word(said[-1]))
        await outbox.drained()
        said.append(str(len(said)))
        outbox.put(word(said[-1]))
    assert wire.texts == said


async def test_drained_waits_for_what_waits(wire: Wire, outbox: SendQueue) -> None:
    await outbox.drained()
    await stuck(wire, outbox)
    draining = asyncio.ensure_future(outbox.drained())
    await asyncio.sleep(0.01)
    assert not draining.done()
    wire.unblock()
    await asyncio.wait_for(draining, 5)
    assert wire.texts == ["0"]


async def test_too_many_frames_are_refused(
    wire: Wire, outbox: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_FRAMES", 3)
    await stuck(wire, outbox)
    assert [outbox.put(word(text)) for text in "1234"] == [True, True, True, False]
    outbox.discard()


@pytest.mark.parametrize("letter", ["a", "é", "語", "😀"])
async def test_too_many_bytes_are_refused(
    letter: str, wire: Wire, outbox: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many bytes a character of the peer's choice takes."""
    text = letter * 1000
    monkeypatch.setattr(outbox_module, "MAX_BYTES", 2 * sys.getsizeof(text))
    await stuck(wire, outbox)
    assert [outbox.put(word(text)) for _ in range(3)] == [True, True, False]
    outbox.discard()


@pytest.mark.parametrize("end", ["written", "cut", "lost"])
async def test_bytes_of_all_sockets_of_a_user_are_bounded_together(
    end: str, settings: Settings
) -> None:
    wires = [Wire() for _ in range(4)]
    outboxes = [SendQueue(wire) for wire in wires]
    *own, other = outboxes
    text = "x" * 10_000
    settings.CHAT_SEND_BUFFER_PER_USER = 5 * sys.getsizeof(text)
    before = send_buffers.total
    for wire, outbox, user_id in zip(wires, outboxes, (71, 71, 71, 72), strict=True):
        await stuck(wire, outbox)
        outbox.belong_to(user_id)
    assert [outbox.put(word(text)) for outbox in own * 2] == [True] * 5 + [False]
    assert other.put(word(text))
    for wire, outbox in zip(wires, outboxes, strict=True):
        if end == "written":
            wire.unblock()
            await outbox.drained()
        else:
            outbox.cut() if end == "cut" else outbox._lost(ConnectionResetError())
    assert send_buffers.total == before
    assert not send_buffers.is_full(71)


async def test_what_was_written_makes_room_again(
    wire: Wire, outbox: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_BYTES", 2 * sys.getsizeof("12345"))
    monkeypatch.setattr(outbox_module, "MAX_FRAMES", 2)
    for _ in range(5):
        await stuck(wire, outbox)
        assert outbox.put(word("12345"))
        assert outbox.put(word("12345"))
        wire.unblock()
        await outbox.drained()
    assert len(wire.texts) == 15


async def test_the_droppable_go_first(
    wire: Wire, outbox: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_FRAMES", 3)
    await stuck(wire, outbox)
    for text in "ab":
        outbox.put(word(text), droppable=True)
    assert all(outbox.put(word(text)) for text in "123")
    assert outbox.put(word("c"), droppable=True)
    assert not outbox.put(word("4"))
    assert outbox.put(word("d"), droppable=True)
    wire.unblock()
    await outbox.drained()
    assert wire.texts == ["0", "1", "2", "3", "4"]


async def test_a_droppable_frame_never_makes_a_reader_too_slow(
    wire: Wire, outbox: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_FRAMES", 2)
    await stuck(wire, outbox)
    outbox.put(word("1"))
    assert all(outbox.put(word("typing"), droppable=True) for _ in range(20))
    assert outbox.put(word("2"))
    wire.unblock()
    await outbox.drained()
    assert wire.texts == ["0", "1", "2"]


async def test_a_close_comes_after_what_waits_and_nothing_after_it(
    wire: Wire, outbox: SendQueue
) -> None:
    await stuck(wire, outbox)
    outbox.put(word("1"))
    outbox.close(NORMAL)
    outbox.put(word("2"))
    wire.unblock()
    await outbox.drained()
    end = {"type": "websocket.close", "code": NORMAL, "reason": ""}
    assert wire.sent == [word("0"), word("1"), end]


def test_closing_twice_closes_once(wire: Wire, outbox: SendQueue) -> None:
    outbox.close(NORMAL)
    outbox.close(TOO_SLOW)
    assert wire.sent == [{"type": "websocket.close", "code": NORMAL, "reason": ""}]


class Broken(Wire):
    @override
    async def send(self, event: Event) -> None:
        await super().send(event)
        raise ConnectionResetError


def test_a_peer_that_is_gone_troubles_nobody() -> None:
    broken = Broken()
    outbox = SendQueue(broken)
    assert outbox.put(word("1"))
    assert outbox.gone
    assert outbox.put(word("2"))
    outbox.close(NORMAL)
    assert broken.texts == ["1"]


async def test_a_peer_that_goes_while_it_blocks_troubles_nobody() -> None:
    broken = Broken()
    outbox = SendQueue(broken)
    await stuck(broken, outbox)
    outbox.put(word("1"))
    broken.unblock()
    await outbox.drained()
    assert outbox.gone
    assert broken.texts == ["0"]


async def test_cutting_ends_the_connection_and_forgets_what_waits(
    wire: Wire, outbox: SendQueue
) -> None:
    await stuck(wire, outbox)
    outbox.put(word("1"))
    outbox.cut()
    assert wire.aborted
    wire.unblock()
    await asyncio.sleep(0.01)
    outbox.put(word("2"))
    assert wire.texts == []


LAST_WORD = word("too slow")


async def test_one_who_reads_again_hears_why_it_is_given_up(wire: Wire, outbox: SendQueue) -> None:
    await stuck(wire, outbox)
    outbox.put(word("1"))
    outbox.give_up(LAST_WORD, TOO_SLOW)
    outbox.put(word("2"))
    wire.unblock()
    await outbox.drained()
    assert wire.sent == [
        word("0"),
        LAST_WORD,
        {"type": "websocket.close", "code": TOO_SLOW, "reason": ""},
    ]
    assert not wire.aborted


async def test_one_who_does_not_even_take_the_last_word_is_cut(
    wire: Wire, outbox: SendQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "LAST_FRAME_TIMEOUT", 0.05)
    await stuck(wire, outbox)
    outbox.give_up(LAST_WORD, TOO_SLOW)
    assert not wire.aborted
    async with asyncio.timeout(5):
        while not wire.aborted:
            await asyncio.sleep(0.01)
    assert wire.texts == []


async def test_a_socket_is_given_up_once(wire: Wire, outbox: SendQueue) -> None:
    for _ in range(2):
        outbox.give_up(LAST_WORD, TOO_SLOW)
    assert [event["type"] for event in wire.sent] == ["websocket.send", "websocket.close"]


async def test_a_cancelled_send_that_blocked_ends_cleanly(wire: Wire, outbox: SendQueue) -> None:
    wire.block()
    outbox.put(word("0"))
    outbox.discard()  # before its task ever ran
    await asyncio.wait_for(outbox.drained(), 5)
    assert outbox.gone
    assert wire.texts == []


async def test_one_who_waits_for_the_outbox_is_freed_by_a_cut(
    wire: Wire, outbox: SendQueue
) -> None:
    await stuck(wire, outbox)
    draining = asyncio.ensure_future(outbox.drained())
    await asyncio.sleep(0)
    outbox.cut()
    await asyncio.wait_for(draining, 5)
