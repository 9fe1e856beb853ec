"""Every REST operation counts against a rate, in the order of the contract."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts import login, services, tokens
from accounts.auth import Caller
from accounts.kernel import rate_limits
from accounts.kernel.errors import RateLimited, WrongPassword
from accounts.kernel.rate_limits import Rate
from accounts.models import Session, User
from config.api import api
from rooms.connecting import enter_public_room
from tests.factories import make_caller, make_room, make_session, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cheap_passwords")]

DOCUMENT = json.loads(json.dumps(api.get_openapi_schema(), default=str))
OPERATIONS = [
    (method.upper(), path)
    for path, operations in DOCUMENT["paths"].items()
    for method in operations
]
WITHOUT_RATE: set[tuple[str, str]] = set()
"""Operations that nothing limits, each with its reason. Health and docs are no operations."""
ADDRESS = "192.0.2.1"
FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ntext\r\n--x--\r\n'
"""The body of an upload."""
MISSING = {
    "username": "nobody",
    "room_name": "nowhere",
    "emoji": "%F0%9F%91%8D",
    "room_id": "999",
    "message_id": "999",
    "session_id": "999",
    "subscription_id": "999",
    "attachment_id": "999",
}
"""What the paths name: nothing that exists."""


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture(autouse=True)
def fresh_buckets() -> Iterator[None]:
    rate_limits.buckets.clear()
    yield
    rate_limits.buckets.clear()


@pytest.fixture
def caller() -> Caller:
    return make_caller()


def access_token(caller: Caller) -> str:
    return tokens.mint(Session.objects.get(pk=caller.session_id)).access


def described(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return DOCUMENT["components"]["schemas"][name] if name else schema


def body_of(method: str, path: str) -> Any:
    """The example of the document, None when the operation takes no body."""
    operation = DOCUMENT["paths"][path][method.lower()]
    if "requestBody" not in operation:
        return None
    if "application/json" not in operation["requestBody"]["content"]:
        return FORM
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    choices = [described(one) for one in schema.get("anyOf", [schema])]
    return next((one["example"] for one in choices if "example" in one), {})


def call(
    method: str, path: str, token: str | None, body: Any = None, address: str = ADDRESS
) -> Any:
    for name, value in MISSING.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path, path
    is_form = body is FORM
    content = FORM if is_form else b"" if body is None else json.dumps(body).encode()
    return Client().generic(
        method,
        path,
        data=content,
        content_type="multipart/form-data; boundary=x" if is_form else "application/json",
        headers={"Authorization": f"Bearer {token}"} if token else None,
        REMOTE_ADDR=address,
    )


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_is_refused_with_429_when_its_rate_is_used_up(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    monkeypatch.setattr(rate_limits.buckets, "consume", lambda action, key, rate: 7.2)
    answer = call(method, path, access_token(caller), body_of(method, path))
    if (method, path) in WITHOUT_RATE:
        assert answer.status_code != 429
        return
    # Before 404.
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert answer["Retry-After"] == "8"
    assert "429" in DOCUMENT["paths"][path][method.lower()]["responses"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/rooms?limit=0", 422), ("POST", "/api/rooms/999/read", 422)],
)
def test_a_misshapen_request_is_answered_before_its_rate_is_counted(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, method: str, path: str, status: int
) -> None:
    monkeypatch.setattr(rate_limits.buckets, "consume", lambda action, key, rate: 7.2)
    assert call(method, path, access_token(caller)).status_code == status
    assert call(method, path, None).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "setting"),
    [
        ("GET", "/api/users/me", "CHAT_READ_RATE"),
        ("PATCH", "/api/users/me", "CHAT_WRITE_RATE"),
        ("POST", "/api/rooms/{room_id}/join", "CHAT_JOIN_RATE"),
    ],
)
def test_a_user_who_calls_too_often_is_refused_and_others_are_not(
    caller: Caller, settings: Settings, method: str, path: str, setting: str
) -> None:
    setattr(settings, setting, Rate(1, 60, 2))
    token, other = access_token(caller), access_token(make_caller())
    body = {"display_name": "x"} if method == "PATCH" else None
    statuses = [call(method, path, token, body).status_code for _ in range(3)]
    assert statuses[0] == statuses[1] != statuses[2] == 429
    assert call(method, path, other, body).status_code == statuses[0]
    # Another device or address of the same user counts on.
    second = make_session(User.objects.get(pk=caller.user_id))
    token = tokens.mint(second).access
    assert call(method, path, token, body, "192.0.2.2").status_code == 429


def test_refreshes_and_token_checks_count_by_address(caller: Caller, settings: Settings) -> None:
    settings.CHAT_REFRESH_RATE = Rate(1, 60, 2)
    pair = tokens.mint(Session.objects.get(pk=caller.session_id))
    check, refresh = {"token": pair.access}, {"refresh": pair.refresh}
    assert call("POST", "/api/token/verify", None, check).status_code == 200
    assert call("POST", "/api/token/refresh", None, {"refresh": "x"}).status_code == 401
    assert call("POST", "/api/token/refresh", None, refresh).status_code == 429
    assert call("POST", "/api/logout", None, refresh).status_code == 429
    assert call("POST", "/api/token/refresh", None, refresh, "192.0.2.2").status_code == 200


def test_reads_are_counted_in_this_process_alone(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Reported(list[str]):
        def report(self, action: str, key: object, rate: Rate) -> None:
            self.append(action)

    reported = Reported()
    monkeypatch.setattr(rate_limits, "_cluster", lambda: reported)
    call("GET", "/api/users/me", access_token(caller))
    call("POST", "/api/rooms/{room_id}/leave", access_token(caller))
    assert reported == ["CHAT_JOIN_RATE"]


def test_a_password_is_guessed_no_oftener_by_a_change_than_by_a_login(settings: Settings) -> None:
    """From one address, whichever accounts its sessions are of."""
    settings.CHAT_LOGIN_RATE, settings.CHAT_LOGIN_NAME_RATE = Rate(2, 3600, 2), None
    people = [make_user(password="right") for _ in range(2)]

    def guess(user: User) -> None:
        services.change_password(
            user=user,
            session_id=make_session(user).pk,
            old_password="wrong",
            new_password="a sentence to remember",
            address=ADDRESS,
        )

    for user in people:
        with pytest.raises(WrongPassword):
            guess(user)
    with pytest.raises(RateLimited):
        guess(people[0])
    with pytest.raises(RateLimited):
        login.log_in(name="anybody", password="x", address=ADDRESS, user_agent="")
    with pytest.raises(RateLimited):
        services.change_profile(
            user=people[1],
            session_id=make_session(people[1]).pk,
            display_name=None,
            email="new@example.com",
            password="wrong",
            address=ADDRESS,
        )


def test_joining_by_connecting_counts_as_joining(settings: Settings) -> None:
    settings.CHAT_JOIN_RATE = Rate(1, 60, 1)
    user, first, second = make_user(), make_room(), make_room()
    enter_public_room(user_id=user.pk, name=first.name or "")
    with pytest.raises(RateLimited):
        enter_public_room(user_id=user.pk, name=second.name or "")
    # Coming back to a room costs nothing.
    enter_public_room(user_id=user.pk, name=first.name or "")
