"""One socket for all rooms of its user (contract §7)."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from tests.clients import (
    PASSWORD,
    Frame,
    Person,
    Socket,
    connect_refused,
    fresh,
    opened,
    signed_in_again,
)
from tests.conftest import Register

ABOUT_ROOMS = {"message", "edit", "delete", "reaction", "typing", "join", "exit", "read", "room"}
FOR_DISPLAY = {"presence", "marks"}
"""Frames that come when they come, and that most tests do not expect."""


async def make_group(owner: Person, *members: Person) -> int:
    body = {"name": fresh("group"), "members": [one.username for one in members]}
    answer = await owner.post("/rooms/with-members", body)
    assert answer.status_code == 201, answer.text
    room_id: int = answer.json()["id"]
    return room_id


async def make_public(owner: Person) -> Frame:
    answer = await owner.post("/rooms", {"name": fresh("public")})
    assert answer.status_code == 201, answer.text
    room: Frame = answer.json()
    return room


async def send_text(sender: Person, room_id: int, text: str = "Hi") -> Frame:
    answer = await sender.post(f"/rooms/{room_id}/messages", {"content": text})
    assert answer.status_code == 201, answer.text
    message: Frame = answer.json()
    return message


async def frames_until_pong(socket: Socket) -> list[Frame]:
    """Returns what the socket received, without frames for display and the pong."""
    return [frame for frame in (await socket.ping())[:-1] if frame["type"] not in FOR_DISPLAY]


async def receive_of(socket: Socket, kind: str, **members: Any) -> Frame:
    """Returns the next frame of a type with these members."""
    while True:
        frame = await socket.receive_type(kind)
        if all(frame.get(name) == value for name, value in members.items()):
            return frame


# Signing in and `ready`


async def test_ready_lists_the_rooms_of_the_user_with_their_marks(person: Register) -> None:
    ila, kaushal = await person(), await person()
    quiet, busy = await make_group(ila, kaushal), await make_group(ila, kaushal)
    await make_group(kaushal)
    for text in ("one", "two"):
        await send_text(kaushal, busy, text)
    await ila.post(f"/rooms/{busy}/read", {"seq": 1})
    async with opened(ila.events()) as (ready,):
        assert ready == {
            "type": "ready",
            "user": {"id": ila.id, "username": ila.username},
            "rooms": [
                {
                    "id": busy,
                    "version": 2,
                    "last_seq": 2,
                    "last_read_seq": 1,
                    "unread": 1,
                    "mentions": 0,
                    "muted": False,
                },
                {
                    "id": quiet,
                    "version": 0,
                    "last_seq": 0,
                    "last_read_seq": 0,
                    "unread": 0,
                    "mentions": 0,
                    "muted": False,
                },
            ],
            "more": False,
        }


@pytest.mark.parametrize("path", ["/ws/events", "/ws/events/"])
async def test_user_without_rooms_gets_an_empty_ready(person: Register, path: str) -> None:
    ila = await person()
    async with opened(ila.socket(path)) as (ready,):
        assert (ready["rooms"], ready["more"]) == ([], False)


async def test_anonymous_socket_is_refused(person: Register) -> None:
    ila = await person()
    nonsense = Socket(f"{ila.ws}/ws/events/", token="nonsense")
    assert await connect_refused(nonsense) == (4401, "token_invalid")
    async with Socket(f"{ila.ws}/ws/events/") as socket:
        await socket.send(type="ping")
        assert await socket.refused() == (4401, "not_authenticated")


async def test_first_frame_may_bring_the_token(person: Register) -> None:
    ila = await person()
    async with Socket(f"{ila.ws}/ws/events/") as socket:
        await socket.send(type="ping", token=ila.access, ref="p")
        assert [(await socket.receive())["type"] for _ in range(2)] == ["ready", "pong"]


# Frames of rooms


async def test_messages_of_all_rooms_arrive_and_changes_too(person: Register) -> None:
    ila, kaushal = await person(), await person()
    rooms = [await make_group(ila, kaushal) for _ in range(3)]
    socket = ila.events()
    async with opened(socket):
        for room_id in rooms:
            sent = await send_text(kaushal, room_id)
            frame = await socket.receive_type("message")
            members = {**frame, "content": frame["message"]}
            assert {name: members[name] for name in sent} == sent
        message = await send_text(kaushal, rooms[0])
        path = f"/rooms/{rooms[0]}/messages/{message['id']}"
        await kaushal.patch(path, {"content": "Hello"})
        await kaushal.put(f"{path}/reactions/👍")
        await kaushal.delete(path)
        frames = [await socket.receive_type(kind) for kind in ("edit", "reaction", "delete")]
        assert [frame["version"] for frame in frames] == [3, 4, 5]
        assert {frame["room_id"] for frame in frames} == {rooms[0]}


async def test_frames_about_a_room_carry_its_id_on_events_sockets_only(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await make_public(ila)
    await kaushal.post(f"/rooms/{room['id']}/join")
    socket, old, typist = ila.events(), ila.public(room["name"]), kaushal.public(room["name"])
    async with opened(socket, old), opened(typist):
        await typist.send(type="typing", typing=True)
        await typist.send(message="Hi")
        await socket.receive_type("message")
        await typist.send(type="read", seq=1)
        await ila.patch(f"/rooms/{room['id']}", {"title": "Title"})
        await typist.send(type="exit")
        frames = await socket.receive_until("exit")
        about_rooms = [frame for frame in frames if frame["type"] not in FOR_DISPLAY]
        assert {frame["type"] for frame in about_rooms} >= {"room", "exit"}
        assert {frame.get("room_id") for frame in about_rooms} == {room["id"]}
        for frame in await old.receive_until("exit"):
            assert frame["type"] == "message" or "room_id" not in frame


async def test_message_is_sent_acknowledged_and_stored(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room_id = await make_group(ila, kaushal)
    socket, other = ila.events(), kaushal.events()
    async with opened(socket, other):
        await socket.send(message="Hi", room_id=room_id, client_id="a", ref="r")
        ack = await socket.receive_type("ack")
        assert (ack["room_id"], ack["seq"], ack["ref"], ack["duplicate"]) == (
            *(room_id, 1, "r"),
            False,
        )
        await socket.send(message="Hi", room_id=room_id, client_id="a", ref="r")
        assert (await socket.receive_type("ack"))["duplicate"] is True
        assert (await receive_of(other, "message"))["id"] == ack["id"]
        await socket.send(message="Ho", room_id=room_id, client_id="a", ref="r2")
        error = await socket.receive_type("error")
        assert (error["code"], error["room_id"], error["ref"]) == (
            *("client_id_reused", room_id),
            "r2",
        )


async def test_private_message_opens_its_room_for_both(person: Register) -> None:
    ila, kaushal = await person(), await person()
    socket, other = ila.events(), kaushal.events()
    async with opened(socket, other):
        await socket.send(message="Psst", receiver=kaushal.id, ref="r")
        added = await socket.receive_type("room_added")
        assert added["room"]["members"] == sorted(
            (ila.username, kaushal.username), key=[ila.username, kaushal.username].index
        )
        message = await socket.receive_type("message")
        assert (message["room_id"], message["receiver"]) == (added["room"]["id"], kaushal.id)
        theirs = await other.receive_type("room_added")
        assert theirs["room"]["id"] == added["room"]["id"]
        await other.send(message="Yes?", receiver=ila.id)
        assert (await receive_of(socket, "message", sender=kaushal.id))["message"] == "Yes?"
        await other.send(type="typing", receiver=ila.id)
        typing = await socket.receive_type("typing")
        assert (typing["room_id"], typing["username"]) == (
            added["room"]["id"],
            kaushal.username,
        )


async def test_copy_of_a_private_message_does_not_reach_events_sockets(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await make_public(ila)
    await ila.post(f"/private/{kaushal.username}")
    await kaushal.post(f"/rooms/{room['id']}/join")
    socket, old = kaushal.events(), ila.public(room["name"])
    async with opened(socket, old):
        await old.send(message="Psst", receiver=kaushal.id, ref="r")
        await old.receive_type("ack")
        frames = [frame for frame in await frames_until_pong(socket) if frame["type"] == "message"]
        assert [frame["message"] for frame in frames] == ["Psst"]


@pytest.mark.parametrize(
    "frame",
    [
        {"message": "Hi"},
        {"typing": True},
        {"type": "join"},
        {"type": "exit"},
        {"type": "read", "seq": 0},
        {"type": "follow"},
        {"type": "unfollow"},
    ],
    ids=lambda frame: frame.get("type", next(iter(frame))),
)
async def test_frame_about_a_room_is_refused_without_it_and_for_other_users(
    person: Register, frame: Frame
) -> None:
    """As outsider of a group and of a private room, and for a missing room."""
    ila, kaushal, outsider = await person(), await person(), await person()
    group = await make_group(ila, kaushal)
    private = (await ila.post(f"/private/{kaushal.username}")).json()["id"]
    socket, member = outsider.events(), ila.events()
    async with opened(socket, member):
        await socket.send(**frame, ref="a")
        error = await socket.receive_type("error")
        assert (error["code"], error["ref"], error["errors"][0]["loc"]) == (
            *("invalid", "a"),
            ["room_id"],
        )
        for room_id in (group, private, 10**9):
            await socket.send(**frame, room_id=room_id, ref="b")
            error = await socket.receive_type("error")
            assert (error["code"], error["room_id"], error["ref"]) == (
                *("no_such_room", room_id),
                "b",
            )
        await socket.send(**frame, room_id=group, receiver=ila.id)
        assert (await socket.receive_type("error"))["code"] == "invalid"
        assert await frames_until_pong(socket) == []
        assert await frames_until_pong(member) == []


async def test_unknown_receiver_is_refused_as_on_other_sockets(person: Register) -> None:
    ila, kaushal = await person(), await person()
    async with opened(socket := ila.events()):
        await socket.send(message="Hi", receiver=10**9)
        assert (await socket.receive_type("error"))["code"] == "invalid"
        await socket.send(message="Hi", receiver=ila.id)
        assert (await socket.receive_type("error"))["code"] == "forbidden"
        await socket.send(type="typing", receiver=kaushal.id)
        assert (await socket.receive_type("error"))["code"] == "no_such_room"
        await socket.send(message="Hi", receiver=kaushal.id, username="other", ref="u")
        assert (await socket.receive_type("error"))["code"] == "sender_mismatch"


@pytest.mark.parametrize("shares", [True, False])
async def test_read_moves_the_marker_on_all_devices(person: Register, shares: bool) -> None:
    ila, kaushal = await person(), await person()
    await ila.patch("/users/me", {"share_receipts": shares})
    room_id = await make_group(ila, kaushal)
    for _ in range(3):
        await send_text(kaushal, room_id)
    socket, device = ila.events(), ila.events()
    async with opened(socket, device):
        await socket.send(type="read", seq=2, room_id=room_id, ref="r")
        answer = await receive_of(socket, "read", ref="r")
        assert (answer["seq"], answer["room_id"]) == (2, room_id)
        assert await device.receive_type("marks") == {
            "type": "marks",
            "room_id": room_id,
            "last_read_seq": 2,
            "unread": 1,
            "mentions": 0,
            "muted": False,
        }
        await ila.post(f"/rooms/{room_id}/read", {"seq": 3})
        assert (await device.receive_type("marks"))["unread"] == 0


# Following


async def test_following_a_public_room_joins_it(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await make_public(kaushal)
    await send_text(kaushal, room["id"])
    socket, old = ila.events(), kaushal.public(room["name"])
    async with opened(socket, old) as (ready, _):
        assert ready["rooms"] == []
        await socket.send(type="follow", room_id=room["id"], ref="f")
        followed = await socket.receive_type("followed")
        assert followed["ref"] == "f"
        assert (followed["room_id"], followed["version"]) == (room["id"], 1)
        assert followed["room"]["member_count"] == 2
        assert set(followed["online"]) == {ila.username, kaushal.username}
        assert followed["online_count"] == 2
        assert (await socket.receive_type("join")) == {
            "type": "join",
            "username": ila.username,
            "room_id": room["id"],
        }
        assert (await receive_of(old, "join", username=ila.username))["username"] == ila.username
        names = [one["name"] for one in (await ila.get("/my-rooms")).json()]
        assert names == [room["name"]]
        await send_text(kaushal, room["id"], "live")
        assert (await socket.receive_type("message"))["message"] == "live"
        await socket.send(type="follow", room_id=room["id"], ref="again")
        again = await socket.receive_type("followed")
        assert (again["version"], again["online_count"]) == (2, 2)
        assert await frames_until_pong(socket) == []


async def test_unfollowing_ends_the_frames_and_not_the_membership(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room_id, other = await make_group(ila, kaushal), await make_group(ila, kaushal)
    socket = ila.events()
    async with opened(socket):
        await socket.send(type="unfollow", room_id=room_id, ref="u")
        assert await socket.receive_type("unfollowed") == {
            "ref": "u",
            "type": "unfollowed",
            "room_id": room_id,
        }
        await send_text(kaushal, room_id)
        await send_text(kaushal, other)
        assert (await socket.receive_type("message"))["room_id"] == other
        await socket.send(type="typing", room_id=room_id)
        assert (await socket.receive_type("error"))["code"] == "invalid"
        await socket.send(type="follow", room_id=room_id)
        assert (await socket.receive_type("followed"))["version"] == 1
        await send_text(kaushal, room_id, "again")
        assert (await socket.receive_type("message"))["message"] == "again"


async def test_exit_of_a_followed_room_is_sent_to_the_room(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await make_public(kaushal)
    socket, old = ila.events(), kaushal.public(room["name"])
    async with opened(socket, old):
        await socket.send(type="follow", room_id=room["id"])
        await receive_of(old, "join", username=ila.username)
        await socket.send(type="exit", room_id=room["id"], ref="e")
        assert await receive_of(socket, "exit") == {
            "ref": "e",
            "type": "exit",
            "username": ila.username,
            "room_id": room["id"],
        }
        assert (await old.receive_type("exit"))["username"] == ila.username
        assert (await socket.ping())[-1]["type"] == "pong"


async def test_banned_user_cannot_follow(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await make_public(ila)
    await ila.delete(f"/rooms/{room['id']}/members/{kaushal.username}")
    async with opened(socket := kaushal.events()):
        await socket.send(type="follow", room_id=room["id"])
        assert (await socket.receive_type("error"))["code"] == "no_such_room"


# Resuming


async def test_resume_replays_each_room_in_order_then_resumed(person: Register) -> None:
    ila, kaushal = await person(), await person()
    rooms = [await make_group(ila, kaushal) for _ in range(3)]
    for room_id in rooms:
        for text in ("one", "two", "three"):
            await send_text(kaushal, room_id, text)
    async with opened(socket := ila.events()):
        since = {str(rooms[0]): 1, str(rooms[1]): 3, str(rooms[2]): 0}
        await socket.send(type="resume", rooms=since, ref="r")
        for room_id, expected in zip(rooms, ([2, 3], [], [1, 2, 3]), strict=True):
            *changes, resumed = await socket.receive_until("resumed")
            assert [one["version"] for one in changes if one["type"] == "message"] == expected
            assert {one["room_id"] for one in changes} <= {room_id}
            assert resumed == {
                "ref": "r",
                "type": "resumed",
                "from": since[str(room_id)] + 1,
                "to": 3,
                "complete": True,
                "room_id": room_id,
            }
        await socket.send(type="resume", rooms={str(rooms[0]): 99})
        assert (await socket.receive_type("resumed"))["complete"] is False
        await send_text(kaushal, rooms[0], "live")
        assert (await socket.receive_type("message"))["version"] == 4


async def test_resume_names_rooms_that_the_user_has_lost(person: Register) -> None:
    ila, kaushal = await person(), await person()
    removed, deleted = await make_group(kaushal, ila), await make_group(kaushal, ila)
    foreign = await make_group(kaushal)
    left = await make_public(kaushal)
    await ila.post(f"/rooms/{left['id']}/join")
    await ila.post(f"/rooms/{left['id']}/leave")
    await kaushal.delete(f"/rooms/{removed}/members/{ila.username}")
    await kaushal.delete(f"/rooms/{deleted}")
    lost = [removed, deleted, left["id"], foreign, 10**9]
    async with opened(socket := ila.events()) as (ready,):
        assert ready["rooms"] == []
        await socket.send(type="resume", rooms={str(room_id): 0 for room_id in lost})
        frames = [frame for frame in await frames_until_pong(socket) if frame["type"] != "error"]
        assert [(one["type"], one["room_id"], one["reason"]) for one in frames] == [
            ("room_removed", removed, "removed"),
            # It has no members any more, and to others it must look like one that never was.
            ("room_removed", deleted, "removed"),
            ("room_removed", left["id"], "left"),
            ("room_removed", foreign, "removed"),
            ("room_removed", 10**9, "removed"),
        ]


async def test_resume_follows_a_room_that_was_unfollowed(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room_id = await make_group(ila, kaushal)
    async with opened(socket := ila.events()):
        await socket.send(type="unfollow", room_id=room_id)
        await socket.receive_type("unfollowed")
        await send_text(kaushal, room_id)
        await socket.send(type="resume", rooms={str(room_id): 0})
        assert [one["type"] for one in await socket.receive_until("resumed")][:1] == ["message"]
        await send_text(kaushal, room_id)
        assert (await socket.receive_type("message"))["version"] == 2


class Copies:
    """Holds rooms as a client does: frames before a resume do not advance a room."""

    def __init__(self, rooms: list[int]) -> None:
        self.versions = dict.fromkeys(rooms, 0)
        self.received: dict[int, set[int]] = {room_id: set() for room_id in rooms}
        self.resuming: set[int] = set()

    async def resume(self, socket: Socket) -> None:
        await socket.receive_type("ready")
        self.resuming = set(self.versions)
        await socket.send(
            type="resume", rooms={str(pk): version for pk, version in self.versions.items()}
        )
        while self.resuming:
            self.take(await socket.receive())

    async def follow(self, socket: Socket, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    self.take(await socket.receive())

    def take(self, frame: Frame) -> None:
        room_id = frame.get("room_id", 0)
        if frame["type"] == "message":
            self.received[room_id].add(frame["version"])
            if room_id not in self.resuming:
                assert frame["version"] == self.versions[room_id] + 1
                self.versions[room_id] = frame["version"]
        elif frame["type"] == "resumed":
            assert frame["from"] == self.versions[room_id] + 1
            self.resuming.discard(room_id)
            self.versions[room_id] = max(self.received[room_id], default=0)
            assert self.received[room_id] == set(range(1, self.versions[room_id] + 1))


async def test_reconnecting_client_misses_nothing_in_many_rooms(person: Register) -> None:
    ila, kaushal = await person(), await person()
    rooms = [await make_group(ila, kaushal) for _ in range(5)]
    copies, count = Copies(rooms), 12

    async def write(room_id: int) -> None:
        for number in range(count):
            await send_text(kaushal, room_id, f"{number}")

    writing = asyncio.gather(*map(write, rooms))
    while not writing.done():
        async with ila.events() as socket:
            await copies.resume(socket)
            await copies.follow(socket, 0.2)
    await writing
    async with ila.events() as socket:
        await copies.resume(socket)
    assert copies.versions == dict.fromkeys(rooms, count)


# Memberships


async def test_new_membership_is_announced_and_followed(person: Register) -> None:
    ila, kaushal = await person(), await person()
    async with opened(socket := ila.events()):
        room_id = await make_group(kaushal, ila)
        added = await socket.receive_type("room_added", within=2)
        assert added["room"]["id"] == room_id
        (mine,) = (await ila.get("/my-rooms")).json()
        assert added["room"] == mine
        await send_text(kaushal, room_id)
        assert (await socket.receive_type("message"))["room_id"] == room_id
        joined = await make_public(kaushal)
        await ila.post(f"/rooms/{joined['id']}/join")
        assert (await receive_of(socket, "room_added"))["room"]["id"] == joined["id"]
        await kaushal.post(f"/private/{ila.username}")
        assert (await receive_of(socket, "room_added"))["room"]["kind"] == "private"


async def test_removal_ends_the_room_and_not_the_socket(person: Register) -> None:
    ila, kaushal, maya = await person(), await person(), await person()
    room_id, stays = await make_group(ila, kaushal, maya), await make_group(ila, kaushal)
    socket, other = kaushal.events(), maya.events()
    async with opened(socket, other):
        for _ in range(2):
            await send_text(ila, room_id)
        answer = await ila.delete(f"/rooms/{room_id}/members/{kaushal.username}")
        last = answer.json()["version"]
        for _ in range(2):
            await send_text(ila, room_id, "secret")
        await send_text(ila, stays, "end")
        frames = await socket.receive_until("message")
        while frames[-1]["message"] != "end":
            frames += await socket.receive_until("message")
        about = [frame for frame in frames if frame.get("room_id") == room_id]
        assert about[-1] == {"type": "room_removed", "room_id": room_id, "reason": "removed"}
        versions = [frame["version"] for frame in about if frame["type"] == "message"]
        assert versions == list(range(1, last + 1))
        await socket.send(message="Hi", room_id=room_id)
        assert (await socket.receive_type("error"))["code"] == "no_such_room"
        await socket.send(type="resume", rooms={str(room_id): 0})
        assert (await socket.receive())["type"] == "room_removed"
        assert await frames_until_pong(socket) == []
        await other.receive_type("message")
        # Added again: the room continues on the same socket.
        await ila.post(f"/rooms/{room_id}/add-members", {"members": [kaushal.username]})
        assert (await socket.receive_type("room_added"))["room"]["id"] == room_id
        await send_text(ila, room_id, "back")
        assert (await socket.receive_type("message"))["message"] == "back"


async def test_leaving_and_deletion_have_their_reasons(person: Register) -> None:
    ila, kaushal = await person(), await person()
    left, deleted = await make_group(ila, kaushal), await make_group(ila, kaushal)
    async with opened(socket := kaushal.events()):
        await kaushal.post(f"/rooms/{left}/leave")
        removed = await socket.receive_type("room_removed")
        assert (removed["room_id"], removed["reason"]) == (left, "left")
        await ila.delete(f"/rooms/{deleted}")
        removed = await socket.receive_type("room_removed")
        assert (removed["room_id"], removed["reason"]) == (deleted, "deleted")
        assert await frames_until_pong(socket) == []


async def test_end_of_the_session_closes_the_socket(person: Register) -> None:
    ila, kaushal = await person(), await person()
    await make_group(ila, kaushal)
    async with signed_in_again(ila) as phone:
        stays, gone, also_gone = ila.events(), phone.events(), phone.events()
        async with opened(stays, gone, also_gone):
            await phone.post("/logout")
            for socket in (gone, also_gone):
                assert await socket.refused() == (4401, "session_ended")
            assert (await stays.ping())[-1]["type"] == "pong"
    async with signed_in_again(ila) as phone, opened(socket := phone.events()):
        body = {"old_password": PASSWORD, "new_password": f"{PASSWORD}4"}
        assert (await ila.post("/users/me/password", body)).status_code == 204
        assert await socket.refused() == (4401, "session_ended")


async def test_token_of_another_user_ends_the_socket(person: Register) -> None:
    ila, kaushal = await person(), await person()
    async with opened(socket := ila.events()):
        await socket.send(type="ping", token=kaushal.access)
        assert await socket.refused() == (4401, "token_invalid")


# Users who share a room


async def test_presence_reaches_users_of_a_shared_room_only(person: Register) -> None:
    ila, kaushal, stranger = await person(), await person(), await person()
    room_id = await make_group(ila, kaushal)
    socket, other = ila.events(), stranger.events()
    async with opened(socket, other):
        async with opened(kaushal.events()):
            presence = await socket.receive_type("presence")
            assert presence["user_id"] == kaushal.id
            assert (presence["username"], presence["online"]) == (kaushal.username, True)
            members = (await ila.get(f"/rooms/{room_id}/members")).json()
            assert {one["username"] for one in members if one["online"]} == {
                ila.username,
                kaushal.username,
            }
        gone = await socket.receive_type("presence", within=15)
        assert (gone["user_id"], gone["online"]) == (kaushal.id, False)
        assert gone["last_seen"]
        assert [frame["type"] for frame in await other.ping()] == ["pong"]


async def test_profile_reaches_users_of_a_shared_room_and_own_devices(person: Register) -> None:
    ila, kaushal, stranger = await person(), await person(), await person()
    await make_group(ila, kaushal)
    socket, own, other = ila.events(), kaushal.events(), stranger.events()
    async with opened(socket, own, other):
        await kaushal.patch("/users/me", {"display_name": "Kay"})
        expected = {"id": kaushal.id, "username": kaushal.username, "display_name": "Kay"}
        assert (await socket.receive_type("profile"))["user"] == expected
        assert (await own.receive_type("profile"))["user"] == expected
        assert [frame["type"] for frame in await other.ping()] == ["pong"]
