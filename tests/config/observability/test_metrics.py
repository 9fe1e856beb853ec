"""What /metrics shows: of one process, of several workers, and to whom."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from django.test import AsyncClient, override_settings
from prometheus_client.parser import text_string_to_metric_families

from tests.clients import Person, connect_refused, opened, register
from tests.conftest import Register
from tests.metrics import scrape, values
from tests.servers import ROOT, Server, serving

UP_TO_DATE_TIMEOUT = 30.0
"""Seconds: a worker writes down what it knows once in one of them, a new one has to start first."""
TOKEN = "a-token-for-prometheus"


async def scraped_until(server: Server, **expected: float) -> dict[str, float]:
    """The first scrape with these values."""
    deadline = time.monotonic() + UP_TO_DATE_TIMEOUT
    while True:
        found = await scrape(server)
        wrong = {name: found.get(name) for name in expected if found.get(name) != expected[name]}
        if not wrong:
            return found
        assert time.monotonic() < deadline, f"{wrong} instead of {expected}"
        await asyncio.sleep(0.1)


async def scraped_at_rest(server: Server) -> dict[str, float]:
    """Scrapes after the server has noticed that earlier sockets are closed.

    It notices a moment later than they do: their ends would count as this test's.
    """
    return await scraped_until(server, chat_sockets=0, chat_open_rooms=0)


async def test_one_process_counts_what_happens_on_its_sockets(
    server: Server, person: Register
) -> None:
    author, reader = await person(), await person()
    before = await scraped_at_rest(server)
    near, far = author.public("counted"), reader.public("counted")
    async with opened(near, far):
        for number in range(5):
            await near.send(message=f"{number}", client_id=f"{number}")
            await near.receive_type("ack")
        await near.send(message="0", client_id="0")
        await near.receive_type("ack")
        during = await scrape(server)
    assert during["chat_sockets"] == before["chat_sockets"] + 2
    assert during["chat_open_rooms"] == before["chat_open_rooms"] + 1
    # The repeated client_id stored nothing.
    assert during["chat_messages_stored_total"] == before["chat_messages_stored_total"] + 5
    # Five messages to two sockets; and ila's own join, then kaushal's to both.
    assert during["chat_deliveries_total"] >= before["chat_deliveries_total"] + 10
    for name in ("chat_writer_batch_messages", "chat_writer_wait_seconds"):
        assert during[f"{name}_count"] > before[f"{name}_count"]
    assert during["chat_writer_batch_messages_sum"] == before["chat_writer_batch_messages_sum"] + 6
    assert during["chat_workers"] == 1
    assert during["process_resident_memory_bytes"] > 0


async def test_closes_are_counted_by_code(server: Server, person: Register) -> None:
    author = await person()
    by_server = 'chat_socket_closes_total{by="server",code="4401"}'
    by_client = 'chat_socket_closes_total{by="client",code="1000"}'
    odd = 'chat_socket_closes_total{by="client",code="other"}'
    before = await scraped_at_rest(server)
    socket = author.public("closing")
    socket.url = socket.url.replace(author.access, "nonsense")
    assert (await connect_refused(socket))[0] == 4401
    async with opened(author.public("closing")):
        pass
    strange = author.public("closing")
    async with opened(strange):
        await strange.connection.close(code=3999)
    after = await scraped_until(
        server,
        **{name: before.get(name, 0) + 1 for name in (by_server, by_client, odd)},
    )
    assert not any("3999" in name for name in after)


async def test_the_pool_is_seen_where_there_is_one(server: Server, person: Register) -> None:
    await person()
    found = await scrape(server)
    if server.environment["DATABASE_URL"].startswith("sqlite"):
        assert found["chat_database_pool_connections"] == 0
    else:
        assert found["chat_database_pool_connections"] >= 1
        assert found["chat_database_pool_requests_total"] >= 1


async def test_the_documentation_names_every_metric_and_no_other() -> None:
    with override_settings(DEBUG=True):
        answer = await AsyncClient().get("/metrics")
    families = text_string_to_metric_families(answer.content.decode())
    exposed = {
        f"{one.name}_total" if one.type == "counter" else one.name
        for one in families
        if one.name.startswith("chat_")
    }
    page = (ROOT / "docs" / "operations.md").read_text()
    assert exposed == set(re.findall(r"^\| `(chat_\w+)", page, re.MULTILINE))


# To whom


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \xe9"]
)
async def test_in_production_the_token_is_needed(header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    with override_settings(DEBUG=False, CHAT_METRICS_TOKEN=TOKEN):
        answer = await AsyncClient().get("/metrics", headers=headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.content == b""


async def test_with_the_token_it_answers() -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with override_settings(DEBUG=False, CHAT_METRICS_TOKEN=TOKEN):
        answer = await AsyncClient().get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert "chat_sockets" in values(answer.content.decode())


async def test_in_production_without_a_token_it_is_not_there() -> None:
    headers = {"Authorization": "Bearer "}
    with override_settings(DEBUG=False, CHAT_METRICS_TOKEN=""):
        answer = await AsyncClient().get("/metrics", headers=headers)
    assert answer.status_code == 404


# Several workers


def workers_of(server: Server) -> list[int]:
    """Process ids of the workers that are up."""
    folder = Path(server.environment["TMPDIR"])
    return [int(mark.stem) for mark in folder.glob("chat-metrics-*/*.alive")]


@contextmanager
def asleep(pid: int) -> Iterator[None]:
    """Stops a worker, so that the other one takes all requests."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[Server]:
    with serving("workers", tmp_path, TMPDIR=str(tmp_path)) as running:
        yield running


