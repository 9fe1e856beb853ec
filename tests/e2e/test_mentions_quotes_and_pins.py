"""Mentions, quotes and pins over REST and sockets, for all callers (contract §6)."""

import httpx

from tests.clients import Person, opened
from tests.conftest import Register
from tests.e2e.test_messages import MEMBERS, contents, make_room, my_room, refused, send_message


async def anonymous(person: Person, method: str, path: str) -> tuple[int, str]:
    async with httpx.AsyncClient(base_url=f"{person.url}/api") as http:
        return refused(await http.request(method, path))


async def test_mentions_and_quotes_are_in_frames_answers_and_replays(person: Register) -> None:
    ila, friend = await person(), await person()
    room = await make_room(ila, "group", [friend])
    first = await send_message(friend, room["id"], "the first")
    socket, mine = friend.group(room["name"]), ila.group(room["name"])
    async with opened(socket, mine):
        await mine.send(type="message", message=f"@{friend.username} @all", reply_to=first["id"])
        frame = await socket.receive_type("message")
    assert set(frame) == MEMBERS - {"content"} | {"message", "type"}
    assert (frame["mentions"], frame["mentions_all"], frame["pinned"]) == ([friend.id], True, False)
    assert frame["quote"] == {
        "id": first["id"],
        "sender": friend.id,
        "username": friend.username,
        "content": "the first",
        "deleted": False,
    }
    mine_in_list = await my_room(friend, room["id"])
    assert (mine_in_list["unread"], mine_in_list["mentions"]) == (1, 1)
    assert mine_in_list["last_message"]["quote"] == frame["quote"]
    await friend.delete(f"/rooms/{room['id']}/messages/{first['id']}")
    socket = friend.group(room["name"], since=1)
    async with opened(socket):
        replayed = await socket.receive_type("message")
        assert replayed["quote"] == frame["quote"] | {"content": "", "deleted": True}
    await friend.post(f"/rooms/{room['id']}/read", {"seq": 2})
    assert (await my_room(friend, room["id"]))["mentions"] == 0


async def test_a_pin_is_a_frame_and_is_replayed(person: Register) -> None:
    ila, friend = await person(), await person()
    room = await make_room(ila, "group", [friend])
    sent = await send_message(ila, room["id"], "hello")
    path = f"/rooms/{room['id']}/messages/{sent['id']}/pin"
    socket = friend.group(room["name"])
    async with opened(socket):
        answer = await ila.put(path)
        frame = await socket.receive_type("pin")
        assert (frame["version"], frame["pinned"], frame["message"]) == (2, True, "hello")
        assert answer.json() == sent | {"version": 2, "pinned": True}
        assert (await ila.put(path)).json()["version"] == 2
        assert (await ila.delete(path)).json()["pinned"] is False
        assert (await socket.receive_type("pin"))["pinned"] is False
    socket = friend.group(room["name"], since=1)
    async with opened(socket):
        assert (await socket.receive_type("pin"))["version"] == 3
        assert (await socket.receive_type("resumed"))["complete"]


async def test_pins_are_for_owners_and_read_by_those_who_read_the_room(person: Register) -> None:
    ila, friend, stranger = await person(), await person(), await person()
    group = await make_room(ila, "group", [friend])
    public = await make_room(ila, members=[friend])
    private = (await ila.post(f"/private/{friend.username}")).json()
    paths = {}
    for room in (group, public, private):
        sent = await send_message(ila, room["id"], "hello")
        paths[room["id"]] = f"/rooms/{room['id']}/messages/{sent['id']}/pin"
    for room, who, expected in (
        (group, friend, (403, "forbidden")),
        (public, friend, (403, "forbidden")),
        (public, stranger, (403, "forbidden")),
        (group, stranger, (404, "no_such_room")),
        (private, stranger, (404, "no_such_room")),
    ):
        assert refused(await who.put(paths[room["id"]])) == expected
        assert refused(await who.delete(paths[room["id"]])) == expected
    assert (await friend.put(paths[private["id"]])).status_code == 200
    for room in (group, public):
        assert (await ila.put(paths[room["id"]])).status_code == 200
    for room in (group, private, public):
        (pinned,) = (await friend.get(f"/rooms/{room['id']}/pins")).json()
        assert (pinned["content"], pinned["pinned"]) == ("hello", True)
        answer = await stranger.get(f"/rooms/{room['id']}/pins")
        if room is public:
            assert contents(answer.json()) == ["hello"]
        else:
            assert refused(answer) == (404, "no_such_room")
    for room, expected in ((group, (404, "no_such_room")), (public, (403, "forbidden"))):
        await ila.delete(f"/rooms/{room['id']}/members/{friend.username}")
        assert refused(await friend.get(f"/rooms/{room['id']}/pins")) == expected
        assert refused(await friend.put(paths[room["id"]])) == expected
    for method, path in (
        ("PUT", paths[public["id"]]),
        ("DELETE", paths[public["id"]]),
        ("GET", f"/rooms/{public['id']}/pins"),
    ):
        assert await anonymous(ila, method, path) == (401, "not_authenticated")
