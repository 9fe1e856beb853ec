"""Bytes that clients do not read, and connections whose clients take nothing."""

import asyncio
from types import SimpleNamespace

import pytest
from pytest_django import Settings
from typing_extensions import override

from config import http_responses
from config.http_responses import PacedResponse, ResponseBytes, UnreadConnections
from realtime.servers.http_responses import UnknownHttpConnection


class Line(UnknownHttpConnection):
    """A connection that knows what its client has not read, as a Unix socket does."""

    __slots__ = ("aborted", "left", "transport")

    def __init__(self) -> None:
        self.left = 1000
        self.aborted = False
        self.transport = self  # type: ignore[assignment]

    @override
    def unread(self) -> int:
        return self.left

    @override
    def is_waiting(self) -> bool:
        return self.left > 0

    @override
    def is_lost(self) -> bool:
        return self.aborted

    @override
    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def swept_often(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(http_responses, "SWEEP_INTERVAL", 0.02)
    settings.CHAT_UNREAD_TIMEOUT = 0.3


async def test_a_client_that_takes_nothing_is_cut(swept_often: None) -> None:
    unread, line = UnreadConnections(), Line()
    unread.watch(line)
    await asyncio.sleep(0.15)
    assert not line.aborted
    await asyncio.sleep(0.4)
    assert line.aborted


async def test_a_client_that_takes_little_is_not_cut(swept_often: None) -> None:
    unread, line = UnreadConnections(), Line()
    unread.watch(line)
    for _ in range(10):
        await asyncio.sleep(0.1)
        line.left -= 1
    assert not line.aborted


def test_a_first_response_is_never_too_large(settings: Settings) -> None:
    settings.CHAT_RESPONSE_BYTES_PER_USER = 100
    settings.CHAT_RESPONSE_BYTES = 250
    unread = ResponseBytes()
    assert unread.exceeded_setting("user:1", 300) is None
    unread.add("user:1", 90)
    assert unread.exceeded_setting("user:1", 20) == "CHAT_RESPONSE_BYTES_PER_USER"
    assert unread.exceeded_setting("user:2", 300) == "CHAT_RESPONSE_BYTES"
    assert unread.exceeded_setting("user:2", 100) is None
    unread.add("user:1", -90)
    assert unread.exceeded_setting("user:1", 300) is None
    assert unread.total == 0


def large_response(size: int) -> tuple[PacedResponse, Line]:
    """Begins an answer in JSON; its refusal says whether it may be sent."""
    line = Line()
    response = PacedResponse(lambda event: None, line, UnreadConnections(), "192.0.2.0/24")
    headers = [(b"content-length", b"%d" % size), (b"content-type", b"application/json")]
    response.is_over = response._refuses(headers)
    return response, line


async def test_old_response_makes_room_for_a_new_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CHAT_RESPONSE_BYTES_PER_USER = None
    settings.CHAT_RESPONSE_BYTES = 250_000
    monkeypatch.setattr(http_responses, "response_bytes", ResponseBytes())
    now = 1000.0
    monkeypatch.setattr(http_responses, "time", SimpleNamespace(monotonic=lambda: now))
    (first, slow), (second, other) = large_response(100_000), large_response(100_000)
    assert large_response(100_000)[0].refusal is not None
    now += http_responses.EVICTED_AFTER
    assert large_response(350_000)[0].refusal is not None  # the old ones would not suffice
    settings.CHAT_RESPONSE_BYTES_PER_USER = 250_000
    assert large_response(100_000)[0].refusal is not None  # its own limit
    settings.CHAT_RESPONSE_BYTES_PER_USER = None
    assert not slow.aborted
    third, last = large_response(100_000)
    assert third.refusal is None
    assert (slow.aborted, other.aborted) == (True, False)
    for line in (other, last):
        line.left = 0
    for response in (first, second, third):
        response.close()
    assert http_responses.response_bytes.total == 0
