"""HTTP requests that get no answer: how many there may be."""

import asyncio
from typing import Any

import pytest

from realtime import requests
from realtime.requests import guarded

SCOPE = {"type": "http", "method": "GET", "query_string": b"", "headers": []}


class Stuck:
    """An application whose database says nothing until `goes_on` is set."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.app = guarded(self, lambda loop: None, always={"/healthz"})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/healthz":
            await self.goes_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def get(self, path: str = "/api/rooms") -> int:
        """The status of the answer."""
        said: list[Any] = []

        async def send(event: Any) -> None:
            said.append(event)

        await self.app(SCOPE | {"path": path}, None, send)
        status: int = said[0]["status"]
        return status


async def test_one_request_too_many_is_busy_and_health_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requests, "MOST_UNANSWERED", 2)
    site = Stuck()
    waiting = [asyncio.create_task(site.get()) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert await site.get() == 503
    assert await site.get("/healthz") == 200
    site.goes_on.set()
    assert await asyncio.gather(*waiting) == [200, 200]
    assert await site.get() == 200
