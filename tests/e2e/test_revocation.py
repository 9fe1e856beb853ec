"""Revoked access ends at once, also on open sockets (contract §2, §3)."""

import asyncio

import httpx
import pytest

from tests.clients import (
    PASSWORD,
    REPAIR_TIMEOUT,
    Frame,
    Person,
    Socket,
    connect_refused,
    fresh,
    opened,
    signed_in_again,
)
from tests.conftest import Register
from tests.servers import Server, manage


async def group(owner: Person, *members: Person) -> Frame:
    """Returns a new group room of these users."""
    body = {"name": fresh("group"), "members": [one.username for one in members]}
    answer = await owner.post("/rooms/with-members", body)
    assert answer.status_code == 201, answer.text
    room: Frame = answer.json()
    return room


async def still_open(*sockets: Socket) -> None:
    for socket in sockets:
        assert (await socket.ping())[-1]["type"] == "pong"


async def session_of(person: Person) -> int:
    sessions = (await person.get("/sessions")).json()
    current: int = next(one["id"] for one in sessions if one["current"])
    return current


# Sessions


async def test_logout_closes_only_the_sockets_of_its_session(person: Register) -> None:
    ila, kaushal = await person(), await person()
    name = fresh("logout")
    async with signed_in_again(ila) as phone:
        gone = [phone.public(name), phone.public(fresh("logout")), phone.private(kaushal.username)]
        stays = [ila.public(name), kaushal.public(name)]
        async with opened(*gone, *stays):
            assert (await phone.post("/logout")).status_code == 204
            for socket in gone:
                assert await socket.refused() == (4401, "session_ended")
            await still_open(*stays)
            answer = await phone.get("/users/me")
            assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
            assert (await ila.get("/users/me")).status_code == 200


async def test_logout_by_refresh_token_closes_its_sockets(person: Register) -> None:
    ila = await person()
    async with signed_in_again(ila) as phone, opened(socket := phone.public(fresh("logout"))):
        answer = await phone.http.post(
            "/logout", json={"refresh": phone.refresh}, headers={"Authorization": ""}
        )
        assert answer.status_code == 204
        assert await socket.refused() == (4401, "session_ended")
        assert (await phone.get("/users/me")).status_code == 401
        assert (await ila.get("/users/me")).status_code == 200


async def test_logout_everywhere_closes_the_sockets_of_all_sessions(person: Register) -> None:
    ila, kaushal = await person(), await person()
    name = fresh("logout")
    async with signed_in_again(ila) as phone:
        gone, stays = [ila.public(name), phone.public(name)], kaushal.public(name)
        async with opened(*gone, stays):
            assert (await phone.post("/logout", {"everywhere": True})).status_code == 204
            for socket in gone:
                assert await socket.refused() == (4401, "session_ended")
            await still_open(stays)
            for one in (ila, phone):
                assert (await one.get("/users/me")).json()["code"] == "session_ended"


async def test_ending_another_session_closes_its_sockets(person: Register) -> None:
    ila, kaushal = await person(), await person()
    name = fresh("sessions")
    async with signed_in_again(ila) as phone:
        gone, stays = phone.public(name), ila.public(name)
        async with opened(gone, stays):
            session = await session_of(phone)
            # Another user cannot end it.
            answer = await kaushal.delete(f"/sessions/{session}")
            assert (answer.status_code, answer.json()["code"]) == (404, "no_such_session")
            await still_open(gone)
            assert (await ila.delete(f"/sessions/{session}")).status_code == 204
            assert await gone.refused() == (4401, "session_ended")
            await still_open(stays)
            answer = await ila.delete(f"/sessions/{session}")
            assert (answer.status_code, answer.json()["code"]) == (404, "no_such_session")


MAKE_STAFF = """
from accounts.models import User
user = User.objects.get(username={username!r})
user.is_staff = True
user.set_password({password!r})
user.save()
"""


