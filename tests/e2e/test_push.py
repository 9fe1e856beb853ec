"""Web Push over real servers, from subscription to decrypted push (contract §8)."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clients import Person, opened, register, rest, signed_in_again
from tests.postgres_server import postgres_running
from tests.push_service import Device, PushService, push_service_running
from tests.redis_server import redis_running
from tests.servers import Server, serving, serving_together, start_program

DELAY = 1.0
SETTINGS = {
    "CHAT_PUSH_LOOPBACK": "1",
    "CHAT_PUSH_DELAY": f"{DELAY}",
    "CHAT_FOLLOWER_INTERVAL": "0.1",
    "CHAT_FOLLOWER_TTL": "2",
    "CHAT_SUBSCRIBE_RATE": "off",
}
SETTLED = 3 * DELAY
"""Seconds after which a push would have arrived."""


@pytest.fixture(scope="module", params=["daphne", "uvicorn", "uvicorn on PostgreSQL"])
def pushing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    kind, _, postgres = str(request.param).partition(" ")
    with ExitStack() as stack:
        settings = dict(SETTINGS)
        if postgres:
            database = stack.enter_context(postgres_running())
            settings["DATABASE_URL"] = database.new_database()
        folder = tmp_path_factory.mktemp("push")
        yield stack.enter_context(serving(kind, folder, **settings))


@pytest.fixture(scope="module")
def push_service() -> Iterator[PushService]:
    with push_service_running() as running:
        yield running


@pytest.fixture
async def people(pushing: Server) -> AsyncIterator[list[Person]]:
    """Four users of the server."""
    made = [await register(pushing.http, pushing.ws) for _ in range(4)]
    yield made
    for person in made:
        await person.http.aclose()


async def subscribed(person: Person, device: Device) -> Device:
    answer = await person.post("/push/subscriptions", device.subscription())
    assert answer.status_code == 201, answer.text
    return device


async def group_of(owner: Person, *members: Person) -> dict[str, Any]:
    body = {"name": f"group{owner.username}", "members": [one.username for one in members]}
    answer = await owner.post("/rooms/with-members", body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def arrived(device: Device, count: int = 1) -> list[dict[str, Any]]:
    return await asyncio.to_thread(device.wait, count)


async def test_only_members_who_are_away_receive_a_push(
    people: list[Person], push_service: PushService
) -> None:
    ila, away, online, reader = people
    room = await group_of(ila, away, online, reader)
    devices = [await subscribed(one, push_service.device()) for one in people]
    async with opened(online.group(room["name"])):
        sent = await ila.post(f"/rooms/{room['id']}/messages", {"content": "Saturday?"})
        await reader.post(f"/rooms/{room['id']}/read", {"seq": 1})
        assert await arrived(devices[1]) == [
            {
                "room_id": room["id"],
                "room": room["name"],
                "sender": ila.id,
                "username": ila.username,
                "seq": sent.json()["seq"],
                "content": "Saturday?",
                "unread": 1,
            }
        ]
        await asyncio.sleep(SETTLED)
    assert [len(one.received) for one in devices] == [0, 1, 0, 0]


async def test_subscriptions_are_stored_listed_and_deleted(
    people: list[Person], push_service: PushService
) -> None:
    ila, other, *_ = people
    key = (await ila.get("/push/key")).json()["public_key"]
    assert len(key) == 87
    body = push_service.device().subscription()
    made = await ila.post("/push/subscriptions", body)
    assert made.status_code == 201
    stored = made.json()
    assert stored.keys() == {"id", "endpoint", "created_at"}
    assert stored["endpoint"] == body["endpoint"]
    again = await ila.post("/push/subscriptions/", body)
    assert (again.status_code, again.json()) == (200, stored)
    assert (await ila.get("/push/subscriptions")).json() == [stored]
    assert (await other.get("/push/subscriptions")).json() == []
    refused = await other.delete(f"/push/subscriptions/{stored['id']}")
    assert (refused.status_code, refused.json()["code"]) == (404, "no_such_subscription")
    assert (await ila.delete(f"/push/subscriptions/{stored['id']}")).status_code == 204
    assert (await ila.get("/push/subscriptions")).json() == []
    async with rest(ila.url) as anonymous:
        for method, path in (
            ("GET", "/push/key"),
            ("GET", "/push/subscriptions"),
            ("POST", "/push/subscriptions"),
            ("DELETE", "/push/subscriptions/1"),
            ("PATCH", "/my-rooms/1"),
        ):
            answer = await anonymous.request(method, path, json={})
            assert answer.status_code == 401, path


async def test_a_browser_moves_to_the_user_who_uses_it_now(
    people: list[Person], push_service: PushService
) -> None:
    ila, other, *_ = people
    body = push_service.device().subscription()
    assert (await ila.post("/push/subscriptions", body)).status_code == 201
    stolen = body | {"keys": push_service.device().subscription()["keys"]}
    refused = await other.post("/push/subscriptions", stolen)
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_in_use")
    assert (await other.post("/push/subscriptions", body)).status_code == 200
    assert (await ila.get("/push/subscriptions")).json() == []
    assert len((await other.get("/push/subscriptions")).json()) == 1


async def test_a_subscription_ends_with_its_session(
    people: list[Person], push_service: PushService
) -> None:
    ila, away, *_ = people
    room = await group_of(ila, away)
    kept = await subscribed(away, push_service.device())
    async with signed_in_again(away) as phone:
        ended = await subscribed(phone, push_service.device())
        assert len((await away.get("/push/subscriptions")).json()) == 2
        assert (await phone.post("/logout")).status_code == 204
    assert len((await away.get("/push/subscriptions")).json()) == 1
    await ila.post(f"/rooms/{room['id']}/messages", {"content": "Hey"})
    assert len(await arrived(kept)) == 1
    await asyncio.sleep(0.3)
    assert ended.received == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example.com/x",
        "https://10.0.0.1/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://192.168.1.1/x",
        "https://[fe80::1]/x",
        "https://[fd00::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://[64:ff9b::a00:1]/x",
        "https://0x0a000001/x",
        "https://167772161/x",
        "https://0.0.0.0/x",
        "https://user@push.example.com/x",
        "https://",
        "no url",
    ],
)
async def test_an_endpoint_that_is_not_on_the_internet_is_refused(
    endpoint: str, people: list[Person], push_service: PushService
) -> None:
    body = push_service.device().subscription() | {"endpoint": endpoint}
    answer = await people[0].post("/push/subscriptions", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
    assert answer.json()["errors"][0]["loc"] == ["endpoint"]


async def test_keys_that_cannot_encrypt_are_refused(
    people: list[Person], push_service: PushService
) -> None:
    good = push_service.device().subscription()
    point = good["keys"]["p256dh"]
    for name, value in (
        ("p256dh", "AAAA"),
        ("p256dh", "A" + point[1:]),
        ("p256dh", point[:-4] + "AAAA"),
        ("p256dh", "é" * 87),
        ("auth", "AAAA"),
        ("auth", "!" * 22),
    ):
        body = good | {"keys": good["keys"] | {name: value}}
        answer = await people[0].post("/push/subscriptions", body)
        assert answer.status_code == 422, (name, value)
        assert answer.json()["errors"][0]["loc"] == ["keys", name]
    newer = good | {"options": {}, "keys": good["keys"] | {"more": 1}}
    assert (await people[0].post("/push/subscriptions", newer)).status_code == 201


async def test_my_room_is_muted_and_answers_with_its_state(people: list[Person]) -> None:
    ila, member, outsider, _ = people
    room = await group_of(ila, member)
    await ila.post(f"/rooms/{room['id']}/messages", {"content": "Hey"})
    path = f"/my-rooms/{room['id']}"
    (listed,) = (await member.get("/my-rooms")).json()
    assert (listed["muted"], listed["muted_until"], listed["notify"]) == (False, None, "all")
    changed = await member.patch(path, {"muted": True, "notify": "none"})
    assert changed.status_code == 200
    assert changed.json() == listed | {"muted": True, "notify": "none"}
    assert (await member.get("/my-rooms")).json() == [changed.json()]
    until = "2999-01-31T18:20:05.123Z"
    changed = await member.patch(path, {"muted_until": "2999-01-31T19:20:05.123+01:00"})
    assert (changed.json()["muted"], changed.json()["muted_until"]) == (True, until)
    changed = await member.patch(path, {"muted": False})
    assert changed.json() == listed | {"notify": "none"}
    assert (await member.patch(path, {})).json() == changed.json()
    for body in (
        {"muted_until": "2001-01-31T18:20:05Z"},
        {"muted_until": "soon"},
        {"muted_until": "9999-12-31T23:59:59-14:00"},
        {"muted_until": until, "muted": False},
        {"muted": "yes"},
        {"notify": "sometimes"},
        {"silent": True},
    ):
        assert (await member.patch(path, body)).status_code == 422, body
    refused = await outsider.patch(path, {"muted": True})
    assert (refused.status_code, refused.json()["code"]) == (404, "no_such_room")
    assert (await ila.delete(f"/rooms/{room['id']}/members/{member.username}")).status_code == 200
    assert (await member.patch(path, {"muted": True})).status_code == 404
    private = (await ila.post(f"/private/{outsider.username}")).json()
    changed = await ila.patch(f"/my-rooms/{private['id']}", {"muted": True})
    assert changed.json()["muted"]
    assert changed.json()["members"] == sorted([ila.username, outsider.username])


async def test_quiet_hours_belong_to_the_profile(people: list[Person]) -> None:
    ila = people[0]
    night = {"start": "22:00", "end": "07:00", "timezone": "Europe/Berlin"}
    assert (await ila.get("/users/me")).json()["quiet_hours"] is None
    assert (await ila.patch("/users/me", {"quiet_hours": night})).json()["quiet_hours"] == night
    renamed = (await ila.patch("/users/me", {"display_name": "Ila"})).json()
    assert (renamed["display_name"], renamed["quiet_hours"]) == ("Ila", night)
    changes: list[dict[str, Any]] = [
        {"start": "24:00"},
        {"end": "7:00"},
        {"start": "1\u0663:00"},
        {"end": "07:0\uff10"},
        {"timezone": "Berlin"},
        {"timezone": "../../etc/passwd"},
        {"days": []},
    ]
    for change in changes:
        answer = await ila.patch("/users/me", {"quiet_hours": night | change})
        assert answer.status_code == 422, change
    assert (await ila.patch("/users/me", {"quiet_hours": None})).json()["quiet_hours"] is None


# Several processes


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two servers on PostgreSQL and Redis that leave following to `manage.py follow`."""
    with postgres_running() as postgres, redis_running() as redis:
        settings = SETTINGS | {
            "DATABASE_URL": postgres.new_database(),
            "REDIS_URL": redis.url,
            "CHAT_FOLLOWER": "command",
            "LOG_LEVEL": "INFO",
        }
        folder = tmp_path_factory.mktemp("together")
        with serving_together(["uvicorn", "daphne"], folder, **settings) as servers:
            yield servers


