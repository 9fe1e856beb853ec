"""Limits of contract §4, each set low on a server of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.clients import (
    FRAME_TIMEOUT,
    PASSWORD,
    Frame,
    Person,
    Socket,
    fresh,
    opened,
    register,
    rest,
)
from tests.conftest import Register
from tests.metrics import scrape
from tests.servers import Server, serving

REGISTERED = 16
LIMITS = {
    "CHAT_REGISTER_RATE": "17/h",
    "CHAT_LOGIN_RATE": "8/h",
    "CHAT_LOGIN_NAME_RATE": "3/h",
    "CHAT_MESSAGE_RATE": "5/s",
    "CHAT_FRAME_RATE": "20/s",
    "CHAT_ROOM_RATE": "3/h",
    "CHAT_READ_RATE": "20/s",
    "CHAT_SOCKETS_PER_USER": "3",
    "CHAT_PENDING_PER_ADDRESS": "4",
    "CHAT_MESSAGE_LENGTH": "100",
    # With this header a client comes from another address.
    "CHAT_TRUSTED_PROXIES": "1",
}
ELSEWHERE = {"X-Forwarded-For": "203.0.113.7"}


@dataclass
class Limited:
    """A server with low limits, and users registered before any limit was reached."""

    server: Server
    people: list[Person]


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def limited(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Limited]:
    folder = tmp_path_factory.mktemp(f"limited-{request.param}")
    with serving(request.param, folder, **LIMITS) as server:

        async def everyone() -> list[Person]:
            return [await register(server.http, server.ws) for _ in range(REGISTERED)]

        yield Limited(server, asyncio.run(everyone()))


Guest = Callable[[], Person]


@pytest.fixture
async def guest(limited: Limited) -> AsyncIterator[Guest]:
    """`guest()` returns a user with unused limits."""
    guests: list[Person] = []

    def take() -> Person:
        guests.append(limited.people.pop())
        return guests[-1]

    yield take
    for one in guests:
        await one.http.aclose()


def check_too_many(answer: httpx.Response) -> None:
    assert answer.status_code == 429, answer.text
    assert answer.json()["code"] == "rate_limited"
    assert answer.json()["detail"]
    assert int(answer.headers["Retry-After"]) >= 1


async def connect_refused(socket: Socket) -> Frame:
    """Returns the error frame of a socket that is refused with 4429."""
    async with socket:
        code, frames = await socket.closed()
    assert (code, [frame["type"] for frame in frames]) == (4429, ["error"])
    assert frames[0]["retry_after"] > 0
    return frames[0]


async def test_registrations_are_limited_per_address(limited: Limited) -> None:
    async with rest(limited.server.http) as anonymous:

        async def attempt(password: str) -> httpx.Response:
            body = {"username": fresh("newcomer"), "password": password}
            return await anonymous.post("/register", json=body)

        # A body of the wrong shape consumes no rate.
        for _ in range(5):
            assert (await attempt("")).status_code == 422
        for _ in range(17 - REGISTERED):
            assert (await attempt(PASSWORD)).status_code == 201
        check_too_many(await attempt(PASSWORD))
        assert (await attempt("")).status_code == 422


async def test_logins_are_limited_per_name_and_per_address(limited: Limited, guest: Guest) -> None:
    ila = guest()
    async with rest(limited.server.http) as anonymous:

        async def attempt(name: str, password: str = PASSWORD) -> httpx.Response:
            return await anonymous.post("/login", json={"username": name, "password": password})

        for _ in range(3):
            answer = await attempt(ila.username, "wrong password")
            assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
        # The right password and another spelling of the name share the limit.
        check_too_many(await attempt(ila.username))
        check_too_many(await attempt(ila.username.upper()))
        answers = [await attempt(fresh("unknown")) for _ in range(8)]
        statuses = [answer.status_code for answer in answers]
        refused = statuses.index(429)
        assert 3 <= refused <= 5
        assert statuses == [401] * refused + [429] * (8 - refused)
        check_too_many(answers[-1])
    assert (await ila.get("/users/me")).status_code == 200


async def test_reads_are_limited_per_user(guest: Guest) -> None:
    ila, kaushal = guest(), guest()
    answers = await asyncio.gather(*(ila.get("/users/me") for _ in range(80)))
    assert {answer.status_code for answer in answers} == {200, 429}
    check_too_many(next(answer for answer in answers if answer.status_code == 429))
    assert (await kaushal.get("/users/me")).status_code == 200


async def test_rest_messages_are_limited_per_user(guest: Guest) -> None:
    ila, kaushal = guest(), guest()
    room = (await ila.post("/rooms", {"name": fresh("rate")})).json()["id"]
    path = f"/rooms/{room}/messages"
    answers = await asyncio.gather(*(ila.post(path, {"content": "x"}) for _ in range(40)))
    stored = [answer.json() for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code != 201]
    # A burst of two seconds' worth, and what was refilled meanwhile.
    assert 10 <= len(stored) < 40
    for answer in refused:
        check_too_many(answer)
    assert (await ila.get(f"/rooms/{room}")).json()["last_seq"] == len(stored)
    assert (await kaushal.post(path, {"content": "x"})).status_code == 201
    # Sockets and changes consume the same rate.
    one = stored[0]["id"]
    changes = await asyncio.gather(
        *(ila.patch(f"{path}/{one}", {"content": f"{number}"}) for number in range(30)),
        *(ila.put(f"{path}/{one}/reactions/{number}") for number in range(30)),
        *(ila.delete(f"{path}/{one}/reactions/{number}") for number in range(30)),
    )
    for kind in (changes[:30], changes[30:60], changes[60:]):
        check_too_many(next(answer for answer in kind if answer.status_code != 200))


async def test_rate_is_checked_after_shape_and_before_visibility(
    guest: Guest,
) -> None:
    ila = guest()
    nowhere = "/rooms/999999999/messages"
    answers = await asyncio.gather(*(ila.post(nowhere, {"content": "x"}) for _ in range(40)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {404, 429}
    assert statuses.count(404) >= 10
    one = f"{nowhere}/1"
    changes: Sequence[Callable[[], Awaitable[httpx.Response]]] = (
        lambda: ila.patch(one, {"content": "x"}),
        lambda: ila.delete(one),
        lambda: ila.put(f"{one}/reactions/x"),
        lambda: ila.delete(f"{one}/reactions/x"),
    )
    for change in changes:
        answers = await asyncio.gather(*(change() for _ in range(30)))
        assert 429 in {answer.status_code for answer in answers}
    misshapen = await asyncio.gather(
        *(ila.post(nowhere, {"content": ""}) for _ in range(30)),
        *(ila.patch(one, {"content": ""}) for _ in range(30)),
    )
    assert {answer.status_code for answer in misshapen} == {422}


async def test_socket_messages_are_rate_limited_and_the_socket_stays_open(
    guest: Guest,
) -> None:
    ila = guest()
    socket = ila.public(fresh("rate"))
    async with opened(socket) as (ready,):
        for number in range(30):
            await socket.send(type="message", message="x", ref=f"{number}")
        answers = [f for f in await socket.ping() if f["type"] in ("ack", "error")]
        assert [answer["ref"] for answer in answers] == [f"{number}" for number in range(30)]
        refused = [answer for answer in answers if answer["type"] == "error"]
        assert 0 < len(refused) <= 20
        assert {answer["code"] for answer in refused} == {"rate_limited"}
        assert all(0 < answer["retry_after"] < 3 for answer in refused)
        stored = (await ila.get(f"/rooms/{ready['room']['id']}")).json()["last_seq"]
        assert stored == 30 - len(refused)
        await asyncio.sleep(refused[-1]["retry_after"] + 0.05)
        await socket.send(type="message", message="after the wait", ref="after")
        assert (await socket.receive_type("ack"))["ref"] == "after"


async def test_persistent_frame_flood_closes_4429(
    guest: Guest,
) -> None:
    ila, kaushal = guest(), guest()
    room = fresh("frames")
    await ila.post("/rooms", {"name": room})
    socket, other = ila.public(room), kaushal.public(room)
    async with opened(socket, other):
        for number in range(80):
            await socket.send(type="ping", ref=f"{number}")
        answers = [await socket.receive() for _ in range(82)]
        refused = [frame for frame in answers if frame["type"] == "error"]
        assert len([frame for frame in answers if frame["type"] == "pong"]) >= 40
        assert 0 < len(refused) <= 40
        assert {frame["code"] for frame in refused} == {"rate_limited"}
        assert all(frame["retry_after"] > 0 for frame in refused)
        answered = sorted(int(frame["ref"]) for frame in answers if "ref" in frame)
        assert answered == list(range(80)), "each is answered by its ref, refused or not"
        await asyncio.sleep(0.2)
        await socket.send(type="ping")
        assert (await socket.receive())["type"] == "pong"
        # Persistent senders are disconnected.
        for _ in range(600):
            await socket.send(type="ping")
        code, frames = await socket.closed()
        assert (code, frames[-1]["type"]) == (4429, "error")
        assert (frames[-1]["code"], frames[-1]["retry_after"] > 0) == ("rate_limited", True)
        # Other users are not affected.
        assert [frame["type"] for frame in await other.ping()][-1] == "pong"


async def test_large_invalid_frame_counts_as_many(guest: Guest) -> None:
    ila = guest()
    room = fresh("wrong")
    await ila.post("/rooms", {"name": room})
    socket, other = ila.public(room), ila.public(room)
    wrong = {f"m{number}": 1 for number in range(5_000)}
    async with opened(socket, other):
        for _ in range(20):
            await socket.send(type="ping", unknown=1)
        answers = await socket.ping()
        assert [answer["code"] for answer in answers if "code" in answer] == ["invalid"] * 20
        await socket.send(type="ping", **wrong)
        await socket.send(type="ping", ref="next")
        answers = [await socket.receive_type("error") for _ in range(2)]
        assert [answer["code"] for answer in answers] == ["invalid", "rate_limited"]
        assert answers[1]["ref"] == "next"
        await other.ping()


async def test_open_sockets_are_limited_per_user_and_refusals_counted(
    limited: Limited, guest: Guest
) -> None:
    refused = 'chat_limit_refusals_total{setting="CHAT_SOCKETS_PER_USER"}'
    before = (await scrape(limited.server)).get(refused, 0)
    ila, kaushal = guest(), guest()
    room = fresh("sockets")
    await ila.post("/rooms", {"name": room})
    first, *others = [ila.public(room) for _ in range(3)]
    async with opened(*others):
        async with opened(first):
            for late in (ila.public(room), ila.private(kaushal.username)):
                assert (await connect_refused(late))["code"] == "too_many_connections"
            async with opened(kaushal.public(room)):
                pass
            await first.send(type="exit")
            await first.closed()
        async with opened(ila.public(room)):
            pass
    assert (await scrape(limited.server))[refused] == before + 2


async def two_may_wait(url: str, person: Person) -> bool:
    """Returns whether two more sockets may wait: both get `ready` after a token."""
    async with Socket(url) as one, Socket(url) as other:
        try:
            for socket in (one, other):
                await socket.send(type="ping", token=person.access)
                await socket.receive_type("pong")
        except ConnectionClosed:
            return False
    return True


async def test_unauthenticated_sockets_are_limited_per_address(
    limited: Limited, guest: Guest
) -> None:
    ila = guest()
    room = fresh("pending")
    url = f"{limited.server.ws}/ws/chat/{room}/"
    async with Socket(url) as first, Socket(url), Socket(url), Socket(url) as last:
        assert (await connect_refused(Socket(url)))["code"] == "too_many_connections"
        async with Socket(url, headers=ELSEWHERE) as elsewhere:
            await elsewhere.send(type="ping", token=ila.access)
            await elsewhere.receive_type("pong")
        # A socket with a token does not wait.
        async with opened(ila.public(room)):
            pass
        # A slot is released by authentication and by disconnecting.
        await first.send(type="ping", token=ila.access)
        await first.receive_type("pong")
        async with Socket(url) as another:
            await another.send(type="ping", token=ila.access)
            await another.receive_type("pong")
        await last.connection.close()
        deadline = time.monotonic() + FRAME_TIMEOUT
        while not await two_may_wait(url, ila):
            assert time.monotonic() < deadline, "who has gone still takes a place"
        async with Socket(url), Socket(url):
            assert (await connect_refused(Socket(url)))["code"] == "too_many_connections"


async def test_room_creation_is_limited_by_rest_and_by_connecting(guest: Guest) -> None:
    ila, kaushal = guest(), guest()
    names = [fresh("made") for _ in range(3)]
    assert (await ila.post("/rooms", {"name": names[0]})).status_code == 201
    body = {"name": names[1], "members": [ila.username]}
    assert (await ila.post("/rooms/with-members", body)).status_code == 201
    async with opened(ila.public(names[2])):
        pass
    late = {"name": fresh("late")}
    check_too_many(await ila.post("/rooms", late))
    check_too_many(await ila.post("/rooms/with-members", late | {"members": []}))
    check_too_many(await ila.post(f"/private/{kaushal.username}"))
    assert (await connect_refused(ila.public(fresh("late"))))["code"] == "rate_limited"
    assert (await connect_refused(ila.private(kaushal.username)))["code"] == "rate_limited"
    # Existing rooms may be entered, and the other user's rate is unused.
    async with opened(ila.public(names[2])):
        pass
    async with opened(kaushal.private(ila.username)):
        pass
    async with opened(ila.private(kaushal.username)):
        pass


async def test_message_length_limit_is_a_setting(guest: Guest) -> None:
    ila = guest()
    room = (await ila.post("/rooms", {"name": fresh("length")})).json()["id"]
    path = f"/rooms/{room}/messages"
    assert (await ila.post(path, {"content": "é" * 100})).status_code == 201
    answer = await ila.post(path, {"content": "é" * 101})
    assert answer.status_code == 422
    assert "100" in answer.json()["detail"]


async def test_disabled_limit_refuses_nothing(person: Register) -> None:
    ila = await person()
    socket = ila.public(fresh("off"))
    async with opened(socket):
        for number in range(150):
            await socket.send(type="message", message="x", ref=f"{number}")
        answers = [f for f in await socket.ping() if f["type"] in ("ack", "error")]
        assert [answer["type"] for answer in answers] == ["ack"] * 150
    assert [(await ila.post("/rooms", {"name": fresh("off")})).status_code for _ in range(5)] == [
        201
    ] * 5
