"""Rooms over REST, and the frames that sockets receive (contract §2, Rooms)."""

import asyncio
import itertools
import re
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from messaging.push.schemas import ENDPOINT_EXAMPLE, KEYS_EXAMPLE
from tests.clients import FRAME_TIMEOUT, Frame, Person, fresh, opened, register, signed_in_again
from tests.conftest import Register
from tests.servers import Server

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
LINK = re.compile(r'<([^>]+)>; rel="(\w+)"')


async def made(owner: Person, **body: Any) -> Frame:
    answer = await owner.post("/rooms", {"name": fresh("room")} | body)
    assert answer.status_code == 201, answer.text
    room: Frame = answer.json()
    return room


async def roles(person: Person, room_id: int) -> dict[str, str]:
    answer = await person.get(f"/rooms/{room_id}/members")
    assert answer.status_code == 200, answer.text
    return {member["username"]: member["role"] for member in answer.json()}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# Creation


@pytest.mark.parametrize("kind", ["public", "group"])
async def test_creator_owns_the_room(person: Register, kind: str) -> None:
    ila = await person()
    name = fresh("Room.of_ours+")
    answer = await ila.post(
        "/rooms", {"name": name, "kind": kind, "title": "  All of us  ", "topic": "Saturday"}
    )
    assert answer.status_code == 201
    room = answer.json()
    assert room == {
        "id": room["id"],
        "name": name,
        "kind": kind,
        "title": "All of us",
        "topic": "Saturday",
        "created_by": ila.id,
        "created_at": room["created_at"],
        "member_count": 1,
        "last_seq": 0,
        "version": 0,
    }
    assert TIMESTAMP.fullmatch(room["created_at"])
    assert (await ila.get(f"/rooms/{room['id']}")).json() == room
    assert await roles(ila, room["id"]) == {ila.username: "owner"}


async def test_room_is_public_by_default(person: Register) -> None:
    ila = await person()
    assert (await made(ila))["kind"] == "public"
    for kind in ("private", "Public", "", None, 1):
        answer = await ila.post("/rooms", {"name": fresh("room"), "kind": kind})
        assert refusal(answer) == (422, "invalid")


