"""Receives messages from processes that may run another version."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from realtime.cluster import broker as module
from realtime.cluster.broker import RETRY_DELAY, LayerLink
from realtime.cluster.messages import CloseRoom, ClusterMessage
from realtime.delivery.batching import WriteBatch


class Layer:
    """Delivers the items of `messages`."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def new_channel(self, prefix: str) -> str:
        return prefix

    async def receive(self, channel: str) -> dict[str, Any]:
        return await self.messages.get()


@asynccontextmanager
async def started(link: LayerLink) -> AsyncIterator[None]:
    link.start()
    try:
        yield
    finally:
        for task in link._tasks:
            task.cancel()


async def test_unknown_message_does_not_stop_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer, received = Layer(), asyncio.Queue[ClusterMessage]()
    monkeypatch.setattr(module, "get_channel_layer", lambda alias: layer)
    link = LayerLink("default", received.put_nowait, lambda group: True, WriteBatch())
    async with started(link):
        layer.messages.put_nowait(
            {"from": "other", "messages": [["later"], ["close", 1], ["close"]]}
        )
        layer.messages.put_nowait({"from": "other", "messages": [["close", 2]]})
        async with asyncio.timeout(RETRY_DELAY / 2):
            assert [await received.get() for _ in range(2)] == [CloseRoom(1), CloseRoom(2)]
