"""What a link does when the server, or something in between, answers strangely."""

from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from chat_backend_client import link as links
from chat_backend_client.api import Api
from chat_backend_client.errors import Closed
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
