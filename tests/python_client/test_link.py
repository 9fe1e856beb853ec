"""What a link does when the server, or something in between, answers strangely."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from chat_backend_client import link as links
from chat_backend_client import rest as rest_module
from chat_backend_client.api import Api
from chat_backend_client.connection import Connection
from chat_backend_client.errors import Closed, Unreachable
from chat_backend_client.link import Link
from chat_backend_client.options import Options
from chat_backend_client.outbox import Outgoing
from chat_backend_client.rest import Rest
from chat_backend_client.room import Room
from chat_backend_client.session import Session
from chat_backend_client.storage import MemoryStorage
from chat_backend_client.tokens import Pair, Tokens


class Served:
    """Notes frames; one without `n` is a bug to it."""

    def __init__(self) -> None:
        self.received: list[int] = []

    def path(self) -> str:
        return "/"

    def ready(self, frame: dict[str, Any]) -> None:
        pass

    def receive(self, frame: dict[str, Any]) -> None:
        self.received.append(frame["n"])

    def lost(self) -> None:
        pass


async def no_refresh(_: str) -> Pair:
    raise AssertionError


async def link_to(served: Served, site: str = "ws://127.0.0.1:9") -> Link:
    tokens = Tokens(MemoryStorage(), no_refresh)
    await tokens.start("key", Pair("a", "r"))
    return Link(site, tokens, Options(min_delay=0.01, max_delay=0.01), served)


async def test_http_answer_ends_only_a_link_that_was_never_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> object:
        raise InvalidStatus(Response(404, "Not Found", Headers()))

    monkeypatch.setattr(links, "connected", refused)
    link = await link_to(Served())
    with pytest.raises(Closed):
        await link._attempt()
    link._opened.set()
    assert await link._attempt() is not None


def room_of(storage: MemoryStorage) -> Room:
    options = Options()
    rest = Rest("http://127.0.0.1:9", None, options)
    tokens = Tokens(storage, no_refresh)
    session = Session("ws://127.0.0.1:9", "ila", "box ", Api(rest), tokens, storage, options)

    async def transmit(_: object) -> bool:
        return False

    return Room(session, session.outbox("1"), transmit)


@pytest.mark.parametrize(
    ("code", "kept"),
    [("http_error", 1), ("bad_frame", 1), ("removed", 0), ("no_such_room", 0)],
)
async def test_only_a_room_that_is_gone_empties_its_outbox(code: str, kept: int) -> None:
    storage = MemoryStorage()
    room = room_of(storage)
    await room._put(Outgoing("hi"))
    await room.end(Closed(code, ""))
    assert len(await storage.load("box 1")) == kept


class Socket:
    """Brings these texts, then ends."""

    close_code = 1006

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    async def __aiter__(self) -> AsyncIterator[str]:
        for text in self.texts:
            yield text


def bring(monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    @asynccontextmanager
    async def socket(*_: object) -> AsyncIterator[Connection]:
        yield Connection(cast("Any", Socket(*texts)), "a", Options())

    monkeypatch.setattr(links, "connected", socket)


async def test_strange_frames_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served()
    link = await link_to(served)
    strange = ["<html>", "[]", "{}", '{"type": 1}', '{"type": "x"}']
    bring(monkeypatch, '{"type": "ready"}', *strange, '{"type": "x", "n": 7}')
    assert await link._attempt() is not None
    assert served.received == [7]


async def test_bug_in_an_attempt_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise KeyError

    monkeypatch.setattr(links, "connected", broken)
    link = await link_to(Served())
    assert await link._attempt() is not None


@pytest.mark.parametrize("body", ["<html>", "[]", "{}"])
async def test_page_of_a_proxy_is_no_new_token(body: str) -> None:
    rest = Rest("http://127.0.0.1:9", None, Options())
    rest._http = httpx.AsyncClient(
        base_url="http://x", transport=httpx.MockTransport(lambda _: httpx.Response(200, text=body))
    )
    with pytest.raises(Unreachable):
        await rest.refresh("r")
    await rest.close()


async def test_endless_redirects_are_an_unreachable_server() -> None:
    rest = Rest("http://127.0.0.1:9", None, Options(retry_timeout=0.01))
    answer = httpx.Response(302, headers={"Location": "/"})
    rest._http = httpx.AsyncClient(
        base_url="http://x", transport=httpx.MockTransport(lambda _: answer)
    )
    call = rest_module._Call("GET", "/", signed=False)
    with pytest.raises(Unreachable):
        await rest._insist(call)
    await rest.close()


async def test_sending_that_broke_begins_again() -> None:
    room = room_of(MemoryStorage())
    room._sending = asyncio.create_task(asyncio.sleep(0))
    await room._sending
    await room._put(Outgoing("hi"))
    assert not room._sending.done()
    await room.end()


@pytest.mark.parametrize(("kind", "failures"), [("x", 2), ("ack", 1)])
async def test_only_a_proved_connection_shortens_the_delay(
    monkeypatch: pytest.MonkeyPatch, kind: str, failures: int
) -> None:
    link = await link_to(Served())
    link._backoff.next_delay()
    bring(monkeypatch, '{"type": "ready"}', f'{{"type": "{kind}", "n": 1}}')
    await link._attempt()
    assert link._backoff._failures == failures
