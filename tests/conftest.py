"""Fixtures of all tests: servers that live as long as the run, and users of them."""

import gc
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from pytest_django import Settings
from xdist.remote import Producer

from messaging.attachments.expiry import Eraser

from .clients import Person, register
from .distribution import Scheduler, order_of
from .documented_frames import Watch, watching
from .postgres_server import postgres_running
from .servers import Server, serving

# At INFO it logs a line for each of thousands of requests, with tokens in the addresses.
logging.getLogger("httpx").setLevel(logging.WARNING)
# httpcore tries to import it several times for each request. It is not installed, and searching for
# it, past pytest's import hook, took 40 % of the time of a test's REST client.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]


# Until all tests are collected: collections while modules load free nothing.
gc.disable()


def pytest_collection_finish() -> None:
    """Keeps loaded modules out of later collections, as the server does."""
    gc.freeze()
    gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """Returns two more than processors: tests often wait for timeouts and disks."""
    return (os.cpu_count() or 1) + 2


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduler | None:
    return Scheduler(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the groups; the Makefile's `--no-loadscope-reorder` keeps this order."""
    items.sort(key=lambda item: order_of(item.nodeid))


PATIENT = {"CHAT_DATABASE_TIMEOUT": "60"}
"""A slow machine needs more than 10 s for 50 writes to one row; servers would answer 503."""


@pytest.fixture(scope="session")
def daphne(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving("daphne", tmp_path_factory.mktemp("daphne"), **PATIENT) as running:
        yield running


@pytest.fixture(scope="session")
def uvicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving("uvicorn", tmp_path_factory.mktemp("uvicorn"), **PATIENT) as running:
        yield running


@pytest.fixture(scope="session")
def uvicorn_on_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("uvicorn-on-postgresql")
    with (
        postgres_running() as postgres,
        serving("uvicorn", folder, DATABASE_URL=postgres.new_database(), **PATIENT) as running,
    ):
        yield running


@pytest.fixture(scope="session", params=["daphne", "uvicorn", "uvicorn on PostgreSQL"])
def server(request: pytest.FixtureRequest) -> Server:
    """A server of each kind, for tests without settings of their own.

    Each is a fixture of its own, so that it starts once for any distribution of the tests.
    """
    running: Server = request.getfixturevalue(request.param.replace(" ", "_").lower())
    return running


@pytest.fixture(scope="session", autouse=True)
def no_eraser_thread() -> Iterator[None]:
    """Keeps the eraser's thread out of test processes: tests own the database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Eraser, "start", lambda self: None)
        yield


@pytest.fixture(scope="session")
def watched_sockets() -> Iterator[Watch]:
    with watching() as watch:
        yield watch


@pytest.fixture(autouse=True)
def frames_are_documented(request: pytest.FixtureRequest, watched_sockets: Watch) -> Iterator[None]:
    """Fails a test whose sockets carried a frame outside the AsyncAPI document.

    Frames that the server refuses are excluded. A test that does not wait for the refusal says so
    by the marker `malformed_frames`.
    """
    yield
    ignore = request.node.get_closest_marker("malformed_frames") is not None
    problems = watched_sockets.take_problems(ignore_sent=ignore)
    if problems:
        pytest.fail("Not as in the AsyncAPI document:\n" + "\n".join(problems[:20]), pytrace=False)


Register = Callable[..., Awaitable[Person]]


@pytest.fixture
async def person(server: Server) -> AsyncIterator[Register]:
    """`await person()` or `await person("ila")` registers a new user of the server."""
    people: list[Person] = []

    async def make(username: str | None = None) -> Person:
        people.append(await register(server.http, server.ws, username))
        return people[-1]

    yield make
    for one in people:
        await one.http.aclose()


@pytest.fixture
def cheap_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def unlimited(settings: Settings) -> None:
    """For services called in this process; test servers start without limits."""
    for what in ("REGISTER", "LOGIN", "LOGIN_NAME", "MESSAGE", "ROOM", "JOIN"):
        setattr(settings, f"CHAT_{what}_RATE", None)
