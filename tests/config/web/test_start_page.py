"""The start page, and the two users of its button."""

import json
import sys
from types import ModuleType

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.auth import authenticate
from accounts.kernel.rate_limits import parse_rate
from config import VERSION
from config.urls import urlpatterns
from config.web.csp import POLICY
from config.web.urls import pages
from rooms.models import Member, Room


@pytest.fixture
def browser(settings: Settings) -> Client:
    """A browser at a server with DEBUG, whose addresses are chosen at the start."""
    settings.DEBUG = True
    urls = ModuleType("urls_with_debug")
    urls.urlpatterns = [*pages(), *urlpatterns]  # type: ignore[attr-defined]
    sys.modules[urls.__name__] = urls
    settings.ROOT_URLCONF = urls.__name__
    return Client(enforce_csrf_checks=True, headers={"accept": "text/html"})


def press(browser: Client) -> dict[str, object]:
    """Presses the button; returns the new chat."""
    browser.get("/")
    answer = browser.post("/demo", headers={"x-csrftoken": browser.cookies["csrftoken"].value})
    assert answer.status_code == 201, answer.content
    chat: dict[str, object] = answer.json()
    return chat


def test_start_page_is_answered_without_the_database(browser: Client) -> None:
    """Without the `django_db` mark a query raises an error."""
    answer = browser.get("/")
    assert answer.status_code == 200
    text = answer.content.decode()
    assert VERSION in text
    assert "SQLite" in text
    for link in (
        "/api/sockets",
        "/api/docs",
        "/api/asyncapi.json",
        "/docs/websocket.md",
        "/admin/",
        "/healthz",
        "/readyz",
    ):
        assert f'href="{link}"' in text, link


def test_start_page_has_the_policy_and_stays_out_of_caches(browser: Client) -> None:
    answer = browser.get("/")
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.django_db
@pytest.mark.usefixtures("cheap_passwords", "unlimited")
def test_button_creates_two_users_and_their_group(browser: Client) -> None:
    chat = press(browser)
    users, room = chat["users"], chat["room"]
    assert isinstance(users, list)
    assert isinstance(room, dict)
    assert [set(user) for user in users] == [{"username", "password", "access", "refresh"}] * 2
    callers = [authenticate(user["access"]) for user in users]
    assert [caller.username for caller in callers] == [user["username"] for user in users]
    assert set(room) == {"kind", "id", "name"}
    assert room["kind"] == "group"
    members = Member.objects.filter(room_id=room["id"]).values_list("user_id", flat=True)
    assert set(members) == {caller.user_id for caller in callers}


@pytest.mark.django_db
@pytest.mark.usefixtures("cheap_passwords", "unlimited")
def test_second_click_makes_other_names(browser: Client) -> None:
    first, second = json.dumps(press(browser)["room"]), json.dumps(press(browser)["room"])
    assert first != second
    assert Room.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.usefixtures("cheap_passwords", "unlimited")
def test_button_is_limited_like_registrations(browser: Client, settings: Settings) -> None:
    settings.CHAT_REGISTER_RATE = parse_rate("1/h")
    browser.get("/")
    token = {"x-csrftoken": browser.cookies["csrftoken"].value}
    answer = browser.post("/demo", headers=token, REMOTE_ADDR="192.0.2.17")
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert answer.headers["Retry-After"]
    assert not Room.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-csrftoken": "x" * 32},
        {"x-csrftoken": "theirs", "origin": "https://evil.example"},
        {"x-csrftoken": "theirs", "origin": "null"},
    ],
)
def test_post_of_another_page_is_refused(browser: Client, headers: dict[str, str]) -> None:
    browser.get("/")
    if headers.get("x-csrftoken") == "theirs":
        headers = headers | {"x-csrftoken": browser.cookies["csrftoken"].value}
    answer = browser.post("/demo", headers=headers)
    assert answer.status_code == 403
    assert not Room.objects.exists()


def test_opening_the_address_of_the_button_creates_nothing(browser: Client) -> None:
    assert browser.get("/demo").status_code == 405