async def test_password_change_by_shell_or_admin_closes_the_sockets(
    server: Server, person: Register
) -> None:
    ila, name, password = await person(), fresh("admin"), "a sentence from a shell"
    async with opened(socket := ila.public(name)):
        script = MAKE_STAFF.format(username=ila.username, password=password)
        manage(server.environment, "shell", "--verbosity", "0", "-c", script)
        assert await socket.refused(REPAIR_TIMEOUT) == (4401, "session_ended")
    account = {"username": ila.username, "password": password}
    signed_in = (await ila.http.post("/login", json=account)).json()
    socket = Socket(f"{ila.ws}/ws/chat/{name}/", token=signed_in["access"])
    async with (
        opened(socket),
        httpx.AsyncClient(base_url=server.http, timeout=20, verify=False) as admin,
    ):
        await submit(admin, "/admin/login/", account)
        twice = dict.fromkeys(("new_password1", "new_password2"), "a sentence from the admin")
        await submit(admin, "/admin/password_change/", {"old_password": password} | twice)
        assert await socket.refused() == (4401, "session_ended")
        assert (await admin.get("/admin/")).status_code == 200


async def submit(admin: httpx.AsyncClient, page: str, form: dict[str, str]) -> None:
    await admin.get(page)
    token = {"csrfmiddlewaretoken": admin.cookies["csrftoken"]}
    assert (await admin.post(page, data=form | token)).status_code == 302


async def test_password_change_ends_only_the_other_sessions(person: Register) -> None:
    ila = await person()
    name = fresh("password")
    async with signed_in_again(ila) as phone:
        gone, stays = phone.public(name), ila.public(name)
        async with opened(gone, stays):
            body = {"old_password": "not this one", "new_password": "a longer sentence"}
            answer = await ila.post("/users/me/password", body)
            assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")
            await still_open(gone, stays)
            body["old_password"] = PASSWORD
            assert (await ila.post("/users/me/password", body)).status_code == 204
            assert await gone.refused() == (4401, "session_ended")
            await still_open(stays)
            assert (await phone.get("/users/me")).json()["code"] == "session_ended"
            answer = await phone.post("/token/refresh", {"refresh": phone.refresh})
            assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
            assert (await ila.get("/users/me")).status_code == 200
            answer = await ila.post("/token/refresh", {"refresh": ila.refresh})
            assert answer.status_code == 200


@pytest.mark.parametrize(
    "deactivate",
    ["deactivate(user=User.objects.get({}))", "User.objects.filter({}).update(is_active=False)"],
    ids=["one", "at a stroke"],
)
async def test_user_deactivated_by_another_process_loses_access_at_once(
    server: Server, person: Register, deactivate: str
) -> None:
    ila, kaushal = await person(), await person()
    name = fresh("inactive")
    gone, stays = ila.public(name), kaushal.public(name)
    async with opened(gone, stays) as (ready, _):
        command = (
            "from accounts.models import User; from accounts.services import deactivate; "
            + deactivate.format(f"username={ila.username!r}")
        )
        manage(server.environment, "shell", "--verbosity", "0", "-c", command)
        # From here on every database query is refused.
        answer = await ila.post("/messages", {"room": name, "content": "Still here?"})
        assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
        answer = await ila.post("/token/refresh", {"refresh": ila.refresh})
        assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
        answer = await ila.post("/login", {"username": ila.username, "password": PASSWORD})
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
        assert await connect_refused(ila.public(name)) == (4401, "session_ended")
        assert await gone.refused(REPAIR_TIMEOUT) == (4401, "session_ended")
        await still_open(stays)
        assert (await kaushal.get("/users", q=ila.username)).json() == []
        assert await connect_refused(kaushal.private(ila.username)) == (4404, "no_such_user")
        history = await kaushal.get(f"/rooms/{ready['room']['id']}/messages")
        assert history.json() == []


# Removal


