"""Hints from other processes, which may be of another version."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from realtime.cluster import broker as module
from realtime.cluster.broker import RETRY_DELAY, Broker, Call


class Layer:
    """Brings what is put into `hints`."""

    def __init__(self) -> None:
        self.hints: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def new_channel(self, prefix: str) -> str:
        return prefix

    async def receive(self, channel: str) -> dict[str, Any]:
        return await self.hints.get()


@asynccontextmanager
async def started(bus: Broker) -> AsyncIterator[None]:
    bus.start()
    try:
        yield
    finally:
        for task in bus._tasks:
            task.cancel()


async def test_a_call_that_this_version_does_not_know_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer, taken = Layer(), asyncio.Queue[Call]()

    def take(call: Call) -> None:
        {"deliver": taken.put_nowait}[call[0]](call)

    monkeypatch.setattr(module, "get_channel_layer", lambda alias: layer)
    async with started(Broker("default", take, lambda group: True)):
        layer.hints.put_nowait({"from": "other", "calls": [["later"], ["deliver", 1]]})
        layer.hints.put_nowait({"from": "other", "calls": [["deliver", 2]]})
        async with asyncio.timeout(RETRY_DELAY / 2):
            assert [await taken.get() for _ in range(2)] == [["deliver", 1], ["deliver", 2]]
