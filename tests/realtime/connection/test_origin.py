"""Checks the Origin and Host of sockets."""

import pytest
from pytest_django import Settings

from accounts.kernel.errors import Forbidden
from config.settings import LOOPBACK_ORIGINS
from realtime.connection.origin import check_origin
from tests.realtime.connection.scopes import HOST, scope


@pytest.fixture(autouse=True)
def our_hosts(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = [HOST, ".web.example.com", "127.0.0.1", "[::1]"]
    settings.ALLOWED_ORIGIN_REGEXES = []


@pytest.mark.parametrize("origin", ["https://chat.example.com", "http://chat.example.com"])
def test_same_origin_page_may_connect(origin: str) -> None:
    check_origin(scope(origin=origin))


def test_client_without_an_origin_may_connect() -> None:
    check_origin(scope())


def test_allowed_origin_may_connect(settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = ["https://web.example.com"]
    check_origin(scope(origin="https://web.example.com"))


def test_star_allows_every_origin(settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = ["*"]
    check_origin(scope(origin="https://evil.example"))


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://web.example.com.evil.example",
        "http://web.example.com",
        "https://web.example.com:8443",
        "https://chat.example.com:8443",
        "https://chat.example.com.evil.example",
        "null",
        "",
        "chat.example.com",
        "https://[",
        "https://\xff",
    ],
)
def test_other_origin_is_refused(origin: str, settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = ["https://web.example.com"]
    with pytest.raises(Forbidden):
        check_origin(scope(origin=origin))


def test_no_page_is_same_origin_without_a_host() -> None:
    nowhere = scope(origin="null")
    nowhere["headers"] = [pair for pair in nowhere["headers"] if pair[0] != b"host"]
    with pytest.raises(Forbidden):
        check_origin(nowhere)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "chat.example.com.evil.example", "192.0.2.1", "", "a b"],
)
@pytest.mark.parametrize("prefix", [None, "http://", "https://"])
def test_dns_rebinding_page_is_refused(host: str, prefix: str | None) -> None:
    page = scope(host=host) if prefix is None else scope(host=host, origin=f"{prefix}{host}")
    with pytest.raises(Forbidden, match="ALLOWED_HOSTS"):
        check_origin(page)


@pytest.mark.parametrize("host", ["[::1]:8000", "a.web.example.com", "CHAT.example.com:8443"])
def test_page_of_any_allowed_host_may_connect(host: str) -> None:
    check_origin(scope(host=host, origin=f"http://{host}"))


@pytest.fixture
def with_debug(settings: Settings) -> None:
    """Sets the origins that DEBUG allows."""
    settings.ALLOWED_ORIGIN_REGEXES = LOOPBACK_ORIGINS


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:5173", "http://127.0.0.1:8000", "https://127.1.2.3", "http://[::1]:3000"],
)
def test_localhost_page_may_connect_with_debug(origin: str, with_debug: None) -> None:
    check_origin(scope(host="127.0.0.1:8000", origin=origin))


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost.evil.example",
        "http://localhost:5173.evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil.example:5173",
        "http://notlocalhost:5173",
        "ftp://localhost",
        "http://localhost:5173/path",
        "http://user@localhost",
    ],
)
def test_page_that_resembles_localhost_is_refused(origin: str, with_debug: None) -> None:
    with pytest.raises(Forbidden, match="ALLOWED_ORIGINS"):
        check_origin(scope(host="127.0.0.1:8000", origin=origin))


def test_localhost_page_is_refused_in_production() -> None:
    with pytest.raises(Forbidden):
        check_origin(scope(host="127.0.0.1:8000", origin="http://localhost:5173"))
