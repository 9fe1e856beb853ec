"""Request ids: whose id a request carries."""

import httpx
import pytest
from django.test import override_settings

from config.observability.request_ids import choose_id
from tests.servers import Server

TEXT = "said in confidence"


def scope(*ids: str) -> dict[str, object]:
    return {"headers": [(b"x-request-id", one.encode("latin-1")) for one in ids]}


@pytest.mark.parametrize("offered", ["0123456789abcdef", "trace-1.of_proxy", "a" * 64])
def test_id_of_a_trusted_proxy_is_used(offered: str) -> None:
    with override_settings(CHAT_TRUSTED_PROXIES=1):
        assert choose_id(scope(offered)) == offered


@pytest.mark.parametrize(
    "offered", ["short", "a" * 65, "with space in it", "line\nbreak-in-it", "quote-\"'<in it", ""]
)
def test_unsafe_id_is_replaced(offered: str) -> None:
    with override_settings(CHAT_TRUSTED_PROXIES=1):
        assert choose_id(scope(offered)) not in ("", offered)


def test_two_ids_are_replaced() -> None:
    with override_settings(CHAT_TRUSTED_PROXIES=1):
        assert choose_id(scope("0123456789", "abcdefghij")) not in ("0123456789", "abcdefghij")


def test_client_id_without_a_proxy_is_replaced(server: Server) -> None:
    answers = [
        httpx.get(
            f"{server.http}/healthz", headers={"X-Request-ID": "0123456789abcdef"}, verify=False
        )
        for _ in range(2)
    ]
    first, second = (answer.headers["X-Request-ID"] for answer in answers)
    assert len(first) == len(second) == 32
    assert first != second
