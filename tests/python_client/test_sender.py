"""When a message is sent again, when it fails, and what survives in a file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chat_backend_client.errors import NotAcknowledged, OutboxFull, Refused, TooLong
from chat_backend_client.outbox import Outbox, Outgoing
from chat_backend_client.sender import MAX_INTERNAL_ERRORS, Acknowledged, Sender
from chat_backend_client.storage import MemoryStorage, SqliteStorage

ACK = Acknowledged(1, 1, 1)


class Wire:
    """Notes frames; the test answers them."""

    def __init__(self, ack_timeout: float = 5.0) -> None:
        self.outbox = Outbox(MemoryStorage(), "box", 3)
        self.frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sender = Sender(self.outbox, self.transmit, ack_timeout)
        self.running = asyncio.create_task(self.sender.run())
        self.sender.connected()

    async def transmit(self, frame: dict[str, Any]) -> bool:
        self.frames.put_nowait(frame)
        return True

    async def sent(self) -> str:
        async with asyncio.timeout(3):
            return str((await self.frames.get())["message"])

    async def put(self, text: str) -> Outgoing:
        outgoing = Outgoing(text)
        await self.outbox.put(outgoing)
        return outgoing


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    one = Wire()
    yield one
    one.running.cancel()


async def test_one_message_is_in_flight_at_a_time(wire: Wire) -> None:
    first, second = await wire.put("one"), await wire.put("two")
    assert await wire.sent() == "one"
    await asyncio.sleep(0.05)
    assert (wire.frames.qsize(), first.state, second.state) == (0, "sending", "queued")
    wire.sender.acknowledged(first.client_id, ACK)
    assert await wire.sent() == "two"
    assert first.state == "sent"


async def test_lost_connection_sends_the_same_frame_again(wire: Wire) -> None:
    outgoing = await wire.put("one")
    await wire.sent()
    wire.sender.lost()
    await asyncio.sleep(0.05)
    assert (wire.frames.qsize(), outgoing.state) == (0, "queued")
    wire.sender.connected()
    assert await wire.sent() == "one"
    wire.sender.acknowledged(outgoing.client_id, ACK)
    assert (await outgoing.wait(1)).seq == 1


async def test_missing_acknowledgement_sends_again() -> None:
    wire = Wire(ack_timeout=0.05)
    await wire.put("one")
    assert [await wire.sent(), await wire.sent()] == ["one", "one"]
    wire.running.cancel()


async def test_temporary_refusal_waits_as_long_as_the_server_says(wire: Wire) -> None:
    outgoing = await wire.put("one")
    await wire.sent()
    wire.sender.refused(outgoing.client_id, Refused("rate_limited", "slow", retry_after=0.1))
    await asyncio.sleep(0.05)
    assert wire.frames.empty()
    assert await wire.sent() == "one"


async def test_permanent_refusal_fails_and_the_next_is_sent(wire: Wire) -> None:
    first = await wire.put("one")
    await wire.put("two")
    await wire.sent()
    wire.sender.refused(first.client_id, Refused("invalid", "too long"))
    assert await wire.sent() == "two"
    assert (first.state, first.temporary, wire.outbox.failed) == ("failed", False, [first])
    with pytest.raises(Refused):
        await first.wait(1)


async def test_message_that_breaks_the_server_does_not_block_the_others(wire: Wire) -> None:
    first = await wire.put("one")
    await wire.put("two")
    for _ in range(MAX_INTERNAL_ERRORS):
        assert await wire.sent() == "one"
        wire.sender.refused(first.client_id, Refused("internal", "a bug", retry_after=0.001))
    assert await wire.sent() == "two"
    assert (first.state, first.temporary) == ("failed", True)


async def test_refusal_of_another_frame_is_not_for_the_message(wire: Wire) -> None:
    outgoing = await wire.put("one")
    await wire.sent()
    wire.sender.refused("typing", Refused("invalid", "no"))
    await asyncio.sleep(0.02)
    assert outgoing.state == "sending"


async def test_full_outbox_refuses_and_waits_have_an_end() -> None:
    outbox = Outbox(MemoryStorage(), "box", 1)
    outgoing = Outgoing("one")
    await outbox.put(outgoing)
    with pytest.raises(OutboxFull):
        await outbox.put(Outgoing("two"))
    with pytest.raises(TooLong):
        await outbox.put(Outgoing("x" * 70_000))
    with pytest.raises(NotAcknowledged):
        await outgoing.wait(0.01)
    assert not await outbox.drained(0.01)


async def test_file_keeps_order_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    storage = SqliteStorage(path)
    outbox = Outbox(storage, "box a", 10)
    sent = [Outgoing(f"m{number}", reply_to=number) for number in range(3)]
    for outgoing in sent:
        await outbox.put(outgoing)
    await outbox.sent(sent[0], id=1, seq=1, version=1)
    await storage.save_value("tokens", "secret")
    await storage.close()
    again = SqliteStorage(path)
    later = Outbox(again, "box a", 10)
    await later.load()
    assert [one.frame() for one in later.waiting] == [one.frame() for one in sent[1:]]
    assert await again.boxes("box ") == ["box a"]
    assert await again.load_value("tokens") == "secret"
    assert path.stat().st_mode & 0o777 == 0o600
    await again.close()


async def test_storage_that_fails_does_not_stop_the_sending(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(wire.outbox._storage, "remove", full)
    first, _ = await wire.put("one"), await wire.put("two")
    assert await wire.sent() == "one"
    wire.sender.acknowledged(first.client_id, ACK)
    assert await wire.sent() == "two"
    assert (await first.wait(1)).seq == 1
