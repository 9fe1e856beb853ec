"""Pages of long messages end early over HTTP, on each server and database."""

import asyncio
from typing import Any

from tests.clients import Person, fresh
from tests.conftest import Register

MESSAGES = 80
MAX_AGE_DAYS = "\N{GRINNING FACE}" * 4000
"""16,000 bytes, and three times as many where they are escaped."""
MAX_PAGE = 1.1 * 1024**2


async def walk(person: Person, path: str, rel: str) -> list[dict[str, Any]]:
    """Returns all messages in the order of the pages."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await person.http.get(path)
        assert answer.status_code == 200, answer.text
        assert len(answer.content) <= MAX_PAGE
        page = answer.json()
        assert page
        found = [*page, *found] if rel == "prev" else [*found, *page]
        if rel not in answer.links:
            return found
        path = answer.links[rel]["url"].removeprefix("/api")


async def test_pages_of_long_messages_end_early_with_links(person: Register) -> None:
    ila = await person()
    name = fresh("long")
    room = (await ila.post("/rooms", {"name": name, "kind": "group"})).json()["id"]
    path = f"/rooms/{room}/messages"
    sent = await asyncio.gather(
        *(ila.post(path, {"content": MAX_AGE_DAYS}) for _ in range(MESSAGES))
    )
    assert {answer.status_code for answer in sent} == {201}
    everything = list(range(1, MESSAGES + 1))
    for start, rel in (
        (f"{path}?limit=200", "prev"),
        (f"{path}?limit=200&after=0", "next"),
        (f"/messages/{room}?limit=200", "prev"),
        (f"/history/{name}?limit=200&after=0", "next"),
        ("/messages?limit=200", "prev"),
    ):
        found = await walk(ila, start, rel)
        mine = [message["seq"] for message in found if message["room_id"] == room]
        assert mine == everything, start
