"""Rooms above CHAT_PRESENCE_MAX_USERS publish no join, exit, typing or read frames."""

from pathlib import Path

from tests.clients import Frame, Person, fresh, opened, register
from tests.servers import serving

ANNOUNCED = {"join", "exit", "typing", "read"}


async def test_large_room_receives_messages_and_no_join_or_exit(tmp_path: Path) -> None:
    with serving("uvicorn", tmp_path, CHAT_PRESENCE_MAX_USERS="2") as server:
        ila, kaushal, third = [await register(server.http, server.ws) for _ in range(3)]
        name = fresh("crowd")
        hears, types, comes = ila.public(name), kaushal.public(name), third.public(name)
        async with ila.http, kaushal.http, third.http, opened(hears, types):
            await types.send(type="typing")
            assert (await hears.receive_type("typing"))["username"] == kaushal.username
            async with opened(comes) as (ready,):
                assert ready["online_count"] == 3
                assert (await comes.receive_type("join"))["username"] == third.username
                await types.send(type="typing", typing=False)
                await comes.send(message="read this")
                seq = (await types.receive_type("message"))["seq"]
                await types.send(type="read", seq=seq)
                # The user's own sockets still receive it: other tabs count unread messages.
                assert await types.receive_type("read") == mark_of(kaushal, seq)
                await types.send(message="all hear this")
                told = await hears.receive_until("message") + await hears.receive_until("message")
                assert told[-1]["message"] == "all hear this"
                assert not ANNOUNCED & {frame["type"] for frame in told}
            await types.send(type="typing", typing=False)
            assert (await hears.receive_type("typing"))["typing"] is False
            await hears.send(type="read", seq=seq)
            assert await types.receive_type("read") == mark_of(ila, seq)


def mark_of(person: Person, seq: int) -> Frame:
    return {"type": "read", "username": person.username, "seq": seq}
