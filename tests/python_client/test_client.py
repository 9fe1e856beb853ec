"""A client in a room and on the events socket, against a real server."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import pytest

from chat_backend_client import (
    Change,
    ChatClient,
    Options,
    Position,
    Refused,
    Reset,
    SignedOut,
    SqliteStorage,
)
from chat_backend_client.tokens import Pair
from tests.faults.proxy import Proxy
from tests.servers import Server

from .conftest import PASSWORD, QUICK, SignUp

E = TypeVar("E")


async def take(events: AsyncIterator[E], count: int) -> list[E]:
    taken: list[E] = []
    async with asyncio.timeout(10):
        while len(taken) < count:
            taken.append(await anext(events))
    return taken


def texts(changes: list[Change | Reset]) -> list[tuple[str, str]]:
    return [(one.kind, one.message.content) for one in changes if isinstance(one, Change)]


async def test_sent_message_reaches_both_members(sign_up: SignUp, room_name: str) -> None:
    ila, kaushal = await sign_up(), await sign_up()
    async with ila.room(room_name) as hers, kaushal.room(room_name) as his:
        sent = await hers.send("hi")
        assert (sent.state, sent.seq) == ("sent", 1)
        assert texts(await take(his.changes(), 1)) == [("message", "hi")]
        assert texts(await take(hers.changes(), 1)) == [("message", "hi")]
        assert [one.id for one in his.messages] == [sent.id]


async def test_edit_reaction_pin_and_delete_arrive_in_order(
    sign_up: SignUp, room_name: str
) -> None:
    ila, kaushal = await sign_up(), await sign_up()
    await ila.api.create_room(room_name)
    async with ila.room(room_name) as hers, kaushal.room(room_name) as his:
        sent = await hers.send("hi")
        assert sent.id is not None
        await hers.edit(sent.id, "hello")
        await his.react(sent.id, "👍")
        await hers.pin(sent.id)
        await hers.delete(sent.id)
        kinds = [one.kind for one in await take(his.changes(), 5)]
        assert kinds == ["message", "edit", "reaction", "pin", "delete"]
        assert his.messages[0].deleted


async def test_typing_read_and_presence_are_events(sign_up: SignUp, room_name: str) -> None:
    ila, kaushal = await sign_up(), await sign_up()
    async with ila.room(room_name) as hers:
        events = hers.events()
        async with kaushal.room(room_name) as his:
            await hers.send("hi")
            await his.type()
            await his.delivered(1)
            await his.read(1)
            seen = set()
            async with asyncio.timeout(10):
                async for event in events:
                    seen.add(event.kind)
                    if event.kind == "typing":
                        assert hers.typing == [kaushal.user.username]
                    if {"typing", "read", "presence", "delivered"} <= seen:
                        break
            assert kaushal.user.username in hers.online
        async with asyncio.timeout(10):
            while kaushal.user.username in hers.online:
                await anext(events)


async def test_room_opens_with_its_history(sign_up: SignUp, room_name: str) -> None:
    ila = await sign_up()
    async with ila.room(room_name) as room:
        for number in range(12):
            await room.send(f"m{number}")
    async with ila.room(room_name, history=5) as room:
        assert [one.seq for one in room.messages] == [8, 9, 10, 11, 12]
        await room.load_older(4)
        assert [one.seq for one in room.messages] == [4, 5, 6, 7, 8, 9, 10, 11, 12]


async def test_lost_connection_misses_nothing(
    sign_up: SignUp, uvicorn: Server, room_name: str
) -> None:
    proxy = Proxy(uvicorn.port)
    await proxy.start()
    ila, kaushal = await sign_up(), await sign_up(f"http://127.0.0.1:{proxy.port}")
    async with ila.room(room_name) as hers, kaushal.room(room_name) as his:
        first = await hers.send("first")
        assert first.id is not None
        received = his.changes()
        await take(received, 1)
        proxy.refuse()
        for link in list(proxy.links):
            link.abort()
        own = await his.post("written offline")
        for number in range(3):
            await hers.send(f"m{number}")
        await hers.edit(first.id, "edited")
        await asyncio.sleep(0.2)
        assert own.state == "queued"
        await proxy.start()
        await own.wait()
        await hers.send("last")
        changes = texts(await take(received, 6))
        assert changes == [
            *(("message", f"m{number}") for number in range(3)),
            ("edit", "edited"),
            ("message", "written offline"),
            ("message", "last"),
        ]
    await proxy.close()


async def test_silent_network_is_noticed(sign_up: SignUp, uvicorn: Server, room_name: str) -> None:
    proxy = Proxy(uvicorn.port)
    await proxy.start()
    ila = await sign_up(f"http://127.0.0.1:{proxy.port}")
    async with ila.room(room_name) as room:
        for link in list(proxy.links):
            link.freeze()
        assert (await room.send("hi", timeout=20)).seq == 1
    await proxy.close()


@pytest.mark.slow
async def test_more_changes_than_the_server_replays_are_read_by_rest(
    sign_up: SignUp, uvicorn: Server, room_name: str
) -> None:
    proxy = Proxy(uvicorn.port)
    await proxy.start()
    ila, kaushal = await sign_up(), await sign_up(f"http://127.0.0.1:{proxy.port}")
    async with ila.room(room_name) as hers, kaushal.room(room_name) as his:
        first = await hers.send("first")
        assert first.id is not None
        received = his.changes()
        await take(received, 1)
        proxy.refuse()
        for link in list(proxy.links):
            link.abort()
        assert hers.info is not None
        for number in range(1100):
            await hers.post(f"m{number}") if number < 990 else await hers.react(first.id, "+1")
            if number >= 990:
                await hers.unreact(first.id, "+1")
        await hers.edit(first.id, "edited")
        assert await hers.flush()
        await proxy.start()
        changes = await take(received, 991)
        shown = {one.seq: one for one in his.messages}
        assert list(shown) == list(range(1, 992))
        assert shown[1].content == "edited"
        assert [kind for kind, _ in texts(changes)].count("message") == 990
    await proxy.close()


async def test_refused_message_fails_and_the_next_is_sent(sign_up: SignUp, room_name: str) -> None:
    ila = await sign_up()
    async with ila.room(room_name) as room:
        with pytest.raises(Refused) as refusal:
            await room.send("x" * 5000)
        assert (refusal.value.code, refusal.value.temporary) == ("invalid", False)
        assert [one.state for one in room.failed] == ["failed"]
        assert (await room.send("short")).seq == 1


async def test_outbox_in_a_file_survives_the_process(
    sign_up: SignUp, uvicorn: Server, room_name: str, tmp_path: object
) -> None:
    path = f"{tmp_path}/outbox.sqlite3"
    proxy = Proxy(uvicorn.port)
    await proxy.start()
    url = f"http://127.0.0.1:{proxy.port}"
    ila = await sign_up(
        url, storage=SqliteStorage(path), options=Options(min_delay=0.05, close_timeout=0.1)
    )
    async with ila.room(room_name) as room:
        proxy.refuse()
        for link in list(proxy.links):
            link.abort()
        await room.post("one")
        await room.post("two")
    await ila.close()
    await proxy.start()
    async with ChatClient(url, storage=SqliteStorage(path), options=QUICK) as again:
        assert await again.restore(ila.user.username)
        async with again.room(room_name) as room:
            assert await room.flush()
            assert texts(await take(room.changes(), 2)) == [("message", "one"), ("message", "two")]
    await proxy.close()


async def test_bot_goes_on_at_its_position(sign_up: SignUp, room_name: str) -> None:
    ila, bot = await sign_up(), await sign_up()
    async with ila.room(room_name) as hers:
        await hers.send("one")
        async with bot.room(room_name) as room:
            await hers.send("two")
            (change,) = await take(room.changes(), 1)
            assert isinstance(change, Change)
            position = change.position
        await hers.send("three")
        await hers.send("four")
        async with bot.room(room_name, position=Position(*position)) as room:
            assert texts(await take(room.changes(), 2)) == [
                ("message", "three"),
                ("message", "four"),
            ]


async def test_events_socket_brings_all_rooms(sign_up: SignUp, room_name: str) -> None:
    ila, kaushal = await sign_up(), await sign_up()
    group = await ila.api.create_room(room_name, kind="group", members=[kaushal.user.username])
    async with kaushal.events() as events, ila.group(room_name) as hers:
        changes = events.changes()
        await hers.send("in the group")
        assert texts(await take(changes, 1)) == [("message", "in the group")]
        room = events.rooms[group.id]
        await room.send("answer")
        assert texts(await take(changes, 1)) == [("message", "answer")]
        private = await events.private(ila.user.username)
        await private.send("psst")
        assert texts(await take(changes, 1)) == [("message", "psst")]
        assert [one.content for one in room.messages] == ["in the group", "answer"]
        await ila.api.remove_member(group.id, kaushal.user.username)
        async with asyncio.timeout(10):
            while group.id in events.rooms:
                await asyncio.sleep(0.05)


async def test_events_socket_misses_nothing_after_a_cut(
    sign_up: SignUp, uvicorn: Server, room_name: str
) -> None:
    proxy = Proxy(uvicorn.port)
    await proxy.start()
    ila, kaushal = await sign_up(), await sign_up(f"http://127.0.0.1:{proxy.port}")
    await ila.api.create_room(room_name, kind="group", members=[kaushal.user.username])
    async with kaushal.events() as events, ila.group(room_name) as hers:
        changes = events.changes()
        for number in range(5):
            await hers.send(f"a{number}")
            for link in list(proxy.links):
                link.abort()
            await hers.send(f"b{number}")
        wanted = [f"{letter}{number}" for number in range(5) for letter in "ab"]
        assert [text for _, text in texts(await take(changes, 10))] == wanted
    await proxy.close()


async def test_ended_session_ends_the_room(sign_up: SignUp, room_name: str) -> None:
    ila = await sign_up()
    other = ChatClient(ila._url, options=QUICK)
    async with other, ila.room(room_name) as room:
        await other.login(ila.user.username, PASSWORD)
        await other.api.rest.call("POST", "/logout", {"everywhere": True})
        with pytest.raises(SignedOut):
            await take(room.changes(), 1)


async def test_room_that_came_while_away_is_told_with_its_messages(
    sign_up: SignUp, uvicorn: Server
) -> None:
    proxy = Proxy(uvicorn.port)
    await proxy.start()
    ila, kaushal = await sign_up(), await sign_up(f"http://127.0.0.1:{proxy.port}")
    async with kaushal.events() as events:
        told = events.events()
        proxy.refuse()
        for link in list(proxy.links):
            link.abort()
        async with ila.private(kaushal.user.username) as hers:
            await hers.send("one")
            await hers.send("two")
            await proxy.start()
            await hers.send("three")
        kinds: list[str] = []
        while kinds.count("message") < 3:
            (event,) = await take(told, 1)
            if event.kind in ("room_added", "message"):
                kinds.append(event.kind)
        assert kinds == ["room_added", "message", "message", "message"]
    await proxy.close()


async def test_token_is_renewed_after_four_fifths_of_its_hour(sign_up: SignUp) -> None:
    ila = await sign_up()
    assert 0.78 * 3600 < ila._tokens.due_in <= 0.8 * 3600


async def test_refused_token_is_renewed_once_for_all_that_need_it(
    sign_up: SignUp, room_name: str
) -> None:
    ila = await sign_up()
    tokens = ila._tokens
    first = tokens.refresh_token
    assert first is not None
    tokens._pair = Pair("no token", first)
    async with ila.room(room_name) as room, ila.events():
        await asyncio.gather(*(ila.api.me() for _ in range(5)))
        await room.send("hi")
        renewed = tokens.refresh_token
        await ila.api.me()
    assert first != renewed == tokens.refresh_token