async def test_room_name_is_unique_among_public_and_group_rooms(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    name = fresh("Straße")
    await made(ila, name=name, kind="group")
    for same in (name, name.upper(), name.casefold(), name.replace("ra", "r\uff41")):
        for kind in ("public", "group"):
            answer = await kaushal.post("/rooms", {"name": same, "kind": kind})
            assert refusal(answer) == (409, "room_exists")
        answer = await kaushal.post("/rooms/with-members", {"name": same, "members": []})
        assert refusal(answer) == (409, "room_exists")


async def test_socket_url_accepts_any_case_and_shows_the_stored_name(
    person: Register,
) -> None:
    ila = await person()
    name = fresh("Ünï-Café")
    async with ila.public(name) as socket:
        room = (await socket.receive_type("ready"))["room"]
    assert (room["name"], room["created_by"]) == (name, ila.id)
    for path in (f"/ws/chat/{name.upper()}/", f"/ws/chat/{name.casefold()}"):
        async with ila.socket(path) as socket:
            assert (await socket.receive_type("ready"))["room"]["id"] == room["id"]
    answer = await ila.post("/messages", {"room": name.upper(), "content": "Hey"})
    assert answer.json()["room"] == name
    assert len((await ila.get(f"/history/{name.lower()}")).json()) == 1


async def test_group_and_private_urls_accept_any_case_and_no_final_slash(
    person: Register,
) -> None:
    ila, kaushal = await person(fresh("Zoë-")), await person()
    name = fresh("Ünï-Club")
    club = await made(ila, name=name, kind="group", members=[kaushal.username])
    for stem, end in itertools.product((name, name.upper(), name.casefold()), ("/", "")):
        async with kaushal.socket(f"/ws/chat/group/{quote(stem)}{end}") as socket:
            room = (await socket.receive_type("ready"))["room"]
            assert (room["id"], room["name"]) == (club["id"], name)
    ids = set()
    for stem, end in itertools.product((ila.username, ila.username.upper()), ("/", "")):
        async with kaushal.socket(f"/ws/private/{quote(stem)}{end}") as socket:
            room = (await socket.receive_type("ready"))["room"]
            assert room["members"] == [ila.username, kaushal.username]
            ids.add(room["id"])
    assert len(ids) == 1


async def test_any_user_reads_a_public_room_and_joins_by_sending(
    person: Register,
) -> None:
    ila, guest = await person(), await person()
    room = await made(ila)
    path = f"/rooms/{room['id']}"
    sent = (await ila.post(f"{path}/messages", {"content": "Welcome"})).json()
    for messages in (f"{path}/messages", f"/messages/{room['id']}", f"/history/{room['name']}"):
        assert (await guest.get(messages)).json() == [sent]
    seen = (await guest.get(path)).json()
    assert (seen["id"], seen["member_count"]) == (room["id"], 1)
    assert await roles(guest, room["id"]) == {ila.username: "owner"}
    assert (await guest.get("/my-rooms")).json() == []
    await guest.post(f"{path}/messages", {"content": "Thanks"})
    assert await roles(guest, room["id"]) == {ila.username: "owner", guest.username: "member"}
    assert [one["id"] for one in (await guest.get("/my-rooms")).json()] == [room["id"]]


async def test_room_created_by_connecting_has_no_owner(person: Register) -> None:
    ila, kaushal = await person(), await person()
    first, second = ila.public(name := fresh("square")), kaushal.public(name)
    async with opened(first, second) as (ready, _):
        room_id = ready["room"]["id"]
        assert await roles(ila, room_id) == {ila.username: "member", kaushal.username: "member"}
        for answer in (
            await ila.patch(f"/rooms/{room_id}", {"title": "Mine"}),
            await ila.delete(f"/rooms/{room_id}"),
            await ila.delete(f"/rooms/{room_id}/members/{kaushal.username}"),
        ):
            assert refusal(answer) == (403, "forbidden")


async def test_with_members_creates_a_group_of_the_named_users(person: Register) -> None:
    ila, kaushal, guest = await person(), await person(), await person()
    name = fresh("friends")
    answer = await ila.post(
        "/rooms/with-members",
        # The caller and a second spelling of the same user count once.
        {"name": name, "members": [kaushal.username, guest.username.upper(), kaushal.username]},
    )
    assert answer.status_code == 201, answer.text
    room = answer.json()
    assert (room["name"], room["kind"], room["created_by"]) == (name, "group", ila.id)
    assert room["member_count"] == 3
    assert sorted(room["members"]) == sorted([ila.username, kaushal.username, guest.username])
    assert await roles(guest, room["id"]) == {
        ila.username: "owner",
        kaushal.username: "member",
        guest.username: "member",
    }


async def test_with_members_and_an_unknown_name_creates_nothing(person: Register) -> None:
    ila, kaushal = await person(), await person()
    name, unknown = fresh("friends"), fresh("unknown")
    body = {"name": name, "members": [kaushal.username, unknown]}
    answer = await ila.post("/rooms/with-members", body)
    assert refusal(answer) == (422, "unknown_users")
    assert unknown in answer.json()["detail"]
    assert [error.keys() for error in answer.json()["errors"]] == [{"loc", "msg", "type"}]
    assert (await ila.get("/rooms", q=name)).json() == []
    assert (await kaushal.get("/my-rooms")).json() == []
    # The name is still free.
    await made(kaushal, name=name)


async def test_with_members_accepts_names_and_not_ids(person: Register) -> None:
    ila, kaushal = await person(), await person()
    answer = await ila.post("/rooms/with-members", {"name": fresh("x"), "members": [kaushal.id]})
    assert refusal(answer) == (422, "invalid")


# Members


async def test_member_list_reads_strings_as_names_and_numbers_as_ids(person: Register) -> None:
    ila, kaushal, guest, late = [await person() for _ in range(4)]
    room = await made(ila, kind="group", members=[kaushal.id])
    path = f"/rooms/{room['id']}/add-members"
    answer = await ila.post(path, {"members": [kaushal.username, guest.username, late.id]})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "room": (await ila.get(f"/rooms/{room['id']}")).json(),
        "added_members": [guest.username, late.username],
        "all_members": [one.username for one in (ila, kaushal, guest, late)],
    }
    assert answer.json()["room"]["member_count"] == 4
    for unknown in (str(guest.id), 999_999_999, fresh("unknown")):
        answer = await ila.post(path, {"members": [unknown]})
        assert refusal(answer) == (422, "unknown_users")


