"""Browser pages: Swagger UI, OpenAPI, admin, health, CORS, plain errors."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.clients import PASSWORD, Person, Socket, fresh, opened, register, rest
from tests.conftest import Register
from tests.servers import Server, serving

HOME = "https://app.example"
ELSEWHERE = "https://evil.example"
ASSET = re.compile(r"""<(?:link|script|img)\b[^>]*?\b(?:href|src)=["']([^"']+)["']""")
CHROMIUM = shutil.which("chromium")
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def hosted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that allows pages of another origin."""
    folder = tmp_path_factory.mktemp(f"hosted-{request.param}")
    with serving(request.param, folder, ALLOWED_ORIGINS=HOME) as server:
        yield server


def get(server: Server, path: str, **headers: str) -> httpx.Response:
    return httpx.get(server.http + path, headers=headers, timeout=20, verify=False)


def check_assets(server: Server, page: str) -> None:
    """Expects every link of a page to be ours and to exist."""
    answer = get(server, page)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assets = ASSET.findall(answer.text)
    assert {asset.rpartition(".")[2] for asset in assets} >= {"css"}
    for asset in assets:
        assert not re.match(r"(https?:)?//", asset), f"{asset} is not ours"
        if asset.startswith("data:"):
            continue
        found = httpx.get(urljoin(server.http + page, asset), timeout=20, verify=False)
        assert found.status_code == 200, asset
        kind = "text/css" if asset.endswith(".css") else "javascript"
        if asset.endswith((".css", ".js")):
            assert kind in found.headers["Content-Type"], asset
            assert len(found.content) > 100, asset


def test_swagger_ui_uses_our_own_assets(server: Server) -> None:
    for page in ("/api/docs", "/api/docs/"):
        check_assets(server, page)
    text = get(server, "/api/docs").text
    assert "swagger-ui-bundle.js" in text
    assert "/api/openapi.json" in text
    assert not re.search(r"""["'(]\s*(https?:)?//(?!www\.w3\.org)""", text)


def test_admin_is_served_with_its_styles(server: Server) -> None:
    check_assets(server, "/admin/login/")


