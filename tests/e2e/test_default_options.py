"""Servers without options, as a team first starts them (contract §1, Plain)."""

from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.clients import Socket, connect_refused, fresh, opened, register
from tests.servers import serving


@pytest.mark.parametrize("kind", ["plain daphne", "plain uvicorn", "runserver"])
async def test_two_users_chat_on_a_server_without_options(kind: str, tmp_path: Path) -> None:
    with serving(kind, tmp_path, DEBUG="1") as server:
        ila, kaushal = [await register(server.http, server.ws) for _ in range(2)]
        name = fresh("plain")
        near, far = ila.public(name), kaushal.public(name)
        async with ila.http, kaushal.http, opened(near, far):
            await near.send(message="Hey")
            assert (await far.receive_type("message"))["message"] == "Hey"
            history = await kaushal.get(f"/history/{name}")
            assert [message["content"] for message in history.json()] == ["Hey"]
            await near.send_text('{"type":"ping"' + " " * 65_536 + "}")
            assert (await near.receive_type("error"))["code"] == "frame_too_big"
            forger = Socket(f"{server.ws}/ws/chat/{name}/", token="nonsense")
            assert await connect_refused(forger) == (4401, "token_invalid")


@pytest.mark.parametrize("kind", ["plain daphne", "plain uvicorn"])
async def test_server_does_not_negotiate_compression(kind: str, tmp_path: Path) -> None:
    with serving(kind, tmp_path, DEBUG="1") as server:
        # As browsers do, it offers permessage-deflate.
        async with connect(f"{server.ws}/ws/chat/plain/", compression="deflate") as socket:
            assert socket.request is not None
            assert "permessage-deflate" in socket.request.headers["Sec-WebSocket-Extensions"]
            assert socket.response is not None
            assert "Sec-WebSocket-Extensions" not in socket.response.headers