@pytest.fixture
async def people(two_workers: Server) -> AsyncIterator[list[Person]]:
    made = [await register(two_workers.http, two_workers.ws) for _ in range(2)]
    yield made
    for person in made:
        await person.http.aclose()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + UP_TO_DATE_TIMEOUT
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def both_workers(server: Server) -> list[int]:
    """Waits until each of the two serves."""

    async def they_serve() -> bool:
        workers = workers_of(server)
        return len(workers) == 2 and all([await serves_without(server, one) for one in workers])

    await until(they_serve)
    return workers_of(server)


async def serves_without(server: Server, other: int) -> bool:
    # One that is not there yet would not answer however long we wait: ask again soon.
    with asleep(other):
        try:
            async with httpx.AsyncClient(timeout=2, verify=False) as client:
                await client.get(f"{server.http}/healthz")
        except httpx.TimeoutException:
            return False
    return True


async def test_any_worker_answers_for_all_and_for_the_dead(
    two_workers: Server, people: list[Person]
) -> None:
    server = two_workers

    first, second = await both_workers(server)
    author, reader = people
    async with AsyncExitStack() as stack:
        near, far = author.public("sums"), reader.public("sums")
        with asleep(first):
            await stack.enter_async_context(opened(near))
        with asleep(second):
            await stack.enter_async_context(opened(far))
        for socket in (near, far, near):
            await socket.send(message="counted", ref="r")
            await socket.receive_type("ack")
        expected = {"chat_sockets": 2, "chat_messages_stored_total": 3, "chat_workers": 2}
        await scraped_until(server, **expected)
        for other in (first, second):
            with asleep(other):
                found = await scrape(server)
            assert {name: found[name] for name in expected} == expected

        os.kill(first, signal.SIGKILL)

        async def it_was_replaced() -> bool:
            await scrape(server)  # forgets dead workers, such as one that was slow to start
            return first not in workers_of(server) and len(workers_of(server)) == 2

        await scraped_until(server, chat_sockets=1)
        # What the dead one counted stays counted: for Prometheus a counter never falls.
        await until(it_was_replaced)
        await scraped_until(server, chat_sockets=1, chat_messages_stored_total=3, chat_workers=2)
