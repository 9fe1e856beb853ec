"""Lookalike names and invisible titles are rejected over REST and sockets."""

import httpx

from tests.clients import PASSWORD, fresh
from tests.conftest import Register
from tests.servers import Server

MIXED = "раypal"  # two Cyrillic letters before Latin ones
PILE = "a\u0301\u0302\u0303\u0304\u0305"
REORDERED = "Bank\u202eliam"


async def test_lookalike_names_are_rejected(server: Server, person: Register) -> None:
    ila = await person()
    for name in (MIXED, PILE, "1١"):
        account = {"username": name, "password": PASSWORD}
        answer = httpx.post(f"{server.http}/api/register", json=account, timeout=20, verify=False)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), name
        assert answer.json()["errors"][0]["loc"] == ["username"]
        for path in ("/rooms", "/rooms/with-members"):
            answer = await ila.http.post(path, json={"name": name, "members": []})
            assert answer.status_code == 422, name
            assert answer.json()["errors"][0]["loc"] == ["name"]
        async with ila.public(name) as socket:
            assert await socket.refused() == (4404, "no_such_room"), name


async def test_titles_accept_emoji_and_reject_invisible_characters(person: Register) -> None:
    ila = await person()
    room = (await ila.http.post("/rooms", json={"name": fresh("titled")})).json()
    for path, field in (
        (f"/rooms/{room['id']}", "title"),
        (f"/rooms/{room['id']}", "topic"),
        ("/users/me", "display_name"),
    ):
        answer = await ila.http.patch(path, json={field: REORDERED})
        assert answer.status_code == 422, field
        assert answer.json()["errors"][0]["loc"] == [field]
        answer = await ila.http.patch(path, json={field: "Zoe\u0308 👩🏽‍🚀 ❤️ 🏳️‍🌈"})
        assert answer.json()[field] == "Zoë 👩🏽‍🚀 ❤️ 🏳️‍🌈"
