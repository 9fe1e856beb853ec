"""Identity comes from the token alone, wherever it stands (contract §2, §3)."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.clients import (
    Frame,
    Person,
    Socket,
    connect_refused,
    fresh,
    opened,
    rest,
    signed_in_again,
)
from tests.conftest import Register
from tests.servers import Server, serving

NO_SUCH_ROOM = {"code": "no_such_room", "detail": "Room not found"}
NOWHERE = 999_999_999


@pytest.fixture
async def anyone(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """A REST client without a token."""
    async with rest(server.http) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def silent(server: Server) -> Iterator["Future[tuple[float, list[Any], int]]"]:
    """Keeps a silent socket without a token open while the other tests run.

    Yields a future with the seconds until its close, its frames, and the close code.
    """

    def wait() -> tuple[float, list[Any], int]:
        received: list[Any] = []
        with connect(f"{server.ws}/ws/chat/silence/", compression=None, proxy=None) as socket:
            started = time.monotonic()
            try:
                while True:
                    received.append(socket.recv(timeout=30))
            except ConnectionClosed as closing:
                code = closing.rcvd.code if closing.rcvd else 1006
                return time.monotonic() - started, received, code

    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(wait)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def every_way(ws: str, path: str, token: str) -> dict[str, Socket]:
    """Returns a socket for each way to bring a token on connecting."""
    url = f"{ws}{path}"
    return {
        "header": Socket(url, headers=bearer(token)),
        "subprotocol": Socket(url, subprotocols=["bearer", token]),
        "query": Socket(url, token=token),
    }


async def bring_in_first_frame(ws: str, path: str, token: str) -> tuple[int, str]:
    """Returns the refusal of a token in the first frame."""
    async with Socket(f"{ws}{path}") as socket:
        await socket.send(type="message", message="It is me", token=token)
        code, frames = await socket.closed()
    assert [frame["type"] for frame in frames] == ["error"]
    return code, frames[0]["code"]


async def contents(person: Person, room_id: int) -> list[str]:
    answer = await person.get(f"/rooms/{room_id}/messages")
    assert answer.status_code == 200, answer.text
    return [message["content"] for message in answer.json()]


async def received_changes(socket: Socket) -> list[Frame]:
    """Returns the message and typing frames received up to now."""
    return [frame for frame in await socket.ping() if frame["type"] in ("message", "typing")]


# Claims in a frame or body


@pytest.mark.parametrize(
    "claim",
    [
        {"type": "message", "message": "I am somebody else"},
        {"message": "I am somebody else"},
        {"type": "typing"},
        {"type": "join"},
        {"type": "exit"},
        {"type": "read", "seq": 1},
        {"type": "resume", "since": 0},
        {"type": "ping"},
    ],
    ids=lambda claim: claim.get("type", "no type"),
)
async def test_frame_with_another_username_is_rejected_without_effect(
    person: Register, claim: Frame
) -> None:
    ila, kaushal = await person(), await person()
    name = fresh("claims")
    speaker, bystander = ila.public(name), kaushal.public(name)
    async with opened(speaker, bystander) as (ready, _):
        await speaker.ping()
        await bystander.ping()
        await speaker.send(**claim, username=kaushal.username, ref="r1")
        answer = await speaker.receive()
        assert (answer["type"], answer["code"]) == ("error", "sender_mismatch")
        assert answer["ref"] == "r1"
        # The socket still works, and the room received nothing.
        assert [frame["type"] for frame in await speaker.ping()] == ["pong"]
        assert [frame["type"] for frame in await bystander.ping()] == ["pong"]
        assert await contents(ila, ready["room"]["id"]) == []


async def test_own_username_is_accepted_in_any_case(person: Register) -> None:
    ila = await person(fresh("Case"))
    async with ila.public(fresh("claims")) as socket:
        await socket.send(message="It is me", username=ila.username.upper())
        assert (await socket.receive_type("message"))["username"] == ila.username


async def test_rest_message_with_another_username_is_rejected(person: Register) -> None:
    ila, kaushal = await person(), await person()
    room = (await ila.post("/rooms", {"name": fresh("claims")})).json()
    body = {"content": "I am somebody else", "username": kaushal.username}
    for path, extra in (
        ("/messages", {"room": room["name"]}),
        (f"/rooms/{room['id']}/messages", {}),
        (f"/messages/{room['id']}", {}),
    ):
        answer = await ila.post(path, body | extra)
        assert (answer.status_code, answer.json()["code"]) == (403, "sender_mismatch")
    assert await contents(ila, room["id"]) == []


async def test_token_of_another_user_in_a_frame_closes_without_effect(
    person: Register,
) -> None:
    ila, kaushal = await person(), await person()
    name = fresh("foreign")
    speaker, bystander = ila.public(name), kaushal.public(name)
    async with opened(speaker, bystander) as (ready, _):
        await bystander.ping()
        await speaker.send(message="I am somebody else", token=kaushal.access)
        assert await speaker.refused() == (4401, "token_invalid")
        assert await received_changes(bystander) == []
        assert await contents(kaushal, ready["room"]["id"]) == []


@pytest.mark.parametrize("token", ["", "nonsense", "ünïcode", "a.b.c", "refresh token"])
async def test_invalid_token_in_a_later_frame_closes_without_effect(
    person: Register, token: str
) -> None:
    ila, kaushal = await person(), await person()
    name = fresh("bad")
    speaker, bystander = ila.public(name), kaushal.public(name)
    async with opened(speaker, bystander) as (ready, _):
        await bystander.ping()
        await speaker.send(
            message="It is me", token=ila.refresh if token == "refresh token" else token
        )
        assert await speaker.refused() == (4401, "token_invalid")
        assert await received_changes(bystander) == []
        assert await contents(kaushal, ready["room"]["id"]) == []


async def test_private_socket_accepts_only_the_other_user_as_receiver(person: Register) -> None:
    ila, kaushal, guest = await person(), await person(), await person()
    mine, theirs = ila.private(kaushal.username), kaushal.private(ila.username)
    async with opened(mine, theirs) as (ready, _):
        await theirs.ping()
        for receiver in (guest.id, ila.id, NOWHERE):
            await mine.send(message="For whom?", receiver=receiver)
            assert (await mine.receive_type("error"))["code"] == "receiver_mismatch"
        assert await received_changes(theirs) == []
        assert await contents(ila, ready["room"]["id"]) == []
        await mine.send(message="For you", receiver=kaushal.id)
        assert (await theirs.receive_type("message"))["receiver"] == kaushal.id


# Authentication


async def test_token_is_read_from_header_subprotocol_query_or_first_frame(
    server: Server, person: Register
) -> None:
    ila = await person()
    path = f"/ws/chat/{fresh('ways')}/"
    for credential, socket in every_way(server.ws, path, ila.access).items():
        async with socket:
            ready = await socket.receive()
            assert ready["type"] == "ready", credential
            assert ready["user"] == {"id": ila.id, "username": ila.username}
            chosen = "bearer" if credential == "subprotocol" else None
            assert socket.connection.subprotocol == chosen
    async with Socket(f"{server.ws}{path}") as socket:
        await socket.send(token=ila.access, message="Here I am")
        assert (await socket.receive())["type"] == "ready"
        # The frame that carries the token is handled like any other.
        assert (await socket.receive_type("message"))["message"] == "Here I am"


async def test_first_token_present_decides_without_fallback(
    server: Server, person: Register
) -> None:
    ila, kaushal = await person(), await person()
    url = f"{server.ws}/ws/chat/{fresh('order')}/"
    good, bad = ila.access, "nonsense"
    refused = [
        Socket(url, headers=bearer(bad), subprotocols=["bearer", good], token=good),
        Socket(url, headers=bearer(bad), token=good),
        Socket(url, headers=bearer(""), token=good),
        Socket(url, subprotocols=["bearer", bad], token=good),
        Socket(url, token=bad),
        Socket(url, token=""),
    ]
    for socket in refused:
        assert await connect_refused(socket) == (4401, "token_invalid")
    for socket in (
        Socket(url, headers=bearer(good), subprotocols=["bearer", bad], token=bad),
        Socket(url, headers=bearer(good), token=kaushal.access),
        Socket(url, subprotocols=["bearer", good], token=bad),
        Socket(url, subprotocols=["bearer", good], token=kaushal.access),
    ):
        async with socket:
            assert (await socket.receive_type("ready"))["user"]["id"] == ila.id


@pytest.mark.parametrize(
    "frame",
    [
        '{"type": "join"}',
        '{"message": "Hello"}',
        '{"type": "ping", "token": null}',
        '{"type": "ping", "token": 7}',
        "no JSON",
        "[]",
    ],
)
async def test_first_frame_without_a_token_is_rejected(server: Server, frame: str) -> None:
    async with Socket(f"{server.ws}/ws/chat/anything/") as socket:
        await socket.send_text(frame)
        code, frames = await socket.closed()
    assert code == 4401
    assert [(one["type"], one["code"]) for one in frames] == [("error", "not_authenticated")]
    credentials = (
        "Authorization: Bearer <token>",
        '"bearer, <token>"',
        "?token=<token>",
        '"token"',
    )
    assert [
        credential for credential in credentials if credential not in frames[0]["message"]
    ] == []


async def test_refresh_token_is_not_an_access_token(
    server: Server, person: Register, anyone: httpx.AsyncClient
) -> None:
    ila = await person()
    path = f"/ws/chat/{fresh('refresh')}/"
    answer = await anyone.get("/users/me", headers=bearer(ila.refresh))
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
    answer = await anyone.post("/token/verify", json={"token": ila.refresh})
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
    for socket in every_way(server.ws, path, ila.refresh).values():
        assert await connect_refused(socket) == (4401, "token_invalid")
    assert await bring_in_first_frame(server.ws, path, ila.refresh) == (4401, "token_invalid")
    # And an access token cannot refresh.
    answer = await anyone.post("/token/refresh", json={"refresh": ila.access})
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


async def test_tokens_of_a_logged_out_session_are_invalid(
    server: Server, person: Register, anyone: httpx.AsyncClient
) -> None:
    ila, kaushal = await person(), await person()
    name = fresh("ended")
    path = f"/ws/chat/{name}/"
    async with signed_in_again(ila) as phone:
        speaker, bystander = ila.public(name), kaushal.public(name)
        async with opened(speaker, bystander) as (ready, _):
            await bystander.ping()
            assert (await phone.post("/logout")).status_code == 204
            answer = await phone.post("/messages", {"room": name, "content": "Still here?"})
            assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
            answer = await anyone.post("/token/verify", json={"token": phone.access})
            assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
            answer = await anyone.post("/token/refresh", json={"refresh": phone.refresh})
            assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
            for socket in every_way(server.ws, path, phone.access).values():
                assert await connect_refused(socket) == (4401, "session_ended")
            refusal = await bring_in_first_frame(server.ws, path, phone.access)
            assert refusal == (4401, "session_ended")
            # Sent in a later frame of a socket that another session authenticated.
            await speaker.send(message="Still here?", token=phone.access)
            code, _ = await speaker.refused()
            assert code == 4401
            assert [frame["type"] for frame in await bystander.ping()] == ["exit", "pong"]
            assert await contents(kaushal, ready["room"]["id"]) == []


async def test_later_frame_may_carry_a_token_of_another_session_of_the_user(
    person: Register,
) -> None:
    ila = await person()
    async with signed_in_again(ila) as phone:
        socket = ila.public(fresh("renewed"))
        async with opened(socket):
            # Two tokens of the same second expire together, and then the first one stays.
            await asyncio.sleep(1.1)
            newer = await phone.post("/token/refresh", {"refresh": phone.refresh})
            await socket.send(type="ping", token=newer.json()["access"])
            await socket.receive_type("pong")
            # The socket belongs to the other session now: ending the first does not close it.
            assert (await ila.post("/logout")).status_code == 204
            await socket.ping()
            assert (await phone.post("/logout", {"refresh": phone.refresh})).status_code == 204
            assert await socket.refused() == (4401, "session_ended")


# Non-members


async def test_group_of_others_looks_missing_by_room_id(person: Register) -> None:
    ila, outsider = await person(), await person()
    room = (await ila.post("/rooms", {"name": fresh("club"), "kind": "group"})).json()
    answer = await ila.post("/messages", {"room": room["name"], "content": "Among us"})
    message = answer.json()["id"]
    tries: list[tuple[str, str, Any]] = [
        ("GET", "/rooms/{room}", None),
        ("PATCH", "/rooms/{room}", {"title": "Mine"}),
        ("DELETE", "/rooms/{room}", None),
        ("POST", "/rooms/{room}/join", None),
        ("POST", "/rooms/{room}/leave", None),
        ("GET", "/rooms/{room}/members", None),
        ("POST", "/rooms/{room}/add-members", {"members": [outsider.username]}),
        ("PATCH", f"/rooms/{{room}}/members/{outsider.username}", {"role": "owner"}),
        ("DELETE", f"/rooms/{{room}}/members/{ila.username}", None),
        ("GET", "/rooms/{room}/messages", None),
        ("POST", "/rooms/{room}/messages", {"content": "Hello?"}),
        ("GET", "/messages/{room}", None),
        ("POST", "/messages/{room}", {"content": "Hello?"}),
        ("POST", "/messages", {"room": "{room}", "content": "Hello?"}),
        ("PATCH", f"/rooms/{{room}}/messages/{message}", {"content": "Changed"}),
        ("DELETE", f"/rooms/{{room}}/messages/{message}", None),
        ("PUT", f"/rooms/{{room}}/messages/{message}/reactions/+1", None),
        ("DELETE", f"/rooms/{{room}}/messages/{message}/reactions/+1", None),
        ("POST", "/rooms/{room}/read", {"seq": 1}),
    ]
    for method, path, body in tries:
        for room_id in (room["id"], NOWHERE):
            sent = body | {"room": room_id} if body and "room" in body else body
            answer = await outsider.http.request(method, path.format(room=room_id), json=sent)
            where = f"{method} {path} {room_id}: {answer.text}"
            assert (answer.status_code, answer.json()) == (404, NO_SUCH_ROOM), where

    assert await contents(ila, room["id"]) == ["Among us"]
    state = (await ila.get(f"/rooms/{room['id']}")).json()
    assert (state["member_count"], state["version"], state["title"]) == (1, 1, "")
    assert room["id"] not in [one["id"] for one in (await outsider.get("/rooms")).json()]
    assert (await outsider.get("/rooms", q=room["name"])).json() == []
    assert (await outsider.get("/my-rooms")).json() == []
    assert message not in [one["id"] for one in (await outsider.get("/messages")).json()]


async def test_group_of_others_looks_missing_by_name(person: Register) -> None:
    ila, outsider = await person(), await person()
    name, unused = fresh("club"), fresh("club")
    room = (await ila.post("/rooms", {"name": name, "kind": "group"})).json()
    member = ila.group(name)
    async with opened(member):
        await member.ping()
        for one in (name, unused):
            answer = await outsider.get(f"/history/{one}")
            assert (answer.status_code, answer.json()) == (404, NO_SUCH_ROOM)
            answer = await outsider.post("/messages", {"room": one, "content": "Hello?"})
            assert (answer.status_code, answer.json()) == (404, NO_SUCH_ROOM)

        seen = []
        for one in (name, unused, name.upper()):
            async with outsider.group(one) as socket:
                seen.append(await socket.closed())
        not_a_member = {
            "type": "error",
            "code": "not_a_member",
            "message": "You are not a member of this room",
        }
        assert seen == 3 * [(4403, [not_a_member])]
        # At the public URL the name is taken, which is no secret; the group stays hidden.
        async with outsider.public(name) as socket:
            assert await socket.closed() == (4403, [not_a_member])

        assert [frame["type"] for frame in await member.ping()] == ["pong"]
    assert await contents(ila, room["id"]) == []
    # The group URL did not create the room.
    answer = await outsider.post("/rooms", {"name": unused})
    assert answer.status_code == 201


async def test_private_room_of_others_looks_missing(person: Register) -> None:
    ila, kaushal, outsider = await person(), await person(), await person()
    room = (await ila.post(f"/private/{kaushal.username}")).json()
    await ila.post(f"/rooms/{room['id']}/messages", {"content": "Between us"})
    for room_id in (room["id"], NOWHERE):
        for answer in (
            await outsider.get(f"/rooms/{room_id}"),
            await outsider.get(f"/rooms/{room_id}/messages"),
            await outsider.post(f"/rooms/{room_id}/messages", {"content": "And me"}),
            await outsider.post(f"/rooms/{room_id}/read", {"seq": 1}),
        ):
            assert (answer.status_code, answer.json()) == (404, NO_SUCH_ROOM)
    assert await contents(kaushal, room["id"]) == ["Between us"]


async def test_reply_reveals_nothing_about_messages_of_other_rooms(person: Register) -> None:
    ila, outsider = await person(), await person()
    club = (await ila.post("/rooms", {"name": fresh("club"), "kind": "group"})).json()
    secret = (await ila.post(f"/rooms/{club['id']}/messages", {"content": "Among us"})).json()
    square = (await outsider.post("/rooms", {"name": fresh("square")})).json()
    answers = [
        await outsider.post(
            f"/rooms/{square['id']}/messages", {"content": "Really?", "reply_to": message}
        )
        for message in (secret["id"], NOWHERE)
    ]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].json() == answers[1].json()
    assert await contents(outsider, square["id"]) == []


async def test_private_url_requires_an_existing_other_user(person: Register) -> None:
    ila = await person()
    assert await connect_refused(ila.private(fresh("unknown"))) == (4404, "no_such_user")
    assert await connect_refused(ila.private(ila.username)) == (4403, "forbidden")


# Expiry, on a server with tokens of six seconds, or five: expiry times are whole seconds.


@pytest.fixture
def hasty(server: Server, tmp_path: Path) -> Iterator[Server]:
    with serving(
        server.kind, tmp_path, CHAT_ACCESS_TOKEN_MINUTES="0.1", LOG_LEVEL="DEBUG"
    ) as running:
        yield running


async def test_open_socket_expires_with_its_token_unless_renewed(
    hasty: Server,
) -> None:
    async with rest(hasty.http) as api:

        async def tokens(path: str, body: Frame) -> Frame:
            answer = await api.post(path, json=body)
            assert answer.is_success, answer.text
            pair: Frame = answer.json()
            return pair

        url = f"{hasty.ws}/ws/chat/lobby/"
        first = await tokens("/register", {"username": "ila", "password": "password123"})
        stays, renewed = Socket(url, token=first["access"]), Socket(url, token=first["access"])
        async with opened(stays, renewed):
            # Late enough for the second token to outlive the first by at least two seconds.
            await asyncio.sleep(2.1)
            second = await tokens("/token/refresh", {"refresh": first["refresh"]})
            await renewed.send(type="ping", token=second["access"], ref="newer")
            assert (await renewed.receive_type("pong"))["ref"] == "newer"
            # Never to an earlier expiry.
            await renewed.send(type="ping", token=first["access"], ref="older")
            assert (await renewed.receive_type("pong"))["ref"] == "older"

            assert await stays.refused() == (4401, "token_expired")
            await renewed.ping()
            answer = await api.get("/users/me", headers=bearer(first["access"]))
            assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")
            answer = await api.post("/token/verify", json={"token": first["access"]})
            assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")
            late = Socket(url, token=first["access"])
            assert await connect_refused(late) == (4401, "token_expired")

            assert await renewed.refused() == (4401, "token_expired")
    log = hasty.log.read_text()
    for pair in (first, second):
        assert pair["access"] not in log
        assert pair["refresh"] not in log


def test_socket_without_a_token_times_out_after_ten_seconds(
    silent: "Future[tuple[float, list[Any], int]]",
) -> None:
    after, received, code = silent.result(30)
    assert len(received) == 1
    assert '"auth_timeout"' in received[0]
    assert code == 4401
    # Counted from the end of the handshake; the server counts from an earlier moment.
    assert 8 < after < 20
