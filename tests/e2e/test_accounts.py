"""Accounts over REST: registration, login, sessions, profile (contract §2)."""

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.clients import PASSWORD, Frame, fresh, rest, signed_in_again
from tests.conftest import Register
from tests.servers import Server

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture
async def anyone(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """A REST client without a token."""
    async with rest(server.http) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Returns status and code of an error, and checks the shape of all errors."""
    body = answer.json()
    members = {"code", "detail"} | ({"errors"} if answer.status_code == 422 else set())
    assert body.keys() == members, answer.text
    assert body["detail"]
    for error in body.get("errors", ()):
        assert error.keys() == {"loc", "msg", "type"}
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    return answer.status_code, body["code"]


async def registered(api: httpx.AsyncClient, **body: Any) -> Frame:
    answer = await api.post("/register", json={"password": PASSWORD} | body)
    assert answer.status_code == 201, answer.text
    account: Frame = answer.json()
    return account


# Registration


async def test_registration_returns_tokens(anyone: httpx.AsyncClient) -> None:
    name = fresh("Ila.P_+-")
    account = await registered(anyone, username=name, email=f"{fresh('ila')}@Example.com")
    assert account.keys() == {"id", "username", "email", "access", "refresh"}
    assert account["username"] == name
    answer = await anyone.get("/users/me", headers=bearer(account["access"]))
    assert answer.json() == {
        "id": account["id"],
        "username": name,
        "email": account["email"],
        "display_name": "",
        "share_receipts": True,
        "quiet_hours": None,
    }
    answer = await anyone.post("/token/verify", json={"token": account["access"]})
    assert (answer.status_code, answer.json()) == (200, {})


async def test_username_is_derived_from_the_local_part_of_the_email(
    anyone: httpx.AsyncClient,
) -> None:
    local = fresh("Kaushal.K")
    first = await registered(anyone, email=f"{local}@example.com")
    assert (first["username"], first["email"]) == (local, f"{local}@example.com")
    # The same local part at another host is another user with another name.
    second = await registered(anyone, email=f"{local}@example.org")
    assert second["username"] != first["username"]
    assert second["username"].startswith(local)
    assert "@" not in second["username"]
    # Characters that a name may not contain are left out.
    odd = fresh("o'neill")
    third = await registered(anyone, email=f"{odd}@example.com")
    assert third["username"] == odd.replace("'", "")


async def test_registration_requires_a_username_or_an_email(anyone: httpx.AsyncClient) -> None:
    for body in ({}, {"email": ""}, {"username": None, "email": None}):
        answer = await anyone.post("/register", json={"password": PASSWORD} | body)
        assert refusal(answer) == (422, "invalid")


async def test_repeated_password_must_match(anyone: httpx.AsyncClient) -> None:
    name = fresh("twice")
    body = {"username": name, "password": PASSWORD, "password2": "password124"}
    answer = await anyone.post("/register", json=body)
    assert refusal(answer) == (422, "invalid")
    assert [error["loc"] for error in answer.json()["errors"]] == [["password2"]]
    await registered(anyone, username=name, password2=PASSWORD)


@pytest.mark.parametrize(
    "username",
    [
        "",
        "has space",
        "with@sign",
        "slash/ed",
        "_.+-",
        "x" * 65,
        "nul\x00",
        "zero\u200bwidth",
        "emoji\U0001f600",
        7,
        ["ila"],
    ],
)
async def test_invalid_username_is_rejected(anyone: httpx.AsyncClient, username: object) -> None:
    answer = await anyone.post("/register", json={"username": username, "password": PASSWORD})
    assert refusal(answer) == (422, "invalid")


@pytest.mark.parametrize("email", ["nonsense", "a@", "@b.example", "a b@c.example", "a@b@c.d"])
async def test_invalid_email_is_rejected(anyone: httpx.AsyncClient, email: str) -> None:
    body = {"username": fresh("mail"), "email": email, "password": PASSWORD}
    assert refusal(await anyone.post("/register", json=body)) == (422, "invalid")


@pytest.mark.parametrize("password", ["short", "83749274", "", "x" * 1025])
async def test_weak_password_is_rejected(anyone: httpx.AsyncClient, password: str) -> None:
    body = {"username": fresh("poor"), "password": password}
    assert refusal(await anyone.post("/register", json=body)) == (422, "invalid")


async def test_password_similar_to_the_name_is_rejected(anyone: httpx.AsyncClient) -> None:
    name = fresh("similarity")
    answer = await anyone.post("/register", json={"username": name, "password": f"{name}1"})
    assert refusal(answer) == (422, "invalid")


async def test_username_is_unique_ignoring_case_and_form(anyone: httpx.AsyncClient) -> None:
    name = fresh("Weißﬁlm")
    account = await registered(anyone, username=name)
    assert account["username"] == name
    for same in (
        name,
        name.lower(),
        name.upper(),
        name.casefold(),
        name.replace("ﬁ", "fi"),
        name.replace("W", "\uff37"),
    ):
        answer = await anyone.post("/register", json={"username": same, "password": PASSWORD})
        assert refusal(answer) == (409, "username_taken"), same


async def test_email_is_unique_ignoring_case(anyone: httpx.AsyncClient) -> None:
    email = f"{fresh('taken')}@example.com"
    await registered(anyone, email=email)
    for body in ({"email": email.upper()}, {"email": email, "username": fresh("other")}):
        answer = await anyone.post("/register", json={"password": PASSWORD} | body)
        assert refusal(answer) == (409, "email_taken")


async def test_concurrent_registrations_of_a_name_have_one_winner(
    anyone: httpx.AsyncClient,
) -> None:
    name = fresh("wanted")
    answers = await asyncio.gather(
        *(
            anyone.post("/register", json={"username": spelling, "password": PASSWORD})
            for spelling in 4 * [name, name.upper()]
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] + 7 * [409]
    local = fresh("local")
    answers = await asyncio.gather(
        *(
            anyone.post("/register", json={"email": f"{local}@{n}.com", "password": PASSWORD})
            for n in "abcd"
        )
    )
    assert [answer.status_code for answer in answers] == 4 * [201]
    assert len({answer.json()["username"] for answer in answers}) == 4


# Login


async def test_login_accepts_username_and_email_in_any_case(anyone: httpx.AsyncClient) -> None:
    name, email = fresh("Login"), f"{fresh('Login')}@example.com"
    account = await registered(anyone, username=name, email=email)
    for who in (
        {"username": name},
        {"username": name.upper()},
        {"email": email},
        {"email": email.upper()},
        {"username": email},
    ):
        answer = await anyone.post("/login", json=who | {"password": PASSWORD})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body.keys() == {"access", "refresh", "user"}
        assert body["user"] == {"id": account["id"], "username": name, "email": email}
        me = await anyone.get("/users/me", headers=bearer(body["access"]))
        assert me.json()["id"] == account["id"]


async def test_failed_login_reveals_nothing_about_the_account(anyone: httpx.AsyncClient) -> None:
    name = fresh("login")
    await registered(anyone, username=name, email=f"{name}@example.com")
    answers = [
        await anyone.post("/login", json=who | {"password": password})
        for who, password in (
            ({"username": name}, "not this one"),
            ({"email": f"{name}@example.com"}, "not this one"),
            ({"username": fresh("unknown")}, PASSWORD),
            ({"email": f"{fresh('unknown')}@example.com"}, PASSWORD),
        )
    ]
    assert [refusal(answer) for answer in answers] == 4 * [(401, "invalid_credentials")]
    assert len({answer.text for answer in answers}) == 1
    assert refusal(await anyone.post("/login", json={"password": PASSWORD})) == (422, "invalid")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "not_authenticated"),
        ("Basic aWxhOnBhc3N3b3Jk", "not_authenticated"),
        ("Bearer", "token_invalid"),
        ("Bearer nonsense", "token_invalid"),
        ("Bearer a.b.c", "token_invalid"),
    ],
)
async def test_every_operation_requires_a_valid_token(
    anyone: httpx.AsyncClient, header: str, code: str
) -> None:
    for method, path in (
        ("GET", "/users"),
        ("GET", "/users/me"),
        ("GET", "/sessions"),
        ("GET", "/rooms"),
        ("GET", "/my-rooms"),
        ("GET", "/messages"),
        ("POST", "/rooms"),
        ("POST", "/messages"),
        ("GET", "/rooms/999999999/messages"),
        ("POST", "/private/unknown"),
    ):
        answer = await anyone.request(method, path, headers={"Authorization": header})
        assert refusal(answer) == (401, code), path


async def test_token_with_changed_claims_is_invalid(
    person: Register, anyone: httpx.AsyncClient
) -> None:
    ila, kaushal = await person(), await person()
    mine, theirs = ila.access.split("."), kaushal.access.split(".")
    forged = ".".join([mine[0], theirs[1], mine[2]])
    unsigned = ".".join(["eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0", theirs[1], ""])
    for token in (forged, unsigned):
        answer = await anyone.get("/users/me", headers=bearer(token))
        assert refusal(answer) == (401, "token_invalid")
        answer = await anyone.post("/token/verify", json={"token": token})
        assert refusal(answer) == (401, "token_invalid")


# Refreshing


async def test_concurrent_refreshes_of_a_token_get_one_successor(
    person: Register, anyone: httpx.AsyncClient
) -> None:
    ila = await person()
    answers = await asyncio.gather(
        *(anyone.post("/token/refresh", json={"refresh": ila.refresh}) for _ in range(10))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].json().keys() == {"access", "refresh"}
    assert len({answer.text for answer in answers}) == 1
    successor = answers[0].json()
    assert successor["refresh"] != ila.refresh
    assert successor["access"] != ila.access
    # A repeat within the grace, as after a lost answer.
    again = await anyone.post("/token/refresh", json={"refresh": ila.refresh})
    assert again.json() == successor
    me = await anyone.get("/users/me", headers=bearer(successor["access"]))
    assert me.json()["id"] == ila.id


async def test_each_used_refresh_token_returns_its_own_successor_for_a_while(
    person: Register, anyone: httpx.AsyncClient
) -> None:
    ila = await person()
    async with signed_in_again(ila) as phone:
        pairs = [{"access": phone.access, "refresh": phone.refresh}]
        for _ in range(3):
            answer = await anyone.post("/token/refresh", json={"refresh": pairs[-1]["refresh"]})
            pairs.append(answer.json())
        for spent, successor in pairwise(pairs):
            answer = await anyone.post("/token/refresh", json={"refresh": spent["refresh"]})
            assert answer.json() == successor
            me = await anyone.get("/users/me", headers=bearer(successor["access"]))
            assert me.json()["id"] == ila.id


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "ünïcode"])
async def test_malformed_tokens_do_not_refresh_or_verify(
    anyone: httpx.AsyncClient, token: str
) -> None:
    answer = await anyone.post("/token/refresh", json={"refresh": token})
    assert refusal(answer) == (401, "token_invalid")
    answer = await anyone.post("/token/verify", json={"token": token})
    assert refusal(answer) == (401, "token_invalid")
    answer = await anyone.post("/logout", json={"refresh": token})
    assert refusal(answer) == (401, "token_invalid")


# Sessions


async def test_sessions_lists_own_open_sessions(person: Register) -> None:
    ila, kaushal = await person(), await person()
    async with signed_in_again(ila) as phone:
        sessions = (await phone.get("/sessions")).json()
        assert len(sessions) == 2
        for session in sessions:
            assert session.keys() == {
                "id",
                "created_at",
                "last_used_at",
                "user_agent",
                "ip",
                "current",
            }
            assert TIMESTAMP.fullmatch(session["created_at"])
            assert TIMESTAMP.fullmatch(session["last_used_at"])
            assert session["ip"] == "127.0.0.1"
            assert session["user_agent"].startswith("python-httpx/")
        assert [session["current"] for session in sessions] == [True, False]
        assert sessions[0]["id"] not in [
            one["id"] for one in (await kaushal.get("/sessions")).json()
        ]
        assert (await ila.delete(f"/sessions/{sessions[0]['id']}")).status_code == 204
        assert refusal(await phone.get("/sessions")) == (401, "session_ended")
        left = (await ila.get("/sessions")).json()
        assert [(one["id"], one["current"]) for one in left] == [(sessions[1]["id"], True)]


async def test_logout_requires_a_token_and_works_once(
    person: Register, anyone: httpx.AsyncClient
) -> None:
    ila, kaushal = await person(), await person()
    assert refusal(await anyone.post("/logout")) == (401, "not_authenticated")
    assert refusal(await anyone.post("/logout", json={})) == (401, "not_authenticated")
    answer = await ila.post("/logout", {"refresh": kaushal.refresh})
    assert refusal(answer) == (403, "forbidden")
    assert (await kaushal.get("/users/me")).status_code == 200
    answer = await anyone.post("/logout", headers=bearer(ila.access))
    assert (answer.status_code, answer.content) == (204, b"")
    assert refusal(await ila.post("/logout")) == (401, "session_ended")
    answer = await anyone.post("/logout", json={"refresh": ila.refresh})
    assert refusal(answer) == (401, "session_ended")
    answer = await anyone.post("/logout", json={"refresh": kaushal.refresh})
    assert answer.status_code == 204
    assert refusal(await kaushal.get("/users/me")) == (401, "session_ended")


# Profile, password, search


async def test_display_name_changes_freely_and_email_with_the_password(
    person: Register, anyone: httpx.AsyncClient
) -> None:
    ila, kaushal = await person(), await person()
    answer = await ila.patch("/users/me", {"display_name": "  Ila P.  "})
    assert answer.status_code == 200
    assert answer.json() == {
        "id": ila.id,
        "username": ila.username,
        "email": "",
        "display_name": "Ila P.",
        "share_receipts": True,
        "quiet_hours": None,
    }
    email = f"{fresh('Ila')}@example.com"
    assert refusal(await ila.patch("/users/me", {"email": email})) == (422, "invalid")
    answer = await ila.patch("/users/me", {"email": email, "password": "not this one"})
    assert refusal(answer) == (403, "wrong_password")
    answer = await ila.patch("/users/me", {"email": email, "password": PASSWORD})
    assert (answer.status_code, answer.json()["email"]) == (200, email)
    assert (await ila.get("/users/me")).json() == answer.json()
    answer = await anyone.post("/login", json={"email": email, "password": PASSWORD})
    assert answer.json()["user"]["id"] == ila.id
    answer = await kaushal.patch("/users/me", {"email": email.lower(), "password": PASSWORD})
    assert refusal(answer) == (409, "email_taken")
    for body in ({"username": "other"}, {"id": 1}, {"is_staff": True}, {"display_name": "x" * 101}):
        assert refusal(await ila.patch("/users/me", body)) == (422, "invalid")


async def test_new_password_replaces_the_old_one(
    person: Register, anyone: httpx.AsyncClient
) -> None:
    ila = await person()

    async def login(password: str) -> int:
        body = {"username": ila.username, "password": password}
        return (await anyone.post("/login", json=body)).status_code

    body = {"old_password": PASSWORD, "new_password": "short"}
    assert refusal(await ila.post("/users/me/password", body)) == (422, "invalid")
    body = {"old_password": "not this one", "new_password": "a longer sentence"}
    assert refusal(await ila.post("/users/me/password", body)) == (403, "wrong_password")
    assert await login(PASSWORD) == 200
    body["old_password"] = PASSWORD
    answer = await ila.post("/users/me/password", body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert await login(PASSWORD) == 401
    assert await login("a longer sentence") == 200


async def test_users_are_found_by_prefix_of_username_or_display_name(
    person: Register,
) -> None:
    stem = fresh("Søk")
    ila, kaushal, guest = await person(f"{stem}a"), await person(f"{stem}b"), await person()
    await guest.patch("/users/me", {"display_name": f"{stem} by display name"})

    async def found(text: str, **params: Any) -> list[Frame]:
        answer = await ila.get("/users", q=text, **params)
        assert answer.status_code == 200, answer.text
        people: list[Frame] = answer.json()
        return people

    for text in (stem, stem.upper(), stem.lower()):
        names = {one["username"] for one in await found(text)}
        assert {ila.username, kaushal.username} <= names
    assert await found(f"{stem}A") == [{"id": ila.id, "username": ila.username, "display_name": ""}]
    assert guest.id in [one["id"] for one in await found(stem)]
    assert await found(fresh("unknown")) == []
    assert len(await found("", limit=2)) == 2
    answer = await ila.get("/users", q="x" * 201)
    assert refusal(answer) == (422, "invalid")


# Errors and paths


async def test_unknown_paths_methods_and_broken_bodies_share_one_error_shape(
    person: Register, anyone: httpx.AsyncClient
) -> None:
    ila = await person()
    for path in ("/nothing", "/nothing/at/all/", "/users/me/nothing"):
        assert refusal(await anyone.get(path)) == (404, "not_found")
    assert refusal(await anyone.put("/rooms")) == (405, "method_not_allowed")
    for content in (b"", b"{", b"nonsense", b'{"name": NaN}', b"\xff\xfe", b'"' + b"[" * 5000):
        answer = await ila.http.post("/rooms", content=content)
        status, code = refusal(answer)
        assert status in (400, 422), content
        assert (status == 400) == (code == "bad_json")
    assert refusal(await anyone.get("/users")) == (401, "not_authenticated")
    # Authentication is checked first.
    assert refusal(await anyone.post("/rooms", content=b"{")) == (401, "not_authenticated")


def filled(path: str) -> str:
    """Fills the placeholders of a path of the OpenAPI document."""
    return re.sub(r"\{(\w+)\}", lambda hole: "1" if hole[1].endswith("_id") else "x", path)


async def test_trailing_slash_is_served_on_every_path(
    person: Register, anyone: httpx.AsyncClient, server: Server
) -> None:
    described = (await anyone.get("/openapi.json")).json()["paths"]
    tried = 0
    for path, operations in described.items():
        for method in operations:
            url = f"{server.http}{filled(path)}"
            plain = await anyone.request(method, url)
            slashed = await anyone.request(method, f"{url}/")
            assert plain.status_code in (400, 401, 422), f"{method} {path}: {plain.text}"
            assert (slashed.status_code, slashed.text) == (plain.status_code, plain.text)
            tried += 1
    assert tried > 30

    ila = await person()
    for path in ("/users/", "/users/me/", "/rooms/", "/my-rooms/", "/messages/", "/sessions/"):
        assert (await ila.get(path)).status_code == 200
    made = await ila.post("/rooms/", {"name": fresh("slashed")})
    assert made.status_code == 201
    assert (await ila.get(f"/rooms/{made.json()['id']}/")).json() == made.json()
    for path in ("/healthz", "/healthz/", "/readyz", "/readyz/"):
        assert (await anyone.get(f"{server.http}{path}")).status_code == 200
