"""Secure defaults of a server with DEBUG off."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from config.settings import page_origins
from tests.servers import free_port

from .stack import HOST, Container, Stack

ELSEWHERE = "https://elsewhere.example.com"
BY_HTTPS = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}


@pytest.fixture
def page(stack: Stack) -> httpx.Response:
    """The admin's login page, as the proxy requests it."""
    return httpx.get(f"{stack.containers[0].http}/admin/login/", headers=BY_HTTPS, verify=False)


@pytest.fixture(scope="module")
def unproxied(stack: Stack) -> Iterator[Container]:
    """A server that trusts no proxy."""
    one = stack.containers[0]
    variables = one.variables | {"CHAT_TRUSTED_PROXIES": "0"}
    alone = replace(one, variables=variables, address="127.0.0.4", port=free_port(), process=None)
    alone.start()
    yield alone
    alone.stop()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Strict-Transport-Security", "max-age=3600"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ],
)
def test_page_has_the_security_header(page: httpx.Response, name: str, value: str) -> None:
    assert page.headers[name] == value


def test_cookies_are_https_only(page: httpx.Response) -> None:
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("csrftoken=")
    assert "; Secure" in cookie
    assert "; SameSite=Lax" in cookie


def test_session_cookie_is_http_only() -> None:
    from django.conf import settings

    assert settings.SESSION_COOKIE_HTTPONLY


def test_only_a_trusted_proxy_may_claim_https(unproxied: Container) -> None:
    answer = httpx.get(f"{unproxied.http}/admin/login/", headers=BY_HTTPS, verify=False)
    assert answer.status_code == 200
    assert "Strict-Transport-Security" not in answer.headers


def submit(container: Container, origin: str, **headers: str) -> int:
    """Posts the admin's login form from `origin`: 200 means "wrong password"."""
    with httpx.Client(
        base_url=container.http, headers={"Host": HOST} | headers, verify=False
    ) as client:
        cookie = client.get("/admin/login/").headers["Set-Cookie"]
        token = cookie.partition("=")[2].partition(";")[0]
        form = {"username": "x", "password": "y", "csrfmiddlewaretoken": token}
        given = {"Cookie": f"csrftoken={token}", "Origin": origin, "Referer": f"{origin}/admin/"}
        return client.post("/admin/login/", data=form, headers=given).status_code


def test_admin_accepts_forms_of_its_own_pages(stack: Stack, unproxied: Container) -> None:
    behind = stack.containers[0]
    assert submit(behind, f"https://{HOST}", **{"X-Forwarded-Proto": "https"}) == 200
    # The proxy does TLS, but sends no header about it.
    assert submit(unproxied, f"https://{HOST}") == 200


def test_admin_rejects_forms_of_other_origins(stack: Stack) -> None:
    assert submit(stack.containers[0], ELSEWHERE, **{"X-Forwarded-Proto": "https"}) == 403


def test_trusted_origins_follow_allowed_hosts() -> None:
    assert page_origins(["a.example", ".b.example", "*"]) == [
        "https://a.example",
        "https://b.example",
        "https://*.b.example",
    ]


def test_unknown_host_name_is_rejected(stack: Stack) -> None:
    answer = httpx.get(
        f"{stack.containers[0].http}/healthz", headers={"Host": "evil.example"}, verify=False
    )
    assert answer.status_code == 400


def test_error_page_reveals_no_internals(stack: Stack) -> None:
    answer = httpx.get(f"{stack.containers[0].http}/nothing/here", headers=BY_HTTPS, verify=False)
    assert answer.status_code == 404
    assert "urlconf" not in answer.text.lower()
    assert "DEBUG" not in answer.text


def test_other_origins_may_not_use_the_api(stack: Stack) -> None:
    asks = {"Origin": ELSEWHERE, "Access-Control-Request-Method": "GET", "Host": HOST}
    answer = httpx.request(
        "OPTIONS", f"{stack.containers[0].http}/api/rooms", headers=asks, timeout=10, verify=False
    )
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_common_password_is_rejected(stack: Stack) -> None:
    account = {"username": "somebody", "password": "password123"}
    url = f"{stack.containers[0].http}/api/register"
    assert httpx.post(url, json=account, headers={"Host": HOST}, verify=False).status_code == 422