async def test_adding_an_unknown_user_adds_no_member(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await made(ila, kind="group")
    path = f"/rooms/{room['id']}"
    answer = await ila.post(f"{path}/add-members", {"members": [kaushal.username, fresh("no")]})
    assert refusal(answer) == (422, "unknown_users")
    assert await roles(ila, room["id"]) == {ila.username: "owner"}
    assert (await ila.get(path)).json()["member_count"] == 1


async def test_owners_give_roles_and_admins_only_add_and_rename(
    person: Register,
) -> None:
    ila, kaushal, guest, late = [await person() for _ in range(4)]
    room = await made(ila, kind="group", members=[kaushal.username, guest.username])
    path = f"/rooms/{room['id']}"
    answer = await ila.patch(f"{path}/members/{kaushal.username.upper()}", {"role": "admin"})
    assert answer.status_code == 200
    member = answer.json()
    assert member == {
        "id": kaushal.id,
        "username": kaushal.username,
        "role": "admin",
        "online": False,
        "last_seen": None,
        "joined_at": member["joined_at"],
    }
    assert (await kaushal.patch(path, {"topic": "By an admin"})).status_code == 200
    answer = await kaushal.post(f"{path}/add-members", {"members": [late.id]})
    assert answer.json()["added_members"] == [late.username]
    for answer in (
        await kaushal.patch(f"{path}/members/{guest.username}", {"role": "admin"}),
        await kaushal.patch(f"{path}/members/{kaushal.username}", {"role": "owner"}),
        await kaushal.delete(path),
        await guest.patch(path, {"topic": "By a member"}),
        await guest.post(f"{path}/add-members", {"members": [late.id]}),
        await guest.patch(f"{path}/members/{guest.username}", {"role": "owner"}),
        await guest.delete(path),
    ):
        assert refusal(answer) == (403, "forbidden")
    answer = await ila.patch(f"{path}/members/{fresh('unknown')}", {"role": "admin"})
    assert refusal(answer) == (404, "no_such_member")
    answer = await ila.patch(f"{path}/members/{guest.username}", {"role": "king"})
    assert refusal(answer) == (422, "invalid")
    assert (await ila.get(path)).json()["topic"] == "By an admin"
    assert await roles(ila, room["id"]) == {
        ila.username: "owner",
        kaushal.username: "admin",
        guest.username: "member",
        late.username: "member",
    }


async def test_last_owner_of_a_group_must_hand_over_before_leaving(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await made(ila, kind="group", members=[kaushal.username])
    path = f"/rooms/{room['id']}"
    assert refusal(await ila.post(f"{path}/leave")) == (409, "last_owner")
    answer = await ila.patch(f"{path}/members/{ila.username}", {"role": "member"})
    assert refusal(answer) == (409, "last_owner")
    assert await roles(ila, room["id"]) == {ila.username: "owner", kaushal.username: "member"}

    answer = await ila.patch(f"{path}/members/{kaushal.username}", {"role": "owner"})
    assert answer.json()["role"] == "owner"
    assert (await ila.post(f"{path}/leave")).status_code == 204
    assert await roles(kaushal, room["id"]) == {kaushal.username: "owner"}
    assert refusal(await kaushal.post(f"{path}/leave")) == (409, "last_owner")
    assert (await kaushal.delete(path)).status_code == 204


async def test_two_owners_cannot_both_leave_concurrently(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await made(ila, kind="group", members=[kaushal.username])
    path = f"/rooms/{room['id']}"
    await ila.patch(f"{path}/members/{kaushal.username}", {"role": "owner"})
    answers = await asyncio.gather(ila.post(f"{path}/leave"), kaushal.post(f"{path}/leave"))
    assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_last_owner_of_a_public_room_may_leave(person: Register) -> None:
    ila = await person()
    room = await made(ila)
    assert (await ila.post(f"/rooms/{room['id']}/leave")).status_code == 204
    assert await roles(ila, room["id"]) == {}
    # A non-member has nothing to leave.
    assert refusal(await ila.post(f"/rooms/{room['id']}/leave")) == (403, "not_a_member")


async def test_joining_a_public_room_twice_joins_once(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await made(ila)
    path = f"/rooms/{room['id']}"
    for answer in await asyncio.gather(*(kaushal.post(f"{path}/join") for _ in range(4))):
        assert answer.status_code == 200
        assert answer.json()["member_count"] == 2
    assert (await ila.get(path)).json()["member_count"] == 2


async def test_members_list_shows_online_users(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await made(ila, kind="group", members=[kaushal.username])
    path = f"/rooms/{room['id']}/members"

    async def online() -> dict[str, bool]:
        return {one["username"]: one["online"] for one in (await ila.get(path)).json()}

    watcher, socket = ila.group(room["name"]), kaushal.group(room["name"])
    async with opened(watcher):
        async with opened(socket):
            assert await online() == {ila.username: True, kaushal.username: True}
        assert (await watcher.receive_type("exit"))["username"] == kaushal.username
        assert await online() == {ila.username: True, kaushal.username: False}


async def test_members_list_shows_last_seen(uvicorn: Server) -> None:
    """Runs on one server: it is written seconds later, for all users together."""
    people = [await register(uvicorn.http, uvicorn.ws) for _ in range(2)]
    async with people[0].http as http, people[1].http:
        room = await made(people[0], members=[people[1].username])
        async with opened(people[0].public(room["name"])):
            pass
        async with asyncio.timeout(FRAME_TIMEOUT):
            while True:
                members = (await http.get(f"/rooms/{room['id']}/members")).json()
                if members[0]["last_seen"] is not None:
                    break
                await asyncio.sleep(0.1)
        assert TIMESTAMP.fullmatch(members[0]["last_seen"])
        assert TIMESTAMP.fullmatch(members[0]["joined_at"])
        assert members[1]["last_seen"] is None


# Private rooms


async def test_concurrent_opens_create_one_private_room(
    person: Register,
) -> None:
    for _ in range(5):
        ila, kaushal = await person(), await person()
        mine, theirs = ila.private(kaushal.username), kaushal.private(ila.username)
        answers, sockets = await asyncio.gather(
            asyncio.gather(
                *(ila.post(f"/private/{kaushal.username}") for _ in range(3)),
                *(kaushal.post(f"/private/{ila.username}") for _ in range(3)),
            ),
            asyncio.gather(mine.__aenter__(), theirs.__aenter__()),
        )
        ids = {answer.json()["id"] for answer in answers}
        ids |= {(await socket.receive_type("ready"))["room"]["id"] for socket in sockets}
        await asyncio.gather(*(socket.connection.close() for socket in sockets))
        assert {answer.status_code for answer in answers} == {200}
        assert len(ids) == 1


async def test_private_room_is_for_two_users_and_has_no_name(person: Register) -> None:
    ila, kaushal = await person(), await person()
    answer = await ila.post(f"/private/{kaushal.username.upper()}")
    assert answer.status_code == 200
    room = answer.json()
    assert room == {
        "id": room["id"],
        "name": None,
        "kind": "private",
        "title": "",
        "topic": "",
        "created_by": ila.id,
        "created_at": room["created_at"],
        "member_count": 2,
        "last_seq": 0,
        "version": 0,
        "members": [ila.username, kaushal.username],
    }
    path = f"/rooms/{room['id']}"
    assert (await kaushal.get(path)).json() == room
    for answer in (
        await ila.post("/private/" + ila.username),
        await ila.patch(path, {"title": "Ours"}),
        await ila.delete(path),
        await ila.post(f"{path}/add-members", {"members": [kaushal.id]}),
        await ila.delete(f"{path}/members/{kaushal.username}"),
    ):
        assert refusal(answer) == (403, "forbidden")
    assert refusal(await ila.post(f"/private/{fresh('unknown')}")) == (404, "no_such_user")


async def test_private_room_appears_in_my_rooms_after_its_first_message(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = (await ila.post(f"/private/{kaushal.username}")).json()
    for one in (ila, kaushal):
        assert (await one.get("/my-rooms")).json() == []
    sent = (await ila.post(f"/rooms/{room['id']}/messages", {"content": "Hey"})).json()
    assert sent["receiver"] == kaushal.id
    for one, unread in ((ila, 0), (kaushal, 1)):
        assert (await one.get("/my-rooms")).json() == [
            room
            | {
                "last_seq": 1,
                "version": 1,
                "role": "member",
                "unread": unread,
                "last_read_seq": 1 - unread,
                "mentions": 0,
                "muted": False,
                "muted_until": None,
                "notify": "all",
                "last_message": sent,
            }
        ]


# Lists


async def test_my_rooms_sorts_by_activity_with_unread_and_last_message(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    first = await made(ila, members=[kaushal.username])
    second = await made(ila, kind="group", members=[kaushal.username])
    third = await made(ila)

    async def mine(one: Person) -> list[tuple[int, str, int, int, str | None]]:
        return [
            (
                room["id"],
                room["role"],
                room["unread"],
                room["last_read_seq"],
                room["last_message"] and room["last_message"]["content"],
            )
            for room in (await one.get("/my-rooms")).json()
        ]

    assert await mine(ila) == [(room["id"], "owner", 0, 0, None) for room in (third, second, first)]
    for text in ("one", "two"):
        await ila.post(f"/rooms/{first['id']}/messages", {"content": text})
    assert await mine(kaushal) == [
        (first["id"], "member", 2, 0, "two"),
        (second["id"], "member", 0, 0, None),
    ]
    await ila.post(f"/rooms/{second['id']}/messages", {"content": "three"})
    assert await mine(kaushal) == [
        (second["id"], "member", 1, 0, "three"),
        (first["id"], "member", 2, 0, "two"),
    ]

    path = f"/rooms/{first['id']}/read"
    # Never back, and never past the last message.
    for seq, mark in ((1, 1), (0, 1), (2**40, 2), (1, 2)):
        answer = await kaushal.post(path, {"seq": seq})
        assert (answer.status_code, answer.json()) == (
            200,
            {"last_read_seq": mark, "unread": 2 - mark},
        )
    # Sending also advances the marker.
    await kaushal.post(f"/rooms/{second['id']}/messages", {"content": "four"})
    assert await mine(kaushal) == [
        (second["id"], "member", 0, 2, "four"),
        (first["id"], "member", 0, 2, "two"),
    ]
    assert (await mine(ila))[0] == (second["id"], "owner", 1, 1, "four")
    # Messages before a user joined are history, not unread.
    late = await person()
    await late.post(f"/rooms/{first['id']}/join")
    assert await mine(late) == [(first["id"], "member", 0, 2, "two")]


async def test_rooms_lists_public_and_own_rooms(person: Register) -> None:
    ila, kaushal, guest = await person(), await person(), await person()
    stem = fresh("listed") + "."
    public = await made(ila, name=f"{stem}public")
    group = await made(ila, name=f"{stem}group", kind="group", members=[kaushal.username])
    titled = await made(ila, title=f"{stem.upper()} by title")

    async def listed(one: Person, **params: Any) -> list[int]:
        return [room["id"] for room in (await one.get("/rooms", q=stem, **params)).json()]

    # In the order of the name that matches, and a space comes first.
    assert await listed(kaushal) == [titled["id"], group["id"], public["id"]]
    assert await listed(guest) == [titled["id"], public["id"]]
    assert await listed(kaushal, kind="public") == [titled["id"], public["id"]]
    assert await listed(kaushal, kind="group") == [group["id"]]
    assert await listed(guest, kind="group") == []
    assert await listed(kaushal, kind="private") == []
    private = (await ila.post(f"/private/{kaushal.username}")).json()
    answer = await kaushal.get("/rooms", kind="private")
    assert [room["id"] for room in answer.json()] == [private["id"]]
    assert refusal(await ila.get("/rooms", kind="secret")) == (422, "invalid")


def links(answer: httpx.Response) -> dict[str, str]:
    """Returns the targets of a Link header by relation, absolute."""
    found = LINK.findall(answer.headers.get("Link", ""))
    return {rel: str(answer.url.join(target)) for target, rel in found}


async def walk(person: Person, path: str, rel: str) -> list[list[int]]:
    """Returns the ids of each page from `path` on, following one relation."""
    pages, target = [], str(person.http.base_url.join(f"/api{path}"))
    while target:
        answer = await person.http.get(target)
        assert answer.status_code == 200, answer.text
        pages.append([row["id"] for row in answer.json()])
        target = links(answer).get(rel, "")
    return pages


async def test_lists_are_paged_by_link_headers_in_both_directions(person: Register) -> None:
    ila = await person()
    stem = fresh("paged") + "-"
    rooms = [(await made(ila, name=f"{stem}{number}"))["id"] for number in range(5)]
    for path, order in ((f"/rooms?q={stem}", rooms), ("/my-rooms?", rooms[::-1])):
        pages = await walk(ila, f"{path}&limit=2", "next")
        assert pages == [order[:2], order[2:4], order[4:]]
        first = await ila.http.get(f"{path}&limit=2")
        assert links(first).keys() == {"next"}
        second = await ila.http.get(links(first)["next"])
        assert links(second).keys() == {"next", "prev"}
        last = await ila.http.get(links(second)["next"])
        assert links(last).keys() == {"prev"}
        back = await ila.http.get(links(last)["prev"])
        assert back.json() == second.json()
        assert (await ila.http.get(links(back)["prev"])).json() == first.json()
        whole = await ila.http.get(f"{path}&limit=200")
        assert "Link" not in whole.headers
    for limit in (0, 201, -1, "x", 2**70):
        assert refusal(await ila.get("/rooms", limit=limit)) == (422, "invalid")
    assert refusal(await ila.get("/rooms", cursor="not-ours")) == (422, "invalid")


async def test_every_list_defaults_to_fifty_with_a_next_link(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = await made(ila, members=[kaushal.username])
    await made(ila)
    messages = f"/rooms/{room['id']}/messages"
    for text in ("one", "two"):
        sent = (await ila.post(messages, {"content": text})).json()
        assert (await ila.put(f"{messages}/{sent['id']}/pin")).status_code == 200
    tried = 0
    for number in range(2):
        device = {"endpoint": f"{ENDPOINT_EXAMPLE}{ila.id}-{number}", "keys": KEYS_EXAMPLE}
        assert (await ila.post("/push/subscriptions", device)).status_code == 201
    async with signed_in_again(ila):
        for path, methods in (await ila.get("/openapi.json")).json()["paths"].items():
            parameters = {one["name"]: one for one in methods.get("get", {}).get("parameters", ())}
            if "limit" not in parameters:
                continue
            limit = parameters["limit"]["schema"]
            assert (limit["default"], limit["maximum"], limit["minimum"]) == (50, 200, 1), path
            url = path.format(room_id=room["id"], room_name=room["name"])
            first = await ila.get(url.removeprefix("/api"), limit=1)
            assert links(first), path
            (target,) = links(first).values()
            second = await ila.http.get(target)
            assert len(first.json()) == len(second.json()) == 1, path
            assert first.json() != second.json(), path
            tried += 1
    assert tried == 12


async def test_members_are_paged_in_order_of_joining(person: Register) -> None:
    people = [await person() for _ in range(5)]
    room = await made(people[0], members=[one.id for one in people[1:]])
    pages = await walk(people[0], f"/rooms/{room['id']}/members?limit=2", "next")
    ids = [one.id for one in people]
    assert pages == [ids[:2], ids[2:4], ids[4:]]


async def test_messages_are_paged_by_seq_from_the_newest_page(person: Register) -> None:
    ila = await person()
    room = await made(ila)
    sent = [
        (await ila.post(f"/rooms/{room['id']}/messages", {"content": str(n)})).json()["id"]
        for n in range(1, 8)
    ]
    for path in (
        f"/rooms/{room['id']}/messages",
        f"/messages/{room['id']}",
        f"/history/{room['name']}",
    ):
        assert await walk(ila, f"{path}?limit=3", "prev") == [sent[4:], sent[1:4], sent[:1]]
        assert await walk(ila, f"{path}?limit=3&after=0", "next") == [
            sent[:3],
            sent[3:6],
            sent[6:],
        ]
        newest = await ila.get(path, limit=3)
        assert [row["seq"] for row in newest.json()] == [5, 6, 7]
        assert links(newest).keys() == {"prev"}
        assert "before=5" in links(newest)["prev"]
        older = await ila.get(path, before=5, limit=3)
        assert links(older).keys() == {"prev", "next"}
        assert "after=4" in links(older)["next"]
    assert (await ila.get(path, after=7)).json() == []


# Title and topic


@pytest.mark.parametrize("kind", ["public", "group"])
async def test_title_or_topic_change_is_sent_to_the_room(person: Register, kind: str) -> None:
    ila, kaushal = await person(), await person()
    room = await made(ila, kind=kind, title="Old", members=[kaushal.username])
    path = f"/ws/chat/{'group/' if kind == 'group' else ''}{room['name']}/"
    sockets = [ila.socket(path), kaushal.socket(path)]
    async with opened(*sockets):
        answer = await ila.patch(f"/rooms/{room['id']}", {"title": "New", "topic": "Saturday"})
        assert answer.status_code == 200
        changed = room | {"title": "New", "topic": "Saturday"}
        assert answer.json() == changed
        for socket in sockets:
            assert await socket.receive_type("room") == {"type": "room", "room": changed}
        # Only the named member changes, and the version counts messages alone.
        answer = await ila.patch(f"/rooms/{room['id']}", {"topic": ""})
        assert answer.json() == changed | {"topic": ""}
        assert (await sockets[1].receive_type("room"))["room"]["topic"] == ""
    answer = await ila.patch(f"/rooms/{room['id']}", {"name": fresh("other")})
    assert refusal(answer) == (422, "invalid")
    answer = await ila.patch(f"/rooms/{room['id']}", {"title": "x" * 201})
    assert refusal(answer) == (422, "invalid")