class FollowCommand:
    """A `manage.py follow` of an installation."""

    def __init__(self, server: Server, log: Path) -> None:
        self.log = log
        self.process = start_program(["manage.py", "follow"], server.environment, log)

    async def until_it_follows(self) -> None:
        for _ in range(300):
            if "follows push" in self.log.read_text():
                return
            await asyncio.sleep(0.1)
        raise AssertionError(self.log.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
def test_server_that_stops_gives_up_its_lease(tmp_path: Path, kind: str) -> None:
    settings = {"CHAT_FOLLOWER": "server", "CHAT_FOLLOWER_TTL": "15", "LOG_LEVEL": "INFO"}
    with serving_together([kind, kind], tmp_path, **settings) as servers:
        first, second = sorted(
            servers, key=lambda server: "follows push" not in server.log.read_text()
        )
        assert "follows push" in first.log.read_text()
        first.stop()
        stopped_at = time.monotonic()
        while "follows push" not in second.log.read_text():
            # It asks every 5 s; a lease that was not given up lasts for 15 s.
            assert time.monotonic() - stopped_at < 10, second.log.read_text()
            time.sleep(0.1)
        assert "Traceback" not in first.log.read_text()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_command_follows_and_another_one_takes_over(
    together: list[Server], push_service: PushService, tmp_path: Path
) -> None:
    first, second = together
    ila = await register(first.http, first.ws)
    away, online = [await register(second.http, second.ws) for _ in range(2)]
    room = await group_of(ila, away, online)
    devices = [await subscribed(one, push_service.device()) for one in (away, online)]
    running = FollowCommand(first, tmp_path / "first.log")
    waiting = running
    try:
        await running.until_it_follows()
        waiting = FollowCommand(first, tmp_path / "second.log")
        async with opened(online.group(room["name"])):
            await ila.post(f"/rooms/{room['id']}/messages", {"content": "one"})
            assert [one["content"] for one in await arrived(devices[0])] == ["one"]
            await asyncio.to_thread(running.process.kill)
            await ila.post(f"/rooms/{room['id']}/messages", {"content": "two"})
            contents = [one["content"] for one in await arrived(devices[0], 2)]
            assert contents[-1] == "two"
            await asyncio.sleep(SETTLED)
        assert devices[1].received == []
        waiting.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(waiting.process.wait, 10) == 0
    finally:
        for command in (running, waiting):
            command.process.kill()
            command.process.wait(10)
        for person in (ila, away, online):
            await person.http.aclose()