async def test_removed_member_receives_the_removal_and_no_later_frame(person: Register) -> None:
    ila, kaushal, guest = await person(), await person(), await person()
    room = await group(ila, kaushal, guest)
    path = f"/rooms/{room['id']}"
    removed = [kaushal.group(room["name"]), kaushal.group(room["name"])]
    stays = [guest.group(room["name"]), kaushal.private(ila.username)]
    async with opened(*removed, *stays):
        answers = await asyncio.gather(
            *(ila.post(f"{path}/messages", {"content": f"before {n}"}) for n in range(5)),
            ila.delete(f"{path}/members/{kaushal.username}"),
            *(ila.post(f"{path}/messages", {"content": f"after {n}"}) for n in range(5)),
        )
        gone = answers[5]
        assert gone.status_code == 200, gone.text
        assert gone.json().keys() == {"version"}
        last = await ila.post(f"{path}/messages", {"content": "Among us"})
        assert last.json()["version"] == 11

        for socket in removed:
            code, frames = await socket.closed()
            assert (code, frames[-1]["type"], frames[-1]["code"]) == (4403, "error", "removed")
            versions = [frame["version"] for frame in frames if frame["type"] == "message"]
            assert versions == list(range(1, len(versions) + 1))
            assert len(versions) <= gone.json()["version"]
        assert {"type": "exit", "username": kaushal.username} in await stays[0].ping()
        await still_open(*stays)

        assert await connect_refused(kaushal.group(room["name"])) == (4403, "not_a_member")
        for answer in (
            await kaushal.get(path),
            await kaushal.get(f"{path}/messages"),
            await kaushal.post(f"{path}/messages", {"content": "And me?"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "no_such_room")
        assert room["id"] not in [one["id"] for one in (await kaushal.get("/my-rooms")).json()]

        back = await ila.post(f"{path}/add-members", {"members": [kaushal.username]})
        assert back.status_code == 200
        async with kaushal.group(room["name"], since=0) as socket:
            # New members read old messages.
            replayed = await socket.receive_until("resumed")
            received = [frame["version"] for frame in replayed if frame["type"] == "message"]
            assert received == list(range(1, 12))


async def test_removal_from_a_public_room_lasts_until_added_again(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    room = (await ila.post("/rooms", {"name": fresh("square")})).json()
    path = f"/rooms/{room['id']}"
    socket = kaushal.public(room["name"])
    async with opened(socket):
        answer = await ila.delete(f"{path}/members/{kaushal.username}")
        assert (answer.status_code, answer.json()) == (200, {"version": 0})
        assert await socket.refused() == (4403, "removed")
    for answer in (
        await kaushal.post(f"{path}/join"),
        await kaushal.post(f"{path}/messages", {"content": "And me?"}),
        await kaushal.post("/messages", {"room": room["name"], "content": "And me?"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert await connect_refused(kaushal.public(room["name"])) == (4403, "forbidden")
    assert (await ila.get(f"{path}/messages")).json() == []
    members = (await ila.get(f"{path}/members")).json()
    assert [one["username"] for one in members] == [ila.username]

    answer = await ila.post(f"{path}/add-members", {"members": [kaushal.id]})
    assert answer.json()["added_members"] == [kaushal.username]
    async with kaushal.public(room["name"]) as again:
        await again.send(message="Back again")
        assert (await again.receive_type("message"))["seq"] == 1


async def test_former_member_of_a_public_room_can_be_banned(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = (await ila.post("/rooms", {"name": fresh("open")})).json()
    path = f"/rooms/{room['id']}"
    sent = (await kaushal.post(f"{path}/messages", {"content": "Spam"})).json()
    assert (await kaushal.post(f"{path}/leave")).status_code == 204
    answer = await ila.delete(f"{path}/members/{kaushal.username}")
    assert (answer.status_code, answer.json()) == (200, {"version": sent["version"]})
    for answer in (
        await kaushal.post(f"{path}/messages", {"content": "More spam"}),
        await kaushal.put(f"{path}/messages/{sent['id']}/reactions/spam"),
        await kaushal.patch(f"{path}/messages/{sent['id']}", {"content": "Other spam"}),
        await kaushal.get(f"{path}/members"),
        await kaushal.get(f"{path}/messages"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert await connect_refused(kaushal.public(room["name"])) == (4403, "forbidden")


async def test_owners_remove_anyone_and_admins_only_plain_members(
    person: Register,
) -> None:
    ila, kaushal, guest = await person(), await person(), await person()
    room = await group(ila, kaushal, guest)
    members = f"/rooms/{room['id']}/members"
    sockets = [one.group(room["name"]) for one in (ila, kaushal, guest)]
    async with opened(*sockets):
        answer = await guest.delete(f"{members}/{kaushal.username}")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert (await ila.patch(f"{members}/{kaushal.username}", {"role": "admin"})).is_success
        answer = await kaushal.delete(f"{members}/{ila.username}")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        answer = await kaushal.delete(f"{members}/{fresh('unknown')}")
        assert (answer.status_code, answer.json()["code"]) == (404, "no_such_member")
        await still_open(*sockets)
        assert (await kaushal.delete(f"{members}/{guest.username.upper()}")).status_code == 200
        assert await sockets[2].refused() == (4403, "removed")
        await still_open(*sockets[:2])


# Leaving and deleting


@pytest.mark.parametrize("kind", ["public", "group"])
async def test_leaving_a_room_closes_own_sockets_there(person: Register, kind: str) -> None:
    ila, kaushal = await person(), await person()
    body = {"name": fresh("left"), "kind": kind, "members": [kaushal.username]}
    room = (await ila.post("/rooms", body)).json()
    path = f"/ws/chat/{'group/' if kind == 'group' else ''}{room['name']}/"
    async with signed_in_again(kaushal) as phone:
        gone = [kaushal.socket(path), phone.socket(path)]
        stays = [ila.socket(path), kaushal.public(fresh("elsewhere"))]
        async with opened(*gone, *stays):
            assert (await kaushal.post(f"/rooms/{room['id']}/leave")).status_code == 204
            for socket in gone:
                code, frames = await socket.closed()
                assert code == 1000
                assert "error" not in [frame["type"] for frame in frames]
            received = [frame for frame in await stays[0].ping() if frame["type"] == "exit"]
            assert received == [{"type": "exit", "username": kaushal.username}]
            await still_open(*stays)
    assert (await ila.get(f"/rooms/{room['id']}")).json()["member_count"] == 1
    assert room["id"] not in [one["id"] for one in (await kaushal.get("/my-rooms")).json()]
    if kind == "group":
        assert await connect_refused(kaushal.socket(path)) == (4403, "not_a_member")
    else:
        # Leaving is no ban.
        async with kaushal.socket(path) as socket:
            assert (await socket.receive())["room"]["member_count"] == 2


async def test_private_room_cannot_be_left(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = (await ila.post(f"/private/{kaushal.username}")).json()
    async with opened(socket := ila.private(kaushal.username)):
        answer = await ila.post(f"/rooms/{room['id']}/leave")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        await still_open(socket)


async def test_deleted_room_closes_its_sockets_and_only_post_recreates_the_name(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    room = (await ila.post("/rooms", {"name": fresh("Deleted")})).json()
    path = f"/rooms/{room['id']}"
    sockets = [ila.public(room["name"]), kaushal.public(room["name"])]
    elsewhere = kaushal.public(fresh("elsewhere"))
    async with opened(*sockets, elsewhere):
        await sockets[0].send(message="The last word")
        await sockets[0].receive_type("message")
        answer = await kaushal.delete(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        await still_open(*sockets)
        assert (await ila.delete(path)).status_code == 204
        for socket in sockets:
            assert await socket.refused() == (4404, "no_such_room")
        await still_open(elsewhere)

    for one in (ila, kaushal):
        assert await connect_refused(one.public(room["name"])) == (4404, "no_such_room")
        assert await connect_refused(one.public(room["name"].lower())) == (4404, "no_such_room")
        for answer in (
            await one.get(path),
            await one.delete(path),
            await one.get(f"{path}/messages"),
            await one.get(f"/history/{room['name']}"),
            await one.post("/messages", {"room": room["name"], "content": "Hello?"}),
            await one.post(f"{path}/join"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "no_such_room")
        assert room["id"] not in [each["id"] for each in (await one.get("/my-rooms")).json()]
    assert (await ila.get("/rooms", q=room["name"])).json() == []

    made = await kaushal.post("/rooms", {"name": room["name"]})
    assert made.status_code == 201
    assert made.json()["id"] != room["id"]
    async with ila.public(room["name"], since=0) as socket:
        # The new room contains nothing of the old one.
        frames = await socket.receive_until("resumed")
        assert frames[0]["room"]["id"] == made.json()["id"]
        assert "message" not in [frame["type"] for frame in frames]


async def test_connecting_does_not_recreate_a_deleted_group(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    room = await group(ila, kaushal)
    socket = kaushal.group(room["name"])
    async with opened(socket):
        assert (await ila.delete(f"/rooms/{room['id']}")).status_code == 204
        assert await socket.refused() == (4404, "no_such_room")
    for one in (ila, kaushal):
        assert await connect_refused(one.group(room["name"])) == (4403, "not_a_member")
        assert await connect_refused(one.public(room["name"])) == (4404, "no_such_room")


@pytest.mark.parametrize("name", ["no spaces", "a@b", "...", "x" * 65, "zero\u200bwidth"])
async def test_invalid_room_name_is_no_room(person: Register, name: str) -> None:
    ila = await person()
    assert await connect_refused(ila.public(name)) == (4404, "no_such_room")
