"""Receipts over REST and sockets: contract §6, for every kind of caller."""

import httpx

from tests.clients import Frame, Person, Socket, opened
from tests.conftest import Register
from tests.e2e.test_messages import make_room, refused, send_message


async def receipts(person: Person, room: Frame) -> dict[str, tuple[int, int]]:
    answer = await person.get(f"/rooms/{room['id']}/receipts")
    assert answer.status_code == 200, answer.text
    return {one["username"]: (one["read_seq"], one["delivered_seq"]) for one in answer.json()}


async def kinds(socket: Socket) -> list[tuple[str, str, int]]:
    """Returns the receipts that came before the answer to a ping."""
    return [
        (frame["type"], frame["username"], frame["seq"])
        for frame in await socket.ping()
        if frame["type"] in ("read", "delivered")
    ]


async def test_delivered_is_announced_and_listed(person: Register) -> None:
    ila, friend = await person(), await person()
    room = await make_room(ila, "group", [friend])
    for _ in range(3):
        await send_message(ila, room["id"], "hello")
    theirs, mine = friend.group(room["name"]), ila.group(room["name"])
    async with opened(theirs, mine):
        await theirs.send(type="delivered", seq=2, ref="d")
        frame = {"type": "delivered", "username": friend.username, "seq": 2}
        both = [await theirs.receive_type("delivered") for _ in range(2)]
        assert sorted(both, key=len) == [frame, frame | {"ref": "d"}]
        assert await mine.receive_type("delivered") == frame
        answer = await friend.post(f"/rooms/{room['id']}/delivered", {"seq": 99})
        assert answer.json() == {"delivered_seq": 3}
        assert (await mine.receive_type("delivered"))["seq"] == 3
        expected = {ila.username: (3, 3), friend.username: (0, 3)}
        assert await receipts(ila, room) == expected
        await theirs.send(type="read", seq=1)
        assert (await mine.receive_type("read"))["seq"] == 1
        assert await receipts(friend, room) == expected | {friend.username: (1, 3)}
        await theirs.send(type="delivered", seq=-1)
        assert (await theirs.receive_type("error"))["code"] == "invalid"


async def test_users_who_do_not_share_neither_show_nor_see(person: Register) -> None:
    ila, friend, other = await person(), await person(), await person()
    room = await make_room(ila, "group", [friend, other])
    for _ in range(4):
        await send_message(ila, room["id"], "hello")
    private, mine, third = (one.group(room["name"]) for one in (friend, ila, other))
    async with opened(private, mine, third):
        await other.post(f"/rooms/{room['id']}/delivered", {"seq": 1})
        assert (await private.receive_type("delivered"))["seq"] == 1
        profile = await friend.patch("/users/me", {"share_receipts": False})
        assert profile.json()["share_receipts"] is False
        await private.ping()
        for path in ("delivered", "read"):
            await other.post(f"/rooms/{room['id']}/{path}", {"seq": 2})
            await friend.post(f"/rooms/{room['id']}/{path}", {"seq": 3})
        assert (await mine.receive_type("read"))["username"] == other.username
        assert await kinds(mine) == []
        # The user's own devices hear how far the user has read.
        assert await kinds(private) == [("read", friend.username, 3)]
        assert set(await receipts(ila, room)) == {ila.username, other.username}
        assert await receipts(friend, room) == {}
    # A new socket knows it from the beginning.
    async with opened(private := friend.group(room["name"])):
        await other.post(f"/rooms/{room['id']}/read", {"seq": 4})
        assert await kinds(private) == []
        await friend.patch("/users/me", {"share_receipts": True})
        await private.ping()
        await friend.post(f"/rooms/{room['id']}/delivered", {"seq": 4})
        assert (await private.receive_type("delivered"))["seq"] == 4
    assert (await receipts(friend, room))[other.username] == (4, 4)


async def test_receipts_are_for_members(person: Register) -> None:
    ila, friend, stranger = await person(), await person(), await person()
    group = await make_room(ila, "group", [friend])
    public = await make_room(ila, members=[friend])
    private = (await ila.post(f"/private/{friend.username}")).json()
    for room, expected in (
        (group, (404, "no_such_room")),
        (private, (404, "no_such_room")),
        (public, (403, "not_a_member")),
    ):
        assert set(await receipts(friend, room)) == {ila.username, friend.username}
        assert refused(await stranger.get(f"/rooms/{room['id']}/receipts")) == expected
        answer = await stranger.post(f"/rooms/{room['id']}/delivered", {"seq": 0})
        assert refused(answer) == expected
        async with httpx.AsyncClient(base_url=f"{ila.url}/api") as anonymous:
            for method, path in (("GET", "receipts"), ("POST", "delivered")):
                answer = await anonymous.request(method, f"/rooms/{room['id']}/{path}")
                assert refused(answer) == (401, "not_authenticated")
    for room, expected in ((group, (404, "no_such_room")), (public, (403, "forbidden"))):
        await ila.delete(f"/rooms/{room['id']}/members/{friend.username}")
        assert refused(await friend.get(f"/rooms/{room['id']}/receipts")) == expected
        answer = await friend.post(f"/rooms/{room['id']}/delivered", {"seq": 0})
        assert refused(answer) == expected
