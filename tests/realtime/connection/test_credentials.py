"""Finds a socket's token and network."""

from typing import Any

import pytest
from pytest_django import Settings

from realtime.connection.credentials import (
    chosen_subprotocol,
    network,
    offered_token,
    query,
)
from tests.realtime.connection.scopes import scope

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
def test_token_is_found_in_each_place(where: dict[str, Any], token: str | None) -> None:
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
def test_first_present_place_decides_even_with_a_bad_token(
    where: dict[str, Any], token: str
) -> None:
    assert offered_token(scope(**where)) == token


def test_chosen_subprotocol_is_bearer_and_never_the_token() -> None:
    assert chosen_subprotocol(scope(subprotocols=["b", "bearer"])) == "bearer"
    assert chosen_subprotocol(scope(subprotocols=["chat"])) is None
    assert chosen_subprotocol(scope()) is None


def test_query_parameter_may_be_empty_or_missing() -> None:
    assert query(scope("since="), "since") == ""
    assert query(scope("since=4&since=5"), "since") == "4"
    assert query(scope("token=c"), "since") is None


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
def test_only_addresses_from_trusted_proxies_count(
    settings: Settings, proxies: int, forwarded: str, expected: str | None
) -> None:
    settings.CHAT_TRUSTED_PROXIES = proxies
    assert network(scope(x_forwarded_for=forwarded)) == expected


def test_peer_without_an_address_has_no_network() -> None:
    assert network(scope() | {"client": None}) is None
