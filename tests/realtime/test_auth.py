"""Where a socket's token is found, and which pages may connect."""

from typing import Any

import pytest
from pytest_django import Settings

from accounts.kernel.errors import Forbidden
from config.settings import LOOPBACK_ORIGINS
from realtime.connection.credentials import (
    check_origin,
    chosen_subprotocol,
    network,
    offered_token,
    query,
)

HOST = "chat.example.com"


@pytest.fixture(autouse=True)
def our_hosts(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = [HOST, ".web.example.com", "127.0.0.1", "[::1]"]
    settings.ALLOWED_ORIGIN_REGEXES = []


def scope(query: str = "", subprotocols: list[str] | None = None, **headers: str) -> dict[str, Any]:
    pairs = {"host": HOST} | headers
    return {
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in pairs.items()
        ],
        "query_string": query.encode(),
        "subprotocols": subprotocols or [],
        "client": ("192.0.2.1", 50000),
    }


# Tokens


@pytest.mark.parametrize(
    ("where", "token"),
    [
        ({"authorization": "Bearer a"}, "a"),
        ({"authorization": "bearer  a "}, "a"),
        ({"subprotocols": ["bearer", "b"]}, "b"),
        ({"subprotocols": ["b", "bearer"]}, "b"),
        ({"query": "since=5&token=c"}, "c"),
        ({"query": "token=c%2Ed"}, "c.d"),
        ({"query": "token=c&token=d"}, "c"),
        ({}, None),
        ({"subprotocols": ["bearer"]}, None),
        ({"subprotocols": ["chat"]}, None),
        ({"query": "tokens=c"}, None),
    ],
)
def test_a_token_is_found_where_it_was_put(where: dict[str, Any], token: str | None) -> None:
    assert offered_token(scope(**where)) == token


@pytest.mark.parametrize(
    ("where", "token"),
    [
        ({"authorization": "Bearer a", "subprotocols": ["bearer", "b"], "query": "token=c"}, "a"),
        ({"subprotocols": ["bearer", "b"], "query": "token=c"}, "b"),
        ({"authorization": "Bearer", "subprotocols": ["bearer", "b"]}, ""),
        ({"subprotocols": ["bearer", ""], "query": "token=c"}, ""),
        ({"query": "token="}, ""),
        ({"query": "token=c" + "&a=b" * 50}, ""),
        ({"authorization": "Bearer \xff"}, "\xff"),
    ],
)
def test_the_first_present_decides_even_when_it_is_no_good(
    where: dict[str, Any], token: str
) -> None:
    assert offered_token(scope(**where)) == token


def test_the_server_picks_bearer_and_never_the_token() -> None:
    assert chosen_subprotocol(scope(subprotocols=["b", "bearer"])) == "bearer"
    assert chosen_subprotocol(scope(subprotocols=["chat"])) is None
    assert chosen_subprotocol(scope()) is None


def test_a_query_parameter_may_be_empty_or_missing() -> None:
    assert query(scope("since="), "since") == ""
    assert query(scope("since=4&since=5"), "since") == "4"
    assert query(scope("token=c"), "since") is None


# Origins


@pytest.mark.parametrize("origin", ["https://chat.example.com", "http://chat.example.com"])
def test_a_page_of_this_host_may_connect(origin: str) -> None:
    check_origin(scope(origin=origin))


def test_one_without_an_origin_may_connect() -> None:
    check_origin(scope())


def test_an_allowed_page_may_connect(settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = ["https://web.example.com"]
    check_origin(scope(origin="https://web.example.com"))


def test_a_star_allows_every_page(settings: Settings) -> None:
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
def test_a_page_from_elsewhere_is_refused(origin: str, settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = ["https://web.example.com"]
    with pytest.raises(Forbidden):
        check_origin(scope(origin=origin))


def test_without_a_host_no_page_is_of_this_host() -> None:
    nowhere = scope(origin="null")
    nowhere["headers"] = [pair for pair in nowhere["headers"] if pair[0] != b"host"]
    with pytest.raises(Forbidden):
        check_origin(nowhere)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "chat.example.com.evil.example", "192.0.2.1", "", "a b"],
)
@pytest.mark.parametrize("prefix", [None, "http://", "https://"])
def test_a_page_whose_name_was_made_to_resolve_to_us_is_refused(
    host: str, prefix: str | None
) -> None:
    page = scope(host=host) if prefix is None else scope(host=host, origin=f"{prefix}{host}")
    with pytest.raises(Forbidden, match="ALLOWED_HOSTS"):
        check_origin(page)


@pytest.mark.parametrize("host", ["[::1]:8000", "a.web.example.com", "CHAT.example.com:8443"])
def test_a_page_of_any_allowed_host_may_connect(host: str) -> None:
    check_origin(scope(host=host, origin=f"http://{host}"))


@pytest.fixture
def developing(settings: Settings) -> None:
    """What the settings have with DEBUG on."""
    settings.ALLOWED_ORIGIN_REGEXES = LOOPBACK_ORIGINS


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:5173", "http://127.0.0.1:8000", "https://127.1.2.3", "http://[::1]:3000"],
)
def test_a_page_of_this_machine_may_connect_while_developing(origin: str, developing: None) -> None:
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
def test_a_page_that_only_looks_like_this_machine_is_refused(origin: str, developing: None) -> None:
    with pytest.raises(Forbidden, match="ALLOWED_ORIGINS"):
        check_origin(scope(host="127.0.0.1:8000", origin=origin))


def test_a_page_of_this_machine_is_refused_in_production() -> None:
    with pytest.raises(Forbidden):
        check_origin(scope(host="127.0.0.1:8000", origin="http://localhost:5173"))


# Addresses


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9", "203.0.113.9"),
        (1, "", "192.0.2.1"),
        (1, "2001:DB8::1", "2001:db8::/64"),
        (1, "unknown", None),
    ],
)
def test_only_what_our_proxies_wrote_is_believed(
    settings: Settings, proxies: int, forwarded: str, expected: str | None
) -> None:
    settings.CHAT_TRUSTED_PROXIES = proxies
    assert network(scope(x_forwarded_for=forwarded)) == expected


def test_a_peer_without_an_address_has_none() -> None:
    assert network(scope() | {"client": None}) is None
