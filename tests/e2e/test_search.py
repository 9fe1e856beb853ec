"""Search over REST: contract §6, for every kind of caller."""

import base64
import json
from typing import Any

import httpx

from tests.clients import Frame, Person, fresh
from tests.conftest import Register
from tests.e2e.test_messages import MEMBERS, contents, links, make_room, refused, send_message


async def search(person: Person, q: str, **params: Any) -> list[str]:
    answer = await person.get("/search", q=q, **params)
    assert answer.status_code == 200, answer.text
    found: list[Frame] = answer.json()
    return contents(found)


async def test_found_messages_have_all_members_and_a_highlight(person: Register) -> None:
    ila = await person()
    word = fresh("word")
    room = await make_room(ila, "group")
    sent = await send_message(ila, room["id"], f"<b>Café</b> {word} https://example.com")
    (found,) = (await ila.get("/search", q=f"cafe {word}")).json()
    assert set(found) == MEMBERS | {"highlight"}
    assert {name: found[name] for name in MEMBERS} == sent
    assert found["highlight"].startswith("&lt;b&gt;<mark>Café</mark>&lt;/b&gt; <mark>")
    assert await search(ila, word[:-1], has="link") == [sent["content"]]
    assert await search(ila, word, **{"from": ila.username}) == [sent["content"]]
    assert await search(ila, word, room=room["name"]) == [sent["content"]]
    assert await search(ila, word, after=sent["timestamp"]) == [sent["content"]]
    assert await search(ila, word, before=sent["timestamp"]) == []
    assert await search(ila, f"{word} -cafe") == []


async def test_callers_find_only_what_they_can_read(person: Register) -> None:
    ila, friend, stranger = await person(), await person(), await person()
    word = fresh("word")
    group = await make_room(ila, "group", [friend])
    public = await make_room(ila)
    private = (await ila.post(f"/private/{friend.username}")).json()
    for room, kind in ((group, "group"), (public, "public"), (private, "private")):
        await send_message(ila, room["id"], f"{word} {kind}")
    assert await search(friend, word) == [f"{word} private", f"{word} public", f"{word} group"]
    assert await search(stranger, word) == [f"{word} public"]
    for room in (group, private):
        answer = await stranger.get("/search", q=word, room=room["id"])
        assert refused(answer) == (404, "no_such_room")
    await ila.delete(f"/rooms/{group['id']}/members/{friend.username}")
    await ila.delete(f"/rooms/{public['id']}/members/{friend.username}")
    assert await search(friend, word) == [f"{word} private"]
    assert refused(await friend.get("/search", q=word, room=public["id"])) == (403, "forbidden")
    async with httpx.AsyncClient(base_url=f"{ila.url}/api") as anonymous:
        assert refused(await anonymous.get("/search", params={"q": word})) == (
            401,
            "not_authenticated",
        )


async def test_pages_lead_on_with_the_same_search(person: Register) -> None:
    ila = await person()
    word, room = fresh("word"), await make_room(ila, "group")
    sent = [await send_message(ila, room["id"], f"{word} {number}") for number in range(5)]
    answer = await ila.get("/search", q=word, room=room["id"], after="2020-01-01", limit=2)
    seen = contents(answer.json())
    while "next" in links(answer):
        answer = await ila.http.get(links(answer)["next"])
        seen += contents(answer.json())
    assert seen == [f"{word} {number}" for number in (4, 3, 2, 1, 0)]
    await ila.delete(f"/rooms/{room['id']}/messages/{sent[4]['id']}")
    assert len(await search(ila, word)) == 4


async def test_bad_searches_are_refused(person: Register) -> None:
    ila = await person()
    bad: list[dict[str, Any]] = [
        {"q": "x" * 201},
        {"q": "a\x00b"},
        {"has": "nothing"},
        {"before": "yesterday"},
        {"before": "0001-01-01T00:00:00+14:00"},
        {"cursor": "x"},
        {"limit": 0},
    ]
    for params in bad:
        assert refused(await ila.get("/search", **params)) == (422, "invalid"), params
    digits = base64.urlsafe_b64encode(json.dumps(["n", "9" * 30]).encode()).decode()
    room = await make_room(ila)
    for path, params in (
        ("search", {}),
        ("search", {"room": room["id"]}),
        (f"rooms/{room['id']}/pins", {}),
    ):
        answer = await ila.get(f"/{path}", cursor=digits, **params)
        assert refused(answer) == (422, "invalid"), path
    assert refused(await ila.get("/search", room="9" * 30)) == (404, "no_such_room")
    for params in ({"q": '"'}, {"q": "\ud7ff\ufffe"}, {"from": "nobody@example.com"}):
        assert (await ila.get("/search", **params)).json() == []
