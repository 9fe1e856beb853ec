"""The documented walkthroughs of the three origin apps, frame for frame."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.clients import Frame, Socket, connect_refused, opened, rest
from tests.servers import Server, serving

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def walk_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server for these tests alone: they use the fixed names of the origin apps."""
    with serving(request.param, tmp_path_factory.mktemp(f"walks-{request.param}")) as running:
        yield running


@pytest.fixture
async def api(walk_server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with rest(walk_server.http) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def sign_up(api: httpx.AsyncClient, username: str) -> Frame:
    """Registers and logs in as the origin apps do: `{id, username, access, refresh}`."""
    account = {"username": username, "password": "password123"}
    made = await api.post("/register/", json=account)
    assert made.status_code == 201, made.text
    assert made.json().keys() == {"id", "username", "email", "access", "refresh"}
    answer = await api.post("/login/", json=account)
    assert answer.status_code == 200, answer.text
    body: Frame = answer.json()
    assert body.keys() == {"access", "refresh", "user"}
    assert body["user"] == {"id": made.json()["id"], "username": username, "email": ""}
    user: Frame = body["user"]
    return user | {"access": body["access"], "refresh": body["refresh"]}


def message(sender: Frame, text: str, **known: Any) -> Frame:
    """The expected message frame, except for values that only the server knows."""
    return {
        "type": "message",
        "message": text,
        "sender": sender["id"],
        "username": sender["username"],
        "receiver": None,
        "edited_at": None,
        "deleted": False,
        "reply_to": None,
        "client_id": None,
        "attachments": [],
        "reactions": [],
        "mentions": [],
        "mentions_all": False,
        "quote": None,
        "pinned": False,
    } | known


def plain(frame: Frame) -> Frame:
    """Returns a frame without server-made values, after checking their shape."""
    frame = dict(frame)
    assert frame.pop("id") > 0
    assert TIMESTAMP.fullmatch(frame.pop("timestamp"))
    return frame


def as_answer(frame: Frame) -> Frame:
    """Returns a frame's message as REST shows it: `content` instead of `message`."""
    answer = {key: value for key, value in frame.items() if key not in ("type", "message")}
    return answer | {"content": frame["message"]}


async def test_origin_app_with_a_token_in_every_frame_works(
    walk_server: Server, api: httpx.AsyncClient
) -> None:
    asha, bela, chitra = [await sign_up(api, name) for name in ("asha", "bela", "chitra")]
    people = (await api.get("/users/", headers=bearer(asha["access"]))).json()
    assert [(one["id"], one["username"]) for one in people][:3] == [
        (one["id"], one["username"]) for one in (asha, bela, chitra)
    ]

    url = f"{walk_server.ws}/ws/chat/testroom/"
    async with Socket(url) as first, Socket(url) as second, Socket(url) as third:
        # No frame is sent before the first token.
        await first.send(token=asha["access"], type="join")
        ready = await first.receive()
        room = ready["room"]
        assert ready == {
            "type": "ready",
            "room": room,
            "user": {"id": asha["id"], "username": "asha"},
            "version": 0,
            "online": ["asha"],
            "online_count": 1,
        }
        assert room == {
            "id": room["id"],
            "name": "testroom",
            "kind": "public",
            "title": "",
            "topic": "",
            "created_by": asha["id"],
            "created_at": room["created_at"],
            "member_count": 1,
            "last_seq": 0,
            "version": 0,
        }
        assert TIMESTAMP.fullmatch(room["created_at"])
        # Once for the opened socket, once in answer to the frame.
        assert [await first.receive(), await first.receive()] == 2 * [
            {"type": "join", "username": "asha"}
        ]

        await second.send(token=bela["access"], type="join")
        assert (await second.receive())["online"] == ["asha", "bela"]
        assert [await second.receive(), await second.receive()] == 2 * [
            {"type": "join", "username": "bela"}
        ]
        assert await first.receive() == {"type": "join", "username": "bela"}
        await third.send(token=chitra["access"], type="join")
        await third.receive_until("join")
        await third.receive_until("join")
        assert await first.receive() == {"type": "join", "username": "chitra"}
        assert await second.receive() == {"type": "join", "username": "chitra"}

        await first.send(
            token=asha["access"], type="message", receiver=bela["id"], message="Hey there!"
        )
        received = await first.receive()
        assert await second.receive() == received
        assert received["room_id"] != room["id"]
        assert plain(received) == message(
            asha,
            "Hey there!",
            receiver=bela["id"],
            room=None,
            room_id=received["room_id"],
            seq=1,
            version=1,
        )
        await second.send(
            token=bela["access"], type="message", receiver=asha["id"], message="Hey you!"
        )
        reply = await first.receive()
        assert await second.receive() == reply
        assert (reply["sender"], reply["receiver"]) == (bela["id"], asha["id"])
        assert (reply["message"], reply["seq"]) == ("Hey you!", 2)

        await first.send(token=asha["access"], type="typing")
        typing = {"type": "typing", "sender": asha["id"], "username": "asha", "typing": True}
        assert await second.receive() == typing
        # The third user received the typing, and no private message of the other two.
        assert await third.receive() == typing

        await first.send(token=asha["access"], type="exit")
        assert await first.closed() == (1000, [{"type": "exit", "username": "asha"}])
        assert await second.receive() == {"type": "exit", "username": "asha"}
        assert await third.receive() == {"type": "exit", "username": "asha"}

        private = f"/messages/{received['room_id']}/"
        for one in (asha, bela):
            history = await api.get(private, headers=bearer(one["access"]))
            assert history.json() == [as_answer(received), as_answer(reply)]
        hidden = await api.get(private, headers=bearer(chitra["access"]))
        assert (hidden.status_code, hidden.json()["code"]) == (404, "no_such_room")

        rooms = (await api.get("/my-rooms/", headers=bearer(bela["access"]))).json()
        assert [one["id"] for one in rooms] == [received["room_id"], room["id"]]
        assert rooms[0]["kind"] == "private"
        assert rooms[0]["members"] == ["asha", "bela"]
        assert rooms[0]["last_message"] == as_answer(reply)
        rooms = (await api.get("/my-rooms/", headers=bearer(chitra["access"]))).json()
        assert [one["id"] for one in rooms] == [room["id"]]

        done = await api.post(
            "/logout/", json={"refresh": bela["refresh"]}, headers=bearer(bela["access"])
        )
        assert (done.status_code, done.content) == (204, b"")
        assert await second.refused() == (4401, "session_ended")
        refused = await api.get("/rooms/", headers=bearer(bela["access"]))
        assert (refused.status_code, refused.json()["code"]) == (401, "session_ended")
        assert await connect_refused(Socket(url, token=bela["access"])) == (4401, "session_ended")


async def test_origin_app_with_email_and_a_token_in_the_url_works(
    walk_server: Server, api: httpx.AsyncClient
) -> None:
    people = []
    for name in ("dev", "esha"):
        account = {"email": f"{name}@example.com", "password": "correct-horse-7"}
        made = await api.post("/register/", json=account | {"password2": "correct-horse-7"})
        assert made.status_code == 201, made.text
        answer = await api.post("/login/", json=account)
        assert answer.status_code == 200, answer.text
        assert answer.json()["user"] == {
            "id": made.json()["id"],
            "username": name,
            "email": f"{name}@example.com",
        }
        people.append(answer.json()["user"] | {"access": answer.json()["access"]})
    dev, esha = people

    def sports(person: Frame) -> Socket:
        return Socket(f"{walk_server.ws}/ws/chat/sports/?token={person['access']}")

    def news(person: Frame) -> Socket:
        return Socket(f"{walk_server.ws}/ws/chat/news/?token={person['access']}")

    near, far, elsewhere = sports(dev), sports(esha), news(esha)
    async with opened(near, far, elsewhere) as (ready, _, other):
        await near.send(message="Who saw the match?")
        first = await far.receive_type("message")
        assert plain(first) == message(
            dev, "Who saw the match?", room="sports", room_id=ready["room"]["id"], seq=1, version=1
        )
        assert await near.receive_type("message") == first
        await far.send(message="All of it!")
        second = await near.receive_type("message")
        assert plain(second) == message(
            esha, "All of it!", room="sports", room_id=ready["room"]["id"], seq=2, version=2
        )
        await elsewhere.send(message="Good evening")
        received = [frame for frame in await elsewhere.ping() if frame["type"] == "message"]
        assert [plain(frame) for frame in received] == [
            message(
                esha, "Good evening", room="news", room_id=other["room"]["id"], seq=1, version=1
            )
        ]
        assert not [frame for frame in await near.ping() if frame["type"] == "message"]

    history = await api.get("/history/sports/", headers=bearer(dev["access"]))
    assert history.json() == [as_answer(first), as_answer(second)]

    url = f"{walk_server.ws}/ws/chat/sports/"
    assert await connect_refused(Socket(url, token="nonsense")) == (4401, "token_invalid")
    assert await connect_refused(Socket(url, token="")) == (4401, "token_invalid")
    async with Socket(url) as anonymous:
        await anonymous.send(message="Let me in")
        assert await anonymous.refused() == (4401, "not_authenticated")
    for headers, code in (({}, "not_authenticated"), (bearer("nonsense"), "token_invalid")):
        refused = await api.get("/history/sports/", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (401, code)
    unchanged = await api.get("/history/sports/", headers=bearer(dev["access"]))
    assert unchanged.json() == history.json()


async def test_origin_app_with_three_kinds_of_room_works(
    walk_server: Server, api: httpx.AsyncClient
) -> None:
    ila, kaushal, guest = [await sign_up(api, name) for name in ("ila", "kaushal", "guest")]
    made = await api.post(
        "/rooms/with-members",
        json={"name": "friends", "members": ["ila", "kaushal"]},
        headers=bearer(ila["access"]),
    )
    assert made.status_code == 201, made.text
    friends = made.json()
    assert friends == {
        "id": friends["id"],
        "name": "friends",
        "kind": "group",
        "title": "",
        "topic": "",
        "created_by": ila["id"],
        "created_at": friends["created_at"],
        "member_count": 2,
        "last_seq": 0,
        "version": 0,
        "members": ["ila", "kaushal"],
    }

    def socket(person: Frame, path: str) -> Socket:
        return Socket(f"{walk_server.ws}{path}", headers=bearer(person["access"]))

    first, second = (socket(one, "/ws/chat/group/friends/") for one in (ila, kaushal))
    async with opened(first, second):
        # Both received each other's join: from here on every frame counts.
        await first.ping()
        await second.ping()
        await first.send(username="ila", message="Hey everyone!")
        received = await first.receive()
        assert await second.receive() == received
        assert plain(received) == message(
            ila, "Hey everyone!", room="friends", room_id=friends["id"], seq=1, version=1
        )
        await second.send(username="kaushal", typing=True)
        assert await first.receive() == {
            "type": "typing",
            "sender": kaushal["id"],
            "username": "kaushal",
            "typing": True,
        }
        assert [frame["type"] for frame in await second.ping()] == ["pong"]
        history = await api.get(
            f"/rooms/{friends['id']}/messages", headers=bearer(kaushal["access"])
        )
        assert history.json() == [as_answer(received)]

    first, second = socket(ila, "/ws/private/kaushal/"), socket(kaushal, "/ws/private/ila/")
    async with opened(first, second) as (ready, same):
        assert ready["room"]["id"] == same["room"]["id"]
        assert (ready["room"]["name"], ready["room"]["kind"]) == (None, "private")
        assert ready["room"]["members"] == ["ila", "kaushal"]
        await first.ping()
        await second.ping()
        await second.send(username="kaushal", message="Just for you")
        received = await first.receive()
        assert await second.receive() == received
        assert plain(received) == message(
            kaushal,
            "Just for you",
            room=None,
            room_id=ready["room"]["id"],
            receiver=ila["id"],
            seq=1,
            version=1,
        )

    everyone = [socket(one, "/ws/chat/general/") for one in (ila, kaushal, guest)]
    async with opened(*everyone):
        for one in everyone:
            await one.ping()
        await everyone[2].send(username="guest", message="Hello all")
        frames = [await one.receive() for one in everyone]
        assert frames[0] == frames[1] == frames[2]
        assert (frames[0]["username"], frames[0]["message"]) == ("guest", "Hello all")

    async with socket(guest, "/ws/chat/group/friends/") as outsider:
        assert await outsider.closed() == (
            4403,
            [
                {
                    "type": "error",
                    "code": "not_a_member",
                    "message": "You are not a member of this room",
                }
            ],
        )
