"""A daphne and a uvicorn share a database, with Redis and without."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients import (
    REPAIR_TIMEOUT,
    Person,
    Socket,
    assert_received_by_hint,
    opened,
    register,
    until_hints_arrive,
)
from tests.redis_server import RedisServer, redis_running
from tests.servers import Server, manage, serving_together

ACK_TIMEOUT = 5.0


@dataclass
class TwoProcesses:
    first: Server
    second: Server
    redis: RedisServer | None


@pytest.fixture(scope="module", params=["redis", "no redis"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwoProcesses]:
    folder: Path = tmp_path_factory.mktemp("pair")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_running()) if request.param == "redis" else None
        url = redis.url if redis else ""
        first, second = stack.enter_context(
            serving_together(["uvicorn", "daphne"], folder, REDIS_URL=url)
        )
        yield TwoProcesses(first, second, redis)


Group = Callable[[str], Awaitable[tuple[Person, Person, int]]]


@pytest.fixture
async def people() -> AsyncIterator[list[Person]]:
    """Closes the HTTP clients of the users in this list after the test."""
    made: list[Person] = []
    yield made
    for person in made:
        await person.http.aclose()


@pytest.fixture
def group(pair: TwoProcesses, people: list[Person]) -> Group:
    """Makes a group over two processes: `await group("friends")`.

    The owner is on the first process, a member on the second.
    """

    async def make(name: str) -> tuple[Person, Person, int]:
        return await a_group_over_both(pair, name, people)

    return make


async def a_group_over_both(
    pair: TwoProcesses, name: str, people: list[Person]
) -> tuple[Person, Person, int]:
    owner = await register(pair.first.http, pair.first.ws)
    member = await register(pair.second.http, pair.second.ws)
    people += [owner, member]
    answer = await owner.post("/rooms/with-members", {"name": name, "members": [member.username]})
    return owner, member, answer.json()["id"]


async def settled(pair: TwoProcesses, near: Socket, far: Socket) -> None:
    """A subscription at Redis takes a moment; until then the repair delivers."""
    if pair.redis:
        await until_hints_arrive(near, far)


async def test_message_reaches_the_other_process(pair: TwoProcesses, group: Group) -> None:
    owner, member, _ = await group("crossing")
    near, far = owner.group("crossing"), member.group("crossing")
    async with opened(near, far):
        await settled(pair, near, far)
        for number in range(3):
            if pair.redis:
                await assert_received_by_hint(near, far, f"{number}")
            else:
                await near.send(type="message", message=f"{number}")
                received = await far.receive_type("message", REPAIR_TIMEOUT)
                assert received["message"] == f"{number}"


async def test_messages_of_both_processes_arrive_in_one_order(
    pair: TwoProcesses, group: Group
) -> None:
    owner, member, room_id = await group("order")
    near, far = owner.group("order"), member.group("order")
    async with opened(near, far):
        await settled(pair, near, far)
        for number in range(20):
            await near.send(type="message", message=f"here {number}")
            await far.send(type="message", message=f"there {number}")

        for socket in (near, far):
            received = [(await socket.receive_type("message"))["version"] for _ in range(40)]
            assert received == list(range(1, 41))
    stored = (await owner.get(f"/rooms/{room_id}/messages", limit=200)).json()
    assert [message["seq"] for message in stored] == list(range(1, 41))


async def test_private_message_sent_in_a_room_reaches_the_other_process(
    pair: TwoProcesses, group: Group
) -> None:
    owner, member, room_id = await group("aside")
    near, far = owner.group("aside"), member.group("aside")
    private = member.private(owner.username)
    async with opened(near, far, private) as (*_, ready):
        await settled(pair, near, far)
        await near.send(type="message", message="psst", receiver=member.id)
        received = await private.receive_type("message", REPAIR_TIMEOUT)
        assert (received["room_id"], received["message"]) == (ready["room"]["id"], "psst")
        if pair.redis:
            # The copy is delivered by a hint alone.
            assert await far.receive_type("message") == received
        assert (await owner.get(f"/rooms/{room_id}/messages")).json() == []


async def test_removal_closes_the_sockets_in_the_other_process(
    pair: TwoProcesses, group: Group
) -> None:
    owner, member, room_id = await group("removal")
    near, far = owner.group("removal"), member.group("removal")
    async with opened(near, far):
        await settled(pair, near, far)
        removed = await owner.delete(f"/rooms/{room_id}/members/{member.username}")
        await near.send(type="message", message="not for the removed")
        code, frames = await far.closed(REPAIR_TIMEOUT)
        assert (code, frames[-1]["code"]) == (4403, "removed")
        late = [frame for frame in frames if frame.get("version", 0) > removed.json()["version"]]
        assert late == []


async def test_logout_closes_the_sockets_in_the_other_process(
    pair: TwoProcesses, people: list[Person]
) -> None:
    person = await register(pair.first.http, pair.first.ws)
    elsewhere = person.at(pair.second)
    people += [person, elsewhere]
    socket = person.public("logout")
    async with opened(socket):
        assert (await elsewhere.post("/logout")).status_code == 204
        assert await socket.refused(REPAIR_TIMEOUT) == (4401, "session_ended")


async def test_room_deletion_closes_the_sockets_in_the_other_process(
    pair: TwoProcesses, group: Group
) -> None:
    owner, member, room_id = await group("deleted")
    far = member.group("deleted")
    async with opened(far):
        assert (await owner.delete(f"/rooms/{room_id}")).status_code == 204
        assert await far.refused(REPAIR_TIMEOUT) == (4404, "no_such_room")


async def test_changed_memberships_are_announced_by_the_other_process(
    pair: TwoProcesses, people: list[Person]
) -> None:
    """Without Redis, and so without any hint, by the counter of the user."""
    owner = await register(pair.first.http, pair.first.ws)
    member = await register(pair.second.http, pair.second.ws)
    people += [owner, member]
    socket = member.events()
    async with opened(socket):
        body = {"name": "announced", "members": [member.username]}
        room_id = (await owner.post("/rooms/with-members", body)).json()["id"]
        added = await socket.receive_type("room_added", REPAIR_TIMEOUT)
        assert added["room"]["id"] == room_id
        await owner.post(f"/rooms/{room_id}/messages", {"content": "Hi"})
        message = await socket.receive_type("message", REPAIR_TIMEOUT)
        assert (message["room_id"], message["message"]) == (room_id, "Hi")
        await asyncio.to_thread(mute, pair.first, member, room_id)
        marks = await socket.receive_type("marks", REPAIR_TIMEOUT)
        assert (marks["room_id"], marks["muted"], marks["unread"]) == (room_id, True, 1)
        removed = await owner.delete(f"/rooms/{room_id}/members/{member.username}")
        await owner.post(f"/rooms/{room_id}/messages", {"content": "secret"})
        frames = await socket.receive_until("room_removed", REPAIR_TIMEOUT)
        assert (frames[-1]["room_id"], frames[-1]["reason"]) == (room_id, "removed")
        late = [one for one in frames if one.get("version", 0) > removed.json()["version"]]
        assert late == []
        await owner.post(f"/rooms/{room_id}/add-members", {"members": [member.username]})
        again = await socket.receive_type("room_added", REPAIR_TIMEOUT)
        assert again["room"]["last_message"]["content"] == "secret"


def mute(server: Server, member: Person, room_id: int) -> None:
    call = f"change_notifications(user_id={member.id}, room_id={room_id}, muted=True)"
    found = "from rooms.notifications import change_notifications"
    manage(server.environment, "shell", "-c", f"{found}; {call}")


async def test_resume_on_the_other_process_has_no_gap(pair: TwoProcesses, group: Group) -> None:
    owner, member, room_id = await group("moving")
    elsewhere = member.at(pair.first)
    async with elsewhere.http, opened(far := member.events()):
        await owner.post(f"/rooms/{room_id}/messages", {"content": "1"})
        version = (await far.receive_type("message", REPAIR_TIMEOUT))["version"]
        for number in (2, 3):
            await owner.post(f"/rooms/{room_id}/messages", {"content": f"{number}"})
        async with opened(near := elsewhere.events()):
            await near.send(type="resume", rooms={f"{room_id}": version})
            frames = await near.receive_until("resumed")
            missed = [one["message"] for one in frames if one["type"] == "message"]
            assert missed == ["2", "3"]


async def test_messages_are_delivered_while_redis_dies_and_returns(
    pair: TwoProcesses, group: Group
) -> None:
    if pair.redis is None:
        pytest.skip("there is no Redis to kill")
    owner, member, _ = await group("outage")
    near, far = owner.group("outage"), member.group("outage")
    async with opened(near, far):
        await settled(pair, near, far)
        pair.redis.kill()
        for number in range(5):
            await near.send(type="message", message=f"{number}", client_id=f"{number}")
            assert (await near.receive_type("ack", ACK_TIMEOUT))["seq"] == number + 1
            received = await far.receive_type("message", REPAIR_TIMEOUT)
            assert received["message"] == f"{number}"
        pair.redis.start()
        await until_hints_arrive(near, far)
        for number in range(3):
            await assert_received_by_hint(near, far, f"again {number}")
