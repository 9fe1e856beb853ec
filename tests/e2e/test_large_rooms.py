"""Rooms above CHAT_PRESENCE_MAX_USERS publish no join, exit, typing or read."""

from asyncio import sleep, timeout
from contextlib import AsyncExitStack
from pathlib import Path

from tests.clients import FRAME_TIMEOUT, Frame, Person, fresh, opened, register
from tests.servers import serving

ANNOUNCED = {"join", "exit", "typing", "read"}


async def test_large_room_receives_messages_and_no_join_or_exit(tmp_path: Path) -> None:
    with serving("uvicorn", tmp_path, CHAT_PRESENCE_MAX_USERS="2") as server:
        ila, kaushal, third = [await register(server.http, server.ws) for _ in range(3)]
        name = fresh("large")
        receiver, typist, newcomer = ila.public(name), kaushal.public(name), third.public(name)
        async with ila.http, kaushal.http, third.http, opened(receiver, typist):
            await typist.send(type="typing")
            assert (await receiver.receive_type("typing"))["username"] == kaushal.username
            async with opened(newcomer) as (ready,):
                assert ready["online_count"] == 3
                assert (await newcomer.receive_type("join"))["username"] == third.username
                await typist.send(type="typing", typing=False)
                await newcomer.send(message="read this")
                seq = (await typist.receive_type("message"))["seq"]
                await typist.send(type="read", seq=seq)
                # The user's own sockets still receive it: other tabs count unread messages.
                assert await typist.receive_type("read") == mark_of(kaushal, seq)
                await typist.send(message="hello all")
                frames = await receiver.receive_until("message") + await receiver.receive_until(
                    "message"
                )
                assert frames[-1]["message"] == "hello all"
                assert not ANNOUNCED & {frame["type"] for frame in frames}
            await until_online(ila, ready["room"]["id"], [ila, kaushal])
            await typist.send(type="typing", typing=False)
            assert (await receiver.receive_type("typing"))["typing"] is False
            await receiver.send(type="read", seq=seq)
            assert await typist.receive_type("read") == mark_of(ila, seq)


async def test_room_with_many_followers_receives_no_join_and_no_exit(tmp_path: Path) -> None:
    with serving("uvicorn", tmp_path, CHAT_PRESENCE_MAX_USERS="2") as server:
        people = [await register(server.http, server.ws) for _ in range(4)]
        *members, visitor = people
        name = fresh("followed")
        followers = [one.events() for one in members]
        async with AsyncExitStack() as stack:
            for one in people:
                await stack.enter_async_context(one.http)
            room = (await members[0].post("/rooms", {"name": name})).json()
            for one in members[1:]:
                (await one.post(f"/rooms/{room['id']}/join")).raise_for_status()
            await stack.enter_async_context(opened(*followers))
            async with opened(visitor.public(name)):
                pass
            await until_online(members[0], room["id"], members)
            await followers[0].send(message="hello", room_id=room["id"])
            frames = await followers[1].receive_until("message")
            assert not ANNOUNCED & {frame["type"] for frame in frames}


async def until_online(asking: Person, room_id: int, people: list[Person]) -> None:
    """Waits until the server has handled the end of a socket.

    That is a moment after the client has closed it.
    """
    names = {person.username for person in people}
    async with timeout(FRAME_TIMEOUT):
        while True:
            members = (await asking.get(f"/rooms/{room_id}/members")).json()
            if {member["username"] for member in members if member["online"]} == names:
                return
            await sleep(0.02)


def mark_of(person: Person, seq: int) -> Frame:
    return {"type": "read", "username": person.username, "seq": seq}
