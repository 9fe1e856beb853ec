"""Messages over REST and on sockets: contract §2 Messages and §3 frames."""

import asyncio
import re
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.clients import Frame, Person, fresh, opened
from tests.conftest import Register

MEMBERS = {
    *("id", "seq", "version", "room", "room_id", "sender", "username", "receiver", "content"),
    *("timestamp", "edited_at", "deleted", "reply_to", "client_id", "attachments", "reactions"),
}
RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Returns status and code of an error."""
    return answer.status_code, answer.json()["code"]


def links(answer: httpx.Response) -> dict[str, str]:
    """Returns the targets of the Link header, as paths below /api."""
    found = {str(link["rel"]): str(link["url"]) for link in answer.links.values()}
    return {rel: url.removeprefix("/api") for rel, url in found.items()}


def contents(messages: Sequence[Frame]) -> list[str]:
    return [message["content"] for message in messages]


async def make_room(
    owner: Person, kind: str = "public", members: Sequence[Person] = (), *, name: str = ""
) -> Frame:
    body = {
        "name": name or fresh("room"),
        "kind": kind,
        "members": [one.username for one in members],
    }
    answer = await owner.post("/rooms", body)
    assert answer.status_code == 201, answer.text
    room: Frame = answer.json()
    return room


async def send_message(person: Person, room_id: int, content: str, **more: Any) -> Frame:
    answer = await person.post(f"/rooms/{room_id}/messages", {"content": content, **more})
    assert answer.status_code == 201, answer.text
    message: Frame = answer.json()
    return message


async def my_room(person: Person, room_id: int) -> Frame:
    rooms: list[Frame] = (await person.get("/my-rooms")).json()
    return next(room for room in rooms if room["id"] == room_id)


# Sending and history


async def test_message_has_all_members_of_the_contract(person: Register) -> None:
    ila = await person()
    room = await make_room(ila)
    first = await send_message(ila, room["id"], "  Hey\n everyone! ", client_id="a")
    assert set(first) == MEMBERS
    assert RFC3339_UTC.fullmatch(first["timestamp"])
    age = time.time() - datetime.fromisoformat(first["timestamp"]).timestamp()
    assert -5 < age < 60
    expected = {
        "seq": 1,
        "version": 1,
        "room": room["name"],
        "room_id": room["id"],
        "sender": ila.id,
        "username": ila.username,
        "receiver": None,
        "content": "Hey\n everyone!",
        "edited_at": None,
        "deleted": False,
        "reply_to": None,
        "client_id": "a",
        "attachments": [],
        "reactions": [],
    }
    assert {key: first[key] for key in expected} == expected
    reply = await send_message(ila, room["id"], "yes", reply_to=first["id"])
    assert (reply["reply_to"], reply["seq"], reply["client_id"]) == (first["id"], 2, None)


async def test_every_message_path_reads_and_writes_the_same_room(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await make_room(ila, "group", [kaushal])
    number, name = room["id"], room["name"]
    bodies = (
        ("/messages", {"room": name, "content": "1"}),
        ("/messages", {"room": number, "content": "2"}),
        ("/messages/", {"room": name.upper(), "message": "3"}),
        (f"/rooms/{number}/messages", {"message": "4"}),
        (f"/rooms/{number}/messages/", {"content": "5", "username": ila.username}),
        (f"/messages/{number}", {"content": "6"}),
        (f"/messages/{number}/", {"message": "7", "attachments": []}),
    )
    for path, body in bodies:
        answer = await ila.post(path, body)
        assert answer.status_code == 201, answer.text
    expected = [str(count) for count in range(1, 8)]
    paths = (f"/rooms/{number}/messages", f"/messages/{number}", f"/history/{name}")
    for path in paths:
        for slash in ("", "/"):
            answer = await kaushal.get(path + slash)
            assert answer.status_code == 200
            assert contents(answer.json()) == expected, path
            page = await kaushal.get(path + slash, before=6, limit=2)
            assert contents(page.json()) == ["4", "5"], path
    assert contents((await kaushal.get(f"/history/{name.upper()}")).json()) == expected


async def test_history_pages_by_before_after_and_limit(person: Register) -> None:
    ila = await person()
    room = await make_room(ila)
    path = f"/rooms/{room['id']}/messages"
    for number in range(1, 61):
        await send_message(ila, room["id"], str(number))

    async def page(**params: int) -> list[int]:
        answer = await ila.get(path, **params)
        assert answer.status_code == 200, answer.text
        return [message["seq"] for message in answer.json()]

    assert await page() == list(range(11, 61))
    assert await page(limit=200) == list(range(1, 61))
    assert await page(limit=3) == [58, 59, 60]
    assert await page(before=10, limit=3) == [7, 8, 9]
    assert await page(after=10, limit=3) == [11, 12, 13]
    assert await page(after=0, limit=2) == [1, 2]
    assert await page(after=60) == []
    assert await page(before=1) == []
    assert await page(after=3, before=6) == [4, 5]
    for bad in ({"limit": 0}, {"limit": 201}, {"before": -1}, {"after": "x"}):
        answer = await ila.get(path, **bad)
        assert refused(answer) == (422, "invalid"), bad


@pytest.mark.parametrize("path", ["/rooms/{id}/messages", "/messages/{id}", "/history/{name}"])
async def test_link_headers_lead_through_the_whole_history(person: Register, path: str) -> None:
    ila = await person()
    room = await make_room(ila, name=fresh("комната"))
    for number in range(1, 12):
        await send_message(ila, room["id"], str(number))
    first = path.format(**room)

    answer = await ila.get(first, limit=4)
    assert "next" not in links(answer)
    pages = [[m["seq"] for m in answer.json()]]
    while "prev" in links(answer):
        answer = await ila.http.get(links(answer)["prev"])
        pages.append([m["seq"] for m in answer.json()])
    assert pages == [[8, 9, 10, 11], [4, 5, 6, 7], [1, 2, 3]]

    pages = [[m["seq"] for m in answer.json()]]
    while "next" in links(answer):
        answer = await ila.http.get(links(answer)["next"])
        pages.append([m["seq"] for m in answer.json()])
    assert pages == [[1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


async def test_feed_lists_only_readable_messages_newest_last(person: Register) -> None:
    ila, kaushal, stranger = await person(), await person(), await person()
    group = await make_room(ila, "group", [kaushal])
    public = await make_room(ila)
    private = (await ila.post(f"/private/{kaushal.username}")).json()
    for number in range(3):
        await send_message(ila, group["id"], f"group {number}")
        await send_message(ila, public["id"], f"public {number}")
        await send_message(kaushal, private["id"], f"private {number}")

    own = (await ila.get("/messages", limit=9)).json()
    order = [f"{kind} {number}" for number in range(3) for kind in ("group", "public", "private")]
    assert contents(own) == order
    assert set(own[0]) == MEMBERS
    seen = (await stranger.get("/messages", limit=3)).json()
    assert contents(seen) == ["public 0", "public 1", "public 2"]
    everything = (await stranger.get("/messages", limit=200)).json()
    rooms = {message["room_id"] for message in everything}
    assert public["id"] in rooms
    assert not rooms & {group["id"], private["id"]}

    answer = await ila.get("/messages", limit=4)
    assert contents(answer.json()) == order[5:]
    assert "next" not in links(answer)
    answer = await ila.http.get(links(answer)["prev"])
    assert contents(answer.json()) == order[1:5]


async def test_feed_prev_links_reach_the_end_without_repeats(person: Register) -> None:
    ila = await person()
    room = await make_room(ila)
    for number in range(5):
        await send_message(ila, room["id"], str(number))
    seen: list[int] = []
    answer = await ila.get("/messages", limit=200)
    while True:
        page = [message["id"] for message in answer.json()]
        assert page == sorted(page)
        seen = page + seen
        if "prev" not in links(answer):
            break
        answer = await ila.http.get(links(answer)["prev"])
    assert seen == sorted(set(seen))


async def test_message_to_an_invisible_room_answers_not_found(person: Register) -> None:
    ila, stranger = await person(), await person()
    group = await make_room(ila, "group")
    message = await send_message(ila, group["id"], "secret")
    room, one = f"/rooms/{group['id']}", f"/rooms/{group['id']}/messages/{message['id']}"
    answers = [
        await stranger.get(f"{room}/messages"),
        await stranger.get(f"/messages/{group['id']}"),
        await stranger.get(f"/history/{group['name']}"),
        await stranger.post(f"{room}/messages", {"content": "x"}),
        await stranger.post(f"/messages/{group['id']}", {"content": "x"}),
        await stranger.post("/messages", {"room": group["name"], "content": "x"}),
        await stranger.post("/messages", {"room": group["id"], "content": "x"}),
        await stranger.patch(one, {"content": "x"}),
        await stranger.delete(one),
        await stranger.put(f"{one}/reactions/👍"),
        await stranger.delete(f"{one}/reactions/👍"),
        await stranger.post(f"{room}/read", {"seq": 1}),
    ]
    for answer in answers:
        assert refused(answer) == (404, "no_such_room"), answer.request.url
    nowhere = await stranger.get(f"/rooms/{2**40}/messages")
    assert nowhere.json() == answers[0].json()
    assert contents((await ila.get(f"{room}/messages")).json()) == ["secret"]


async def test_first_failing_check_answers(person: Register) -> None:
    ila, stranger = await person(), await person()
    group = await make_room(ila, "group")
    path = f"/rooms/{group['id']}/messages"
    async with httpx.AsyncClient(base_url=str(ila.http.base_url), verify=False) as anonymous:
        answer = await anonymous.post(path, content=b"{")
        assert refused(answer) == (401, "not_authenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    answer = await stranger.http.post(path, content=b"{")
    assert answer.status_code == 400
    # The text's shape is checked before the room, the room before the claimed username.
    answer = await stranger.post(path, {"content": " ", "username": ila.username})
    assert refused(answer) == (422, "invalid")
    answer = await stranger.post(path, {"content": "x", "username": ila.username})
    assert refused(answer) == (404, "no_such_room")
    answer = await stranger.post("/messages", {"room": group["name"], "content": " "})
    assert refused(answer) == (422, "invalid")
    answer = await ila.post(path, {"content": " ", "username": stranger.username})
    assert refused(answer) == (422, "invalid")
    # The claimed username is checked before idempotency.
    await send_message(ila, group["id"], "x", client_id="a")
    answer = await ila.post(path, {"content": "y", "client_id": "a", "username": stranger.username})
    assert refused(answer) == (403, "sender_mismatch")


@pytest.mark.parametrize("name", ["content", "message"])
async def test_text_errors_use_the_member_name_that_was_sent(person: Register, name: str) -> None:
    ila = await person()
    room = await make_room(ila)
    path = f"/rooms/{room['id']}/messages"
    wrong: list[Any] = ["", " \n\t ", "a\x00b", "x" * 4001, None, 5, ["x"], {}, True]
    for bad in wrong:
        assert refused(await ila.post(path, {name: bad})) == (422, "invalid"), bad
    longest = "é" * 4000
    for text in (longest, f"  {longest}  ", "😀" * 4000):
        answer = await ila.post(path, {name: text})
        assert answer.status_code == 201, answer.text
        assert answer.json()["content"] == text.strip()
    assert refused(await ila.post(path, {})) == (422, "invalid")
    assert (await ila.get(f"/rooms/{room['id']}")).json()["last_seq"] == 3


async def test_foreign_username_is_rejected(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await make_room(ila)
    body = {"content": "x", "username": kaushal.username}
    for answer in (
        await ila.post("/messages", body | {"room": room["name"]}),
        await ila.post(f"/rooms/{room['id']}/messages", body),
        await ila.post(f"/messages/{room['id']}", body),
    ):
        assert refused(answer) == (403, "sender_mismatch")
    socket = ila.public(room["name"])
    async with opened(socket):
        await socket.send(type="message", message="x", username=kaushal.username, ref="r")
        error = await socket.receive_type("error")
        assert (error["code"], error["ref"]) == ("sender_mismatch", "r")
        await socket.send(username=kaushal.username, typing=True)
        assert (await socket.receive_type("error"))["code"] == "sender_mismatch"
    assert (await ila.get(f"/rooms/{room['id']}/messages")).json() == []


async def test_reply_requires_an_existing_message_of_the_room(
    person: Register,
) -> None:
    ila = await person()
    room, other = await make_room(ila), await make_room(ila)
    elsewhere = await send_message(ila, other["id"], "elsewhere")
    gone = await send_message(ila, room["id"], "gone")
    await ila.delete(f"/rooms/{room['id']}/messages/{gone['id']}")
    socket = ila.public(room["name"])
    async with opened(socket):
        for bad in (elsewhere["id"], gone["id"], 2**50):
            answer = await ila.post(
                f"/rooms/{room['id']}/messages", {"content": "x", "reply_to": bad}
            )
            assert refused(answer) == (422, "invalid"), bad
            assert answer.json()["errors"][0]["loc"][-1] == "reply_to"
            await socket.send(type="message", message="x", reply_to=bad)
            error = await socket.receive_type("error")
            assert (error["code"], error["errors"][0]["loc"]) == ("invalid", ["reply_to"])
    assert (await ila.get(f"/rooms/{room['id']}")).json()["last_seq"] == 1


async def test_attachments_that_are_no_files_of_the_sender_are_rejected(person: Register) -> None:
    ila = await person()
    room = await make_room(ila)
    wrong: list[Any] = [[2**40], [0], ["a"], [{}], "a", {}]
    for bad in wrong:
        answer = await ila.post(
            f"/rooms/{room['id']}/messages", {"content": "x", "attachments": bad}
        )
        assert refused(answer) == (422, "invalid"), bad
    socket = ila.public(room["name"])
    async with opened(socket):
        await socket.send(type="message", message="x", attachments=[2**40])
        assert (await socket.receive_type("error"))["code"] == "invalid"
        await socket.send(type="message", message="x", attachments=[], ref="r")
        assert (await socket.receive_type("message"))["attachments"] == []


# Changing messages


async def test_only_the_author_edits_and_the_room_receives_the_whole_state(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    room = await make_room(ila, "group", [kaushal])
    message = await send_message(kaushal, room["id"], "tpyo", client_id="a")
    path = f"/rooms/{room['id']}/messages/{message['id']}"
    socket = ila.group(room["name"])
    async with opened(socket):
        answer = await kaushal.patch(path, {"message": " typo "})
        assert answer.status_code == 200
        edited = answer.json()
        assert edited["edited_at"] is not None
        assert RFC3339_UTC.fullmatch(edited["edited_at"])
        changed = {"content": "typo", "version": 2, "edited_at": edited["edited_at"]}
        assert edited == message | changed
        frame = await socket.receive_type("edit")
        assert (frame.pop("type"), frame.pop("message")) == ("edit", "typo")
        assert frame | {"content": "typo"} == edited
        # The room's owner may delete the message, but not edit it.
        assert refused(await ila.patch(path, {"content": "x"})) == (403, "forbidden")
        for bad in ({"content": ""}, {"content": "x" * 4001}, {"content": "\x00"}, {}):
            assert refused(await kaushal.patch(path, bad)) == (422, "invalid")
        assert "edit" not in [frame["type"] for frame in await socket.ping()]
    missing = f"/rooms/{room['id']}/messages/{2**40}"
    assert refused(await ila.patch(missing, {"content": "x"})) == (404, "no_such_message")


async def test_message_is_not_found_through_another_room(person: Register) -> None:
    ila = await person()
    room, other = await make_room(ila), await make_room(ila)
    message = await send_message(ila, room["id"], "here")
    path = f"/rooms/{other['id']}/messages/{message['id']}"
    for answer in (
        await ila.patch(path, {"content": "x"}),
        await ila.delete(path),
        await ila.put(f"{path}/reactions/👍"),
    ):
        assert refused(answer) == (404, "no_such_message")


async def test_deleted_message_leaves_a_tombstone_in_its_place(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await make_room(ila, "group", [kaushal])
    first = await send_message(ila, room["id"], "first")
    message = await send_message(kaushal, room["id"], "secret", reply_to=first["id"])
    path = f"/rooms/{room['id']}/messages/{message['id']}"
    await ila.put(f"{path}/reactions/👍")
    socket = ila.group(room["name"])
    async with opened(socket):
        answer = await kaushal.delete(path)
        assert (answer.status_code, answer.content) == (204, b"")
        frame = await socket.receive_type("delete")
        assert (frame["id"], frame["seq"], frame["version"]) == (message["id"], 2, 4)
        assert (frame["message"], frame["deleted"], frame["reply_to"]) == ("", True, None)
        assert (frame["reactions"], frame["attachments"]) == ([], [])
        # Repeated deletion is no error and no change.
        assert (await kaushal.delete(path)).status_code == 204
        assert "delete" not in [frame["type"] for frame in await socket.ping()]
    page = await ila.get(f"/rooms/{room['id']}/messages")
    assert "secret" not in page.text
    tombstone = page.json()[1]
    assert (tombstone["seq"], tombstone["content"], tombstone["deleted"]) == (2, "", True)
    assert tombstone["username"] == kaushal.username
    for answer in (
        await kaushal.patch(path, {"content": "back"}),
        await ila.put(f"{path}/reactions/👍"),
    ):
        assert refused(answer) == (409, "message_deleted")


async def test_only_admins_and_owners_delete_messages_of_others(
    person: Register,
) -> None:
    ila, admin, member = await person(), await person(), await person()
    room = await make_room(ila, "group", [admin, member])
    answer = await ila.patch(f"/rooms/{room['id']}/members/{admin.username}", {"role": "admin"})
    assert answer.status_code == 200
    path = f"/rooms/{room['id']}/messages"
    by_owner = await send_message(ila, room["id"], "a")
    by_member = await send_message(member, room["id"], "b")
    another = await send_message(member, room["id"], "c")
    assert refused(await member.delete(f"{path}/{by_owner['id']}")) == (403, "forbidden")
    assert (await admin.delete(f"{path}/{by_member['id']}")).status_code == 204
    assert (await ila.delete(f"{path}/{another['id']}")).status_code == 204
    private = (await ila.post(f"/private/{member.username}")).json()
    sent = await send_message(member, private["id"], "mine")
    answer = await ila.delete(f"/rooms/{private['id']}/messages/{sent['id']}")
    assert refused(answer) == (403, "forbidden")


async def test_reactions_are_counted_per_emoji_and_removed_only_by_their_user(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    room = await make_room(ila, "group", [kaushal])
    message = await send_message(ila, room["id"], "hey")
    path = f"/rooms/{room['id']}/messages/{message['id']}/reactions"
    socket = kaushal.group(room["name"])

    def shown(state: Frame) -> dict[str, tuple[int, list[int]]]:
        return {one["emoji"]: (one["count"], one["users"]) for one in state["reactions"]}

    async with opened(socket):
        steps: Sequence[tuple[Any, str, Any]] = (
            (ila.put, "👍", {"👍": (1, [ila.id])}),
            (kaushal.put, "👍", {"👍": (2, [ila.id, kaushal.id])}),
            (kaushal.put, "👩‍👩‍👧", {"👍": (2, [ila.id, kaushal.id]), "👩‍👩‍👧": (1, [kaushal.id])}),
            (kaushal.delete, "👍", {"👍": (1, [ila.id]), "👩‍👩‍👧": (1, [kaushal.id])}),
            (kaushal.delete, "👩‍👩‍👧", {"👍": (1, [ila.id])}),
            (ila.delete, "👍", {}),
        )
        for version, (call, emoji, expected) in enumerate(steps, 2):
            answer = await call(f"{path}/{emoji}")
            assert answer.status_code == 200, answer.text
            assert shown(answer.json()) == expected
            frame = await socket.receive_type("reaction")
            assert shown(frame) == expected
            assert (frame["version"], frame["seq"], frame["message"]) == (version, 1, "hey")
            assert answer.json()["version"] == version
            assert answer.json()["edited_at"] is None
    for bad in ("%20", "%00", "x" * 33, "%0A"):
        assert refused(await ila.put(f"{path}/{bad}")) == (422, "invalid"), bad


async def test_reaction_counts_all_users_and_lists_fifty(person: Register) -> None:
    ila = await person()
    room = await make_room(ila)
    message = await send_message(ila, room["id"], "hey")
    path = f"/rooms/{room['id']}/messages/{message['id']}/reactions/👍"
    people = await asyncio.gather(*(person() for _ in range(51)))
    answers = await asyncio.gather(*(one.put(path) for one in people))
    assert {answer.status_code for answer in answers} == {200}
    (shown,) = (await ila.get(f"/rooms/{room['id']}/messages")).json()[0]["reactions"]
    assert (shown["count"], len(shown["users"])) == (51, 50)
    assert set(shown["users"]) < {one.id for one in people}


# Reading


async def test_read_markers_only_advance_up_to_the_last_message(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    room = await make_room(ila, "group", [kaushal])
    path = f"/rooms/{room['id']}/read"
    for number in range(5):
        await send_message(ila, room["id"], str(number))
    for one, mark, unread in ((kaushal, 0, 5), (ila, 5, 0)):
        listed = await my_room(one, room["id"])
        assert (listed["last_read_seq"], listed["unread"]) == (mark, unread)
    for seq, mark in ((2, 2), (1, 2), (0, 2), (4, 4), (99, 5), (2**62, 5), (3, 5)):
        answer = await kaushal.post(path, {"seq": seq})
        assert answer.status_code == 200
        assert answer.json() == {"last_read_seq": mark, "unread": 5 - mark}, seq
    for bad in (-1, 2**63, 1.5, "1", None, True):
        assert refused(await kaushal.post(path, {"seq": bad})) == (422, "invalid"), bad
    await send_message(kaushal, room["id"], "sending also reads")
    assert (await my_room(kaushal, room["id"]))["unread"] == 0
    assert (await my_room(ila, room["id"]))["unread"] == 1


async def test_sending_marks_earlier_messages_read(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await make_room(ila, "group", [kaushal])
    for number in range(3):
        await send_message(ila, room["id"], str(number))
    socket = kaushal.group(room["name"])
    async with opened(socket):
        await socket.send(type="message", message="here", ref="r")
        await socket.receive_type("ack")
    listed = await my_room(kaushal, room["id"])
    assert (listed["last_read_seq"], listed["unread"]) == (4, 0)
    assert listed["last_message"]["content"] == "here"
    assert set(listed["last_message"]) == MEMBERS


async def test_room_receives_read_frames_of_advanced_markers(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await make_room(ila, "group", [kaushal])
    for number in range(3):
        await send_message(ila, room["id"], str(number))
    socket, receiver = kaushal.group(room["name"]), ila.group(room["name"])
    async with opened(receiver, socket):
        await socket.send(type="read", seq=2)
        assert await receiver.receive_type("read") == {
            "type": "read",
            "username": kaushal.username,
            "seq": 2,
        }
        await socket.send(type="read", seq=1)
        await socket.send(type="read", seq=50)
        assert (await receiver.receive_type("read"))["seq"] == 3
        await kaushal.post(f"/rooms/{room['id']}/read", {"seq": 3})
        assert "read" not in [frame["type"] for frame in await receiver.ping()]
    listed = await my_room(kaushal, room["id"])
    assert (listed["last_read_seq"], listed["unread"]) == (3, 0)


async def test_read_frame_echoes_its_ref_and_reaches_its_sender(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    room = await make_room(ila, "group", [kaushal])
    await send_message(ila, room["id"], "hey")
    mark = {"type": "read", "username": kaushal.username, "seq": 1}
    socket = kaushal.group(room["name"])

    async def read_frames(seq: int, ref: str) -> list[Frame]:
        await socket.send(type="read", seq=seq, ref=ref)
        return [frame for frame in await socket.ping() if frame["type"] == "read"]

    async with opened(socket):
        assert sorted(await read_frames(9, "moved"), key=len) == [mark, mark | {"ref": "moved"}]
        # An unmoved marker sends nothing to the room, but the sender gets an answer.
        assert await read_frames(1, "stays") == [mark | {"ref": "stays"}]


async def test_earlier_messages_are_read_on_joining_a_public_room(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await make_room(ila)
    await send_message(ila, room["id"], "old")
    assert refused(await kaushal.post(f"/rooms/{room['id']}/read", {"seq": 1}))[0] == 403
    socket = kaushal.public(room["name"])
    async with opened(socket):
        await send_message(ila, room["id"], "new")
        await socket.receive_type("message")
    assert (await my_room(kaushal, room["id"]))["unread"] == 1


# Frames


async def test_sender_gets_a_requested_ack(person: Register) -> None:
    ila = await person()
    socket = ila.public(fresh("ack"))
    async with opened(socket) as (ready,):
        room_id = ready["room"]["id"]
        await socket.send(message="no type, no ack")
        frames = await socket.ping()
        assert "ack" not in [frame["type"] for frame in frames]
        message = next(frame for frame in frames if frame["type"] == "message")
        assert (message["message"], message["seq"]) == ("no type, no ack", 1)
        assert set(message) == MEMBERS - {"content"} | {"message", "type"}
        await socket.send(type="message", content="by ref", ref="r1")
        ack = await socket.receive_type("ack")
        message = (await ila.get(f"/rooms/{room_id}/messages")).json()[-1]
        assert ack == {
            "type": "ack",
            "ref": "r1",
            "room_id": room_id,
            "id": message["id"],
            "seq": 2,
            "version": 2,
            "duplicate": False,
        }
        await socket.send(type="message", message="by id", client_id="c1")
        ack = await socket.receive_type("ack")
        assert (ack["client_id"], ack["seq"], "ref" in ack) == ("c1", 3, False)


async def test_frames_of_a_socket_are_handled_in_order(person: Register) -> None:
    ila = await person()
    socket = ila.public(fresh("order"))
    async with opened(socket):
        for number in range(20):
            await socket.send(type="message", message=str(number), ref=f"m{number}")
            await socket.send(type="ping", ref=f"p{number}")
        received = [
            frame for frame in [await socket.receive() for _ in range(61)] if "ref" in frame
        ]
        assert [frame["ref"] for frame in received] == [
            ref for number in range(20) for ref in (f"m{number}", f"p{number}")
        ]


async def test_pong_echoes_the_ref_of_the_ping(person: Register) -> None:
    ila = await person()
    socket = ila.public(fresh("ping"))
    async with opened(socket):
        await socket.send(type="ping")
        assert await socket.receive_type("pong") == {"type": "pong"}
        await socket.send(type="ping", ref="7", username=ila.username, token=ila.access)
        assert await socket.receive_type("pong") == {"type": "pong", "ref": "7"}


async def test_typing_is_limited_to_once_a_second_and_its_end_is_always_sent(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    room = fresh("typing")
    socket, twin, receiver = ila.public(room), ila.public(room), kaushal.public(room)
    async with opened(socket, twin, receiver) as (ready, *_):
        started = {"type": "typing", "sender": ila.id, "username": ila.username, "typing": True}
        began = time.monotonic()
        for frame in (
            {"type": "typing"},
            {"typing": True},
            {"username": ila.username, "typing": True},
        ):
            await socket.send(**frame)
        await socket.ping()
        received = [frame for frame in await receiver.ping() if frame["type"] == "typing"]
        # One frame, unless the test took so long that a second was due.
        assert received == [started] * len(received)
        assert 1 <= len(received) <= 1 + int(time.monotonic() - began)
        for _ in range(3):
            await socket.send(type="typing", typing=False)
        await socket.ping()
        received = [frame for frame in await receiver.ping() if frame["type"] == "typing"]
        assert received == [started | {"typing": False}], "false once after a true"
        await asyncio.sleep(1.05)
        await socket.send(typing=True)
        assert await receiver.receive_type("typing") == started
        for own in (socket, twin):
            assert "typing" not in [frame["type"] for frame in await own.ping()]
        version = (await ila.get(f"/rooms/{ready['room']['id']}")).json()["version"]
        assert version == 0


async def test_join_and_exit_follow_a_users_first_and_last_socket(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = fresh("presence")
    receiver, first, second = ila.public(room), kaushal.public(room), kaushal.public(room)
    joined = {"type": "join", "username": kaushal.username}
    left = {"type": "exit", "username": kaushal.username}
    async with opened(receiver):
        await receiver.ping()
        async with opened(first) as (ready,):
            assert sorted(ready["online"]) == sorted([ila.username, kaushal.username])
            assert ready["online_count"] == 2
            assert await first.receive_type("join") == joined
            assert await receiver.receive_type("join") == joined
            async with opened(second) as (another,):
                assert another["online_count"] == 2
                assert [frame["type"] for frame in await second.ping()] == ["pong"]
                await second.send(type="exit")
                assert await second.closed() == (1000, [left])
            assert [frame["type"] for frame in await receiver.ping()] == ["pong"]
        assert await receiver.receive_type("exit") == left


async def test_join_frame_always_reaches_its_sender_and_others_every_ten_seconds(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    room = fresh("joining")
    receiver, socket = ila.public(room), kaushal.public(room)
    async with opened(receiver, socket):
        await receiver.ping()
        await socket.ping()
        for _ in range(3):
            await socket.send(type="join", ref="j")
            received = await socket.receive_type("join")
            assert received == {"type": "join", "username": kaushal.username, "ref": "j"}
        # The others received it less than ten seconds ago, when the socket opened.
        assert [frame["type"] for frame in await receiver.ping()] == ["pong"]


async def test_exit_is_the_last_frame_of_a_socket(person: Register) -> None:
    ila = await person()
    socket = ila.public(fresh("exit"))
    async with opened(socket):
        await socket.ping()
        await socket.send(type="message", message="before", ref="m")
        await socket.send(type="exit", ref="e")
        await socket.send(type="message", message="after")
        code, frames = await socket.closed()
        assert code == 1000
        assert [frame["type"] for frame in frames] == ["message", "ack", "exit"]
        assert frames[-1] == {"type": "exit", "username": ila.username, "ref": "e"}


async def test_title_change_is_sent_to_the_room(person: Register) -> None:
    ila = await person()
    room = await make_room(ila)
    socket = ila.public(room["name"])
    async with opened(socket):
        answer = await ila.patch(f"/rooms/{room['id']}", {"title": "New", "topic": "All"})
        frame = await socket.receive_type("room")
        assert frame == {"type": "room", "room": answer.json()}
        assert (frame["room"]["title"], frame["room"]["topic"]) == ("New", "All")
        assert frame["room"]["version"] == 0


# Private messages


async def test_receiver_on_a_room_socket_makes_the_message_private(person: Register) -> None:
    ila, kaushal, other = await person(), await person(), await person()
    room = fresh("aside")
    public = ila.public(room), ila.public(room), kaushal.public(room), other.public(room)
    direct = ila.private(kaushal.username), kaushal.private(ila.username)
    async with opened(*public, *direct) as readies:
        room_id, private_id = readies[0]["room"]["id"], readies[-1]["room"]["id"]
        for number in range(3):
            await public[0].send(
                type="message", receiver=kaushal.id, message=f"psst {number}", client_id=f"{number}"
            )
            ack = await public[0].receive_type("ack")
            assert (ack["room_id"], ack["seq"], ack["version"]) == (
                private_id,
                number + 1,
                number + 1,
            )
        await public[0].send(type="message", message="to all", ref="all")
        await public[0].receive_type("ack")
        for socket in (*public[1:3], *direct):
            received = [await socket.receive_type("message") for _ in range(3)]
            assert [frame["message"] for frame in received] == [f"psst {n}" for n in range(3)]
            for frame in received:
                assert (frame["room"], frame["room_id"]) == (None, private_id)
                assert (frame["sender"], frame["receiver"]) == (ila.id, kaushal.id)
        received = [frame for frame in await public[3].ping() if frame["type"] == "message"]
        assert [frame["message"] for frame in received] == ["to all"]
        assert (received[0]["room_id"], received[0]["seq"]) == (room_id, 1)
        # A repeat is acknowledged and not published.
        await public[0].send(
            type="message", receiver=kaushal.id, message="psst 0", client_id="0", ref="again"
        )
        assert (await public[0].receive_type("ack"))["duplicate"] is True
        assert "message" not in [frame["type"] for frame in await direct[1].ping()]
    stored = (await kaushal.get(f"/rooms/{private_id}/messages")).json()
    assert contents(stored) == ["psst 0", "psst 1", "psst 2"]
    assert contents((await ila.get(f"/rooms/{room_id}/messages")).json()) == ["to all"]
    listed = await my_room(kaushal, private_id)
    assert (listed["kind"], listed["name"], listed["unread"]) == ("private", None, 3)
    assert sorted(listed["members"]) == sorted([ila.username, kaushal.username])


async def test_unknown_receiver_or_self_is_an_error(person: Register) -> None:
    ila = await person()
    group = await make_room(ila, "group")
    socket = ila.group(group["name"])
    async with opened(socket):
        await socket.send(type="message", receiver=2**40, message="x", ref="r")
        error = await socket.receive_type("error")
        assert (error["code"], error["ref"]) == ("invalid", "r")
        assert error["errors"][0]["loc"] == ["receiver"]
        await socket.send(type="message", receiver=ila.id, message="x")
        assert (await socket.receive_type("error"))["code"] == "forbidden"
        for bad in ("2", 0, -1, 1.5, True, [1]):
            await socket.send(type="message", receiver=bad, message="x")
            assert (await socket.receive_type("error"))["code"] == "invalid"


async def test_private_socket_requires_the_other_user_as_receiver(person: Register) -> None:
    ila, kaushal, other = await person(), await person(), await person()
    socket, receiver = ila.private(kaushal.username), kaushal.private(ila.username)
    async with opened(socket, receiver):
        for wrong in (other.id, ila.id, 2**40):
            await socket.send(type="message", receiver=wrong, message="x", ref="r")
            error = await socket.receive_type("error")
            assert (error["code"], error["ref"]) == ("receiver_mismatch", "r")
        await socket.send(type="message", receiver=kaushal.id, message="right")
        for side in (socket, receiver):
            frame = await side.receive_type("message")
            assert (frame["message"], frame["seq"], frame["receiver"]) == ("right", 1, kaushal.id)
        await receiver.send(type="message", message="back")
        assert (await socket.receive_type("message"))["receiver"] == ila.id


async def test_private_message_copies_do_not_break_the_version_order(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    room = fresh("both")
    socket, receiver = ila.public(room), kaushal.public(room)
    async with opened(socket, receiver) as (ready, _):
        for number in range(10):
            await socket.send(type="message", message=f"room {number}")
            await socket.send(type="message", receiver=kaushal.id, message=f"private {number}")
        # Frames are handled in order, so the answer to a ping comes last.
        await socket.ping()
        received = [frame for frame in await receiver.ping() if frame["type"] == "message"]
        own = [frame for frame in received if frame["room_id"] == ready["room"]["id"]]
        assert [frame["version"] for frame in own] == list(range(1, 11))
        private = [frame["seq"] for frame in received if frame not in own]
        assert private == list(range(1, 11))


async def test_repeated_reconnects_are_announced_at_intervals(
    person: Register,
) -> None:
    ila, restless = await person(), await person()
    room = fresh("restless")
    receiver, rounds = ila.public(room), 25
    async with opened(receiver):
        for _ in range(rounds):
            async with opened(restless.public(room)):
                pass
        frames = await receiver.ping()
        kinds = [one["type"] for one in frames if one.get("username") == restless.username]
        assert kinds == ["join", "exit"] * 10 + ["join"], "ten a minute"
        async with opened(restless.public(room)):
            # The room received no `exit` of them.
            assert [frame["type"] for frame in await receiver.ping()] == ["pong"]