def test_pages_run_only_our_own_scripts(server: Server) -> None:
    for page in ("/api/docs", "/api/docs/", "/admin/login/"):
        policy = get(server, page).headers["Content-Security-Policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules["default-src"] == rules["base-uri"] == "'none'"
        assert rules["script-src"] == rules["style-src"] == "'self'"
        assert "unsafe" not in policy


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH")
@pytest.mark.parametrize(
    ("page", "shows"), [("/api/docs", 'class="opblock '), ("/admin/login/", 'id="login-form"')]
)
def test_browser_shows_the_page_without_blocked_resources(
    uvicorn: Server, tmp_path: Path, page: str, shows: str
) -> None:
    assert CHROMIUM is not None
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr")
    waits = ("--virtual-time-budget=10000", f"--user-data-dir={tmp_path}", "--dump-dom")
    done = subprocess.run(
        [CHROMIUM, *options, *waits, uvicorn.http + page],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert shows in done.stdout
    assert "Content Security Policy" not in done.stderr


async def test_responses_with_tokens_or_personal_data_are_not_cached(
    server: Server, person: Register
) -> None:
    ila = await person()
    account = {"username": fresh("kept"), "password": PASSWORD}
    for method, path, body in (
        ("POST", "/register", account),
        ("POST", "/login", account),
        ("GET", "/users/me", None),
        ("GET", "/my-rooms/", None),
        ("GET", "/rooms/999999", None),
    ):
        answer = await ila.http.request(method, path, json=body)
        assert answer.headers["Cache-Control"] == "no-store", path
    assert "no-store" in get(server, "/admin/login/").headers["Cache-Control"]
    for path in ("/api/openapi.json", "/api/docs", "/static/ninja/swagger-ui.css"):
        assert "no-store" not in get(server, path).headers.get("Cache-Control", ""), path


def test_missing_static_file_answers_404(server: Server) -> None:
    for path in ("/static/nothing.css", "/static/", "/static/../config/settings.py"):
        assert get(server, path).status_code == 404, path


def test_admin_without_its_slash_redirects(server: Server) -> None:
    answer = get(server, "/admin")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
    # Only this path: a redirect would lose the body of a POST to the API.
    assert get(server, "/admin/login").status_code == 302
    assert get(server, "/api/rooms/").status_code == 401


@pytest.mark.parametrize("path", ["/ws/chat/general/", "/ws/chat/group/x", "/ws/nothing", "/ws"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_plain_http_at_a_socket_url_answers_upgrade_required(
    server: Server, method: str, path: str
) -> None:
    answer = httpx.request(method, server.http + path, timeout=20, verify=False)
    assert answer.status_code == 426
    assert answer.headers["Upgrade"] == "websocket"
    assert answer.headers["Connection"].lower() == "upgrade"
    assert answer.json()["code"] == "upgrade_required"
    assert "ws://" in answer.json()["detail"]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in METHODS:
                yield method, path, operation


def body_schema(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the JSON schema of a request body with resolved references."""
    body = operation.get("requestBody")
    # The form of an upload has no example: Swagger UI lets the user choose a file.
    if body is None or "application/json" not in body["content"]:
        return None
    content: dict[str, Any] = body["content"]["application/json"]
    schema: dict[str, Any] = content["schema"]
    for option in [schema, *schema.get("anyOf", [])]:
        if "$ref" in option:
            found: dict[str, Any] = document["components"]["schemas"][
                option["$ref"].rpartition("/")[2]
            ]
            return found
    return schema


TAGS = ("Accounts", "Rooms", "Messages", "Files", "Push")


def test_every_operation_declares_its_answers_and_a_body_example(server: Server) -> None:
    document = get(server, "/api/openapi.json").json()
    open_to_all = {"/api/register", "/api/login", "/api/token/refresh", "/api/token/verify"}
    seen = 0
    for method, path, operation in operations(document):
        where, declared = f"{method} {path}", set(operation["responses"])
        seen += 1
        assert operation["tags"][0] in TAGS, where
        assert operation.get("summary"), where
        assert operation.get("description"), where
        assert declared & {"200", "201", "204"}, where
        assert "503" in declared, where
        if path not in open_to_all:
            assert "401" in declared, where
        if operation.get("parameters"):
            assert "422" in declared, where
        if "{room_id}" in path:
            assert "404" in declared, where
        schema = body_schema(document, operation)
        if schema is not None:
            assert {"400", "422"} <= declared, where
            assert schema.get("example") or schema.get("examples"), where
            # A browser makes the body of a subscription: a later one may add members.
            if path != "/api/push/subscriptions":
                assert schema["additionalProperties"] is False, where
        for status, answer in operation["responses"].items():
            if status >= "400":
                shape = answer["content"]["application/json"]["schema"]
                assert shape == {"$ref": "#/components/schemas/ErrorOut"}, where
    assert seen >= 35
    assert document["components"]["securitySchemes"]
    for url in ("/ws/chat/", "/ws/chat/group/", "/ws/private/", "docs/websocket.md"):
        assert url in document["info"]["description"]


def test_health_and_readiness_need_no_token(server: Server) -> None:
    for path in ("/healthz", "/healthz/", "/readyz", "/readyz/"):
        answer = get(server, path)
        assert (answer.status_code, answer.json()["status"]) == (200, "ok"), path
    ready = get(server, "/readyz").json()
    assert ready["database"] == "ok"
    assert ready["channel_layer"] == "in-process"


@pytest.mark.parametrize(
    "path", ["/api/nothing", "/api/nothing/", "/api/rooms/1/nothing", "/api/", "/api/rooms//1"]
)
def test_unknown_api_path_answers_404_in_json(server: Server, path: str) -> None:
    answer = get(server, path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("application/json")
    assert set(answer.json()) == {"code", "detail"}
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/rooms"),
        ("GET", "/api/login/"),
        ("PUT", "/api/messages"),
        ("TRACE", "/api/users"),
    ],
)
def test_unsupported_method_answers_405_in_json(server: Server, method: str, path: str) -> None:
    answer = httpx.request(method, server.http + path, timeout=20, verify=False)
    assert answer.status_code == 405
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.headers.get("Allow")


async def test_allowed_origin_may_call_the_api_and_read_paging_headers(
    hosted: Server,
) -> None:
    ila = await register(hosted.http, hosted.ws)
    async with rest(hosted.http, ila.access) as client:
        answer = await client.get("/rooms", headers={"Origin": HOME})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] in (HOME, "*")
        exposed = answer.headers["Access-Control-Expose-Headers"].lower()
        assert {"link", "retry-after", "x-request-id"} <= {
            name.strip() for name in exposed.split(",")
        }
        preflight = await client.options(
            "/rooms",
            headers={
                "Origin": HOME,
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "authorization, content-type",
            },
        )
        assert preflight.status_code == 200
        assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
        allowed = preflight.headers["Access-Control-Allow-Headers"].lower()
        assert "authorization" in allowed
        # The page can read errors too, so that it can show them.
        answer = await client.get("/rooms/999999", headers={"Origin": HOME})
        assert answer.status_code == 404
        assert "Access-Control-Allow-Origin" in answer.headers
        answer = await client.get("/rooms", headers={"Origin": ELSEWHERE})
        assert "Access-Control-Allow-Origin" not in answer.headers
    await ila.http.aclose()


def from_page(person: Person, origin: str | None) -> Socket:
    headers = {"Authorization": f"Bearer {person.access}"}
    if origin is not None:
        headers["Origin"] = origin
    return Socket(f"{person.ws}/ws/chat/{fresh('page')}/", headers=headers)


async def test_sockets_of_foreign_origins_are_rejected(
    hosted: Server,
) -> None:
    ila = await register(hosted.http, hosted.ws)
    async with opened(*(from_page(ila, origin) for origin in (None, HOME, hosted.http))):
        pass
    # Daphne itself answers an invalid origin such as `//`: no browser sends one.
    for origin in (ELSEWHERE, "null", f"{HOME}.evil.example", "http://localhost.evil:1", "file://"):
        async with from_page(ila, origin) as socket:
            assert await socket.refused() == (4403, "forbidden"), origin
    await ila.http.aclose()


async def test_without_allowed_origins_only_our_own_pages_may_open_sockets(
    server: Server,
) -> None:
    ila = await register(server.http, server.ws)
    async with opened(from_page(ila, server.http), from_page(ila, None)):
        pass
    async with from_page(ila, HOME) as socket:
        assert await socket.refused() == (4403, "forbidden")
    front_end = "http://localhost:5173"
    async with opened(from_page(ila, front_end)):  # DEBUG is on
        pass
    answer = get(server, "/api/openapi.json", Origin=front_end)
    assert answer.headers["Access-Control-Allow-Origin"] == front_end
    answer = get(server, "/api/openapi.json", Origin=HOME)
    assert "Access-Control-Allow-Origin" not in answer.headers
    await ila.http.aclose()


async def test_socket_with_a_foreign_host_is_rejected(server: Server) -> None:
    """As from a page whose host name was made to resolve to 127.0.0.1."""
    ila = await register(server.http, server.ws)
    host = f"evil.example:{server.port}"
    for origin in ({}, {"Origin": f"http://{host}"}):
        headers = {"Authorization": f"Bearer {ila.access}", "Host": host, **origin}
        async with Socket(f"{server.ws}/ws/chat/{fresh('page')}/", headers=headers) as socket:
            assert await socket.refused() == (4403, "forbidden")
    await ila.http.aclose()
