"""Above CHAT_ANNOUNCE_UP_TO users a room is a crowd: nobody is told who comes, goes or types."""

from pathlib import Path

from tests.clients import fresh, opened, register
from tests.servers import serving

ANNOUNCED = {"join", "exit", "typing"}


async def test_a_crowd_hears_messages_and_nothing_of_comings_and_goings(tmp_path: Path) -> None:
    with serving("uvicorn", tmp_path, CHAT_ANNOUNCE_UP_TO="2") as server:
        ila, kaushal, third = [await register(server.http, server.ws) for _ in range(3)]
        name = fresh("crowd")
        hears, types, comes = ila.public(name), kaushal.public(name), third.public(name)
        async with ila.http, kaushal.http, third.http, opened(hears, types):
            await types.send(type="typing")
            assert (await hears.hear("typing"))["username"] == kaushal.username
            async with opened(comes) as (ready,):
                assert ready["online_count"] == 3
                assert (await comes.hear("join"))["username"] == third.username
                await types.send(type="typing", typing=False)
                await types.send(message="all hear this")
                told = await hears.hear_until("message")
                assert told[-1]["message"] == "all hear this"
                assert not ANNOUNCED & {frame["type"] for frame in told}
            await types.send(type="typing", typing=False)
            assert (await hears.hear("typing"))["typing"] is False
