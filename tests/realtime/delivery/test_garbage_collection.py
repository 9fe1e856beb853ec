"""Full garbage collections wait for a moment without messages."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from realtime.delivery import garbage_collection as module
from realtime.delivery.garbage_collection import GarbageCollector
from realtime.delivery.local_state import MessageFlow


@pytest.fixture
def messages() -> Iterator[MessageFlow]:
    before = gc.get_threshold()
    yield MessageFlow()
    gc.set_threshold(*before)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_INTERVAL", 0.01)
    monkeypatch.setattr(module, "MIN_INTERVAL", 0.0)
    monkeypatch.setattr(module, "MIN_YOUNG_COLLECTIONS", 0)


async def full_collections_within(seconds: float, messages: MessageFlow, *, flowing: bool) -> int:
    collections = GarbageCollector(messages)
    collections.start()
    before: int = gc.get_stats()[2]["collections"]
    for _ in range(round(seconds / 0.01)):
        if flowing:
            messages.record()
        await asyncio.sleep(0.01)
    collections.stop()
    ended: int = gc.get_stats()[2]["collections"]
    return ended - before


async def test_full_collection_runs_while_no_message_flows(messages: MessageFlow) -> None:
    assert await full_collections_within(0.5, messages, flowing=False) > 0


async def test_full_collection_waits_while_messages_flow(messages: MessageFlow) -> None:
    assert await full_collections_within(0.5, messages, flowing=True) == 0


async def test_full_collection_runs_in_an_endless_message_flow(
    messages: MessageFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_YOUNG_COLLECTIONS", 0)
    assert await full_collections_within(0.5, messages, flowing=True) > 0


async def test_new_objects_start_no_full_collection(messages: MessageFlow) -> None:
    collections = GarbageCollector(messages)
    collections.start()
    before = gc.get_stats()[2]["collections"]
    kept = [[number] for number in range(300_000)]
    assert gc.get_stats()[2]["collections"] == before
    assert len(kept) == 300_000
    collections.stop()
