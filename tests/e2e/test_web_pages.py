"""The start page and error pages of real servers: by settings, and without a database."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from config.web.csp import POLICY
from tests.clients import register, rest
from tests.postgres_server import postgres_running
from tests.servers import Server, serving

HTML = {"Accept": "text/html,application/xhtml+xml"}
REFERENCE = re.compile(r"""\b(?:href|src|action|data-playground)="([^"]*)\"""")
INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|javascript:")
AT_ONCE = 2.0


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("production")
    with serving("uvicorn", folder, DEBUG="0", ALLOWED_HOSTS="127.0.0.1") as server:
        yield server


@pytest.fixture(scope="module")
def without_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving("daphne", tmp_path_factory.mktemp("without-pages"), CHAT_WEB="off") as server:
        yield server


def browser(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.http, headers=HTML, timeout=20, verify=False)


def press(client: httpx.Client) -> httpx.Response:
    client.get("/")
    return client.post("/demo", headers={"X-CSRFToken": client.cookies["csrftoken"]})


def test_start_page_refers_to_this_server_only(server: Server) -> None:
    with browser(server) as client:
        answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert not INLINE.search(answer.text)
    references = REFERENCE.findall(answer.text)
    assert len(references) > 10
    for reference in references:
        assert reference.startswith(("/", "#")), reference
        assert not reference.startswith("//"), reference


def test_modules_and_styles_of_pages_are_revalidated(server: Server) -> None:
    with browser(server) as client:
        for name in ("site.css", "start.js", "vendor/htm-preact-standalone.js", "icon.svg"):
            answer = client.get(f"/static/web/{name}")
            assert answer.status_code == 200, name
            assert answer.headers["Cache-Control"] == "public, no-cache", name
            known = {"If-None-Match": answer.headers["ETag"]}
            assert client.get(f"/static/web/{name}", headers=known).status_code == 304, name
        assert "javascript" in client.get("/static/web/start.js").headers["Content-Type"]


async def test_button_makes_users_who_can_talk(server: Server) -> None:
    with browser(server) as client:
        answer = press(client)
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    chat = answer.json()
    for user in chat["users"]:
        async with rest(server.http, user["access"]) as client_of_user:
            mine = (await client_of_user.get("/my-rooms")).json()
            assert [room["id"] for room in mine] == [chat["room"]["id"]]
        logs_in = {"username": user["username"], "password": user["password"]}
        async with rest(server.http) as anonymous:
            assert (await anonymous.post("/login", json=logs_in)).status_code == 200
        log = server.log.read_text()
        assert not [secret for secret in ("password", "access", "refresh") if user[secret] in log]


def test_post_without_csrf_token_is_refused_with_a_page(server: Server) -> None:
    with browser(server) as client:
        answer = client.post("/demo")
        assert (answer.status_code, "Error 403" in answer.text) == (403, True)
        client.get("/")
        token = {"X-CSRFToken": client.cookies["csrftoken"]}
        answer = client.post("/demo", headers=token | {"Origin": "https://evil.example"})
        assert answer.status_code == 403


def test_production_has_a_start_page_without_the_button(production: Server) -> None:
    with browser(production) as client:
        start = client.get("/")
        assert start.status_code == 200
        assert "<form" not in start.text
        assert "csrftoken" not in client.cookies
        answer = client.post("/demo")
        assert answer.status_code in (403, 404)
        assert client.get("/demo").status_code == 404
        # Also with a token, as from the admin's login.
        client.get("/admin/login/")
        token = {"X-CSRFToken": client.cookies["csrftoken"]}
        assert client.post("/demo", headers=token).status_code == 404


@pytest.mark.parametrize("path", ["/nothing", "/demo/", "/docs", "/admin/nothing/"])
def test_unknown_address_has_a_page(server: Server, path: str) -> None:
    with browser(server) as client:
        answer = client.get(path, follow_redirects=False)
        if path.startswith("/admin/"):  # it asks to sign in first
            assert answer.status_code == 302
            return
        assert answer.status_code == 404
        assert "Error 404" in answer.text
        assert answer.headers["X-Request-ID"] in answer.text
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        plain = client.get(path, headers={"Accept": "*/*"})
        assert plain.status_code == 404
        assert "Error 404" not in plain.text
        assert client.get("/api/nothing").json()["code"] == "not_found"


def test_foreign_host_gets_the_page_of_a_400(production: Server) -> None:
    with browser(production) as client:
        answer = client.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "Error 400" in answer.text
    assert "evil.example" not in answer.text


async def test_chat_web_off_removes_the_pages_alone(without_pages: Server) -> None:
    with browser(without_pages) as client:
        for path in ("/", "/api/sockets", "/static/web/site.css", "/static/web/start.js"):
            answer = client.get(path)
            assert answer.status_code == 404, path
            assert "skip-link" not in answer.text, path
        client.get("/admin/login/")
        token = {"X-CSRFToken": client.cookies["csrftoken"]}
        assert client.post("/demo", headers=token).status_code == 404
        for path in ("/api/docs", "/admin/login/", "/docs/websocket.md", "/healthz", "/readyz"):
            assert client.get(path).status_code == 200, path
    ila = await register(without_pages.http, without_pages.ws)
    assert (await ila.http.get("/users/me")).status_code == 200
    await ila.http.aclose()


def test_start_page_answers_at_once_while_the_database_is_away(tmp_path: Path) -> None:
    with (
        postgres_running() as postgres,
        serving("uvicorn", tmp_path, DATABASE_URL=postgres.new_database()) as server,
        browser(server) as client,
    ):
        assert "PostgreSQL" in client.get("/").text
        postgres.stop()
        began = time.monotonic()
        assert client.get("/").status_code == 200
        assert client.get("/nothing").status_code == 404
        assert time.monotonic() - began < AT_ONCE
        assert client.get("/readyz").json()["status"] == "unavailable"
        answer = press(client)
        assert (answer.status_code, answer.json()["code"]) == (503, "busy")
