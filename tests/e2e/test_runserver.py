"""`manage.py runserver`: what a Django team types first (contract §1, Plain)."""

from pathlib import Path

from tests.clients import fresh, opened, register
from tests.servers import serving


async def test_two_talk_over_the_development_server(tmp_path: Path) -> None:
    with serving("runserver", tmp_path, DEBUG="1") as server:
        ila, kaushal = [await register(server.http, server.ws) for _ in range(2)]
        name = fresh("plain")
        here, there = ila.public(name), kaushal.public(name)
        async with ila.http, kaushal.http, opened(here, there):
            await here.send(message="Hey")
            assert (await there.hear("message"))["message"] == "Hey"
            history = await kaushal.get(f"/history/{name}")
            assert [message["content"] for message in history.json()] == ["Hey"]
