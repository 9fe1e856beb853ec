"""A browser, servers with new databases, and axe."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.openapi.tools import Unavailable, install
from tests.servers import Server, environment, free_port, prepare_database, serving

from .chromium import chromium_running, find_chromium

FOLDER = Path(__file__).resolve().parent
REQUIRED = os.environ.get("BROWSER") == "required"


def missing(reason: str) -> None:
    """Skips the test, or fails it if the caller insists on a browser."""
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        missing("Chromium is not on PATH")
        return
    with chromium_running(path) as running:
        yield running


@pytest.fixture(scope="session")
def axe() -> str:
    """The script that checks accessibility, as npm installs it."""
    try:
        install(FOLDER)
    except Unavailable as reason:
        missing(str(reason))
    return (FOLDER / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server as `make run` starts it."""
    with serving("daphne", tmp_path_factory.mktemp("site")) as server:
        yield server


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without DEBUG, with one address that fails: `/broken`."""
    folder = tmp_path_factory.mktemp("production")
    variables = environment(folder, DEBUG="0", ALLOWED_HOSTS="127.0.0.1")
    prepare_database(folder, variables)
    server = Server(
        "uvicorn", free_port(), variables, folder / "log", "tests.browser.broken_page:application"
    )
    server.start()
    yield server
    server.stop()
