"""HTTP requests that get no answer: how many there may be."""

import asyncio
from typing import Any

from django.utils import timezone
from pytest_django import Settings

from accounts.auth import Caller
from accounts.models import Session
from accounts.tokens import mint
from config.concurrent_requests import unanswered
from config.http_guard import HttpGuard
from messaging.attachments.media_keys import make_key

SCOPE = {"type": "http", "method": "GET", "query_string": b"", "headers": []}
PROBES = ("/healthz", "/readyz", "/metrics", "/healthz/", "/readyz/", "/metrics/")


class Stuck:
    """An application whose database says nothing until `goes_on` is set."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.at_work = 0
        self.app = HttpGuard(self)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.at_work += 1
        if scope["path"] not in PROBES:
            await self.goes_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        self.at_work -= 1

    async def get(
        self,
        path: str = "/api/rooms",
        address: str = "192.0.2.1",
        authorization: str = "",
        query: bytes = b"",
    ) -> int:
        """The status of the answer."""
        events: list[Any] = []

        async def send(event: Any) -> None:
            events.append(event)

        headers = [(b"authorization", authorization.encode())] if authorization else []
        scope = SCOPE | {
            "path": path,
            "client": (address, 1),
            "headers": headers,
            "query_string": query,
        }
        await self.app(scope, None, send)
        status: int = events[0]["status"]
        return status


async def test_one_request_too_many_is_busy_and_probes_are_answered(settings: Settings) -> None:
    settings.CHAT_REQUESTS = 2
    site = Stuck()
    waiting = [asyncio.create_task(site.get()) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert await site.get() == 503
    for path in PROBES:
        assert await site.get(path) == 200
    site.goes_on.set()
    assert await asyncio.gather(*waiting) == [200, 200]
    assert await site.get() == 200
    assert len(unanswered) == 0


async def test_one_address_leaves_places_to_others(settings: Settings) -> None:
    settings.CHAT_REQUESTS_PER_ADDRESS = 2
    site = Stuck()
    waiting = [asyncio.create_task(site.get()) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert await site.get() == 503
    other = asyncio.create_task(site.get(address="192.0.2.2"))
    await asyncio.sleep(0.01)
    site.goes_on.set()
    assert await asyncio.gather(*waiting, other) == [200, 200, 200]
    assert await site.get() == 200


async def test_query_with_too_many_parameters_is_passed_on() -> None:
    site = Stuck()
    site.goes_on.set()
    assert await site.get("/api/attachments/1/content", query=b"key=" + b"&" * 2000) == 200


def token_of(user_id: int, session_id: int) -> str:
    session = Session(pk=session_id, user_id=user_id, refresh_jti="x", rotated_at=timezone.now())
    return mint(session).access


async def test_requests_of_one_user_wait_for_their_turn(settings: Settings) -> None:
    settings.CHAT_REQUESTS_PER_USER = 2
    site = Stuck()
    # Another session, another spelling of the header, and a media key are the same user.
    key = make_key(Caller(1, "ila", 7, 0)).key
    ways = [
        site.get(authorization=f"Bearer {token_of(1, 7)}"),
        site.get(authorization=f"Bearer {token_of(1, 8)}"),
        site.get(authorization=f"Bearer {token_of(1, 7)}"),
        site.get(authorization=f"bEARER   {token_of(1, 7)}"),
        site.get("/api/attachments/1/content", query=f"%6bey={key}".encode()),
        site.get(authorization=f"Bearer {token_of(2, 9)}"),
    ]
    waiting = [asyncio.create_task(way) for way in ways]
    await asyncio.sleep(0.01)
    assert site.at_work == 3
    waiting.pop(2).cancel()  # one that waits
    site.goes_on.set()
    assert await asyncio.gather(*waiting) == [200] * 5
    assert site.at_work == 0
