"""API requests by the short middleware chain: same headers, no thread hops."""

import asyncio
import threading
from typing import Any

import httpx
import pytest
from django.conf import settings as configured
from django.core.asgi import get_asgi_application
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.module_loading import import_string
from pytest_django import Settings

from accounts.kernel.request_threads import KeptConnections, RequestThreads, call_or_refuse
from config.api_handler import ApiHandler, by_path, is_api
from config.middleware import OnLoop

HTTPS = {"Host": "localhost", "Origin": "https://app.example.com", "Accept-Encoding": "identity"}


async def answered(application: Any, path: str, method: str = "GET", **headers: str) -> Any:
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
        return await client.request(method, path, headers=HTTPS | headers)


@pytest.fixture(autouse=True)
def production(settings: Settings) -> None:
    settings.DEBUG = False
    settings.SECURE_HSTS_SECONDS = 3600
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/healthz/", 200),
        ("GET", "/doctor", 404),
        ("GET", "/api/openapi.json", 200),
        ("GET", "/api/docs", 200),
        ("GET", "/api/docs/", 200),
        ("GET", "/api/nowhere", 404),
        ("GET", "/api/users/me", 401),
        ("POST", "/api/messages", 401),
        ("DELETE", "/api/login", 405),
        ("OPTIONS", "/api/login", 405),
    ],
)
async def test_an_answer_is_the_same_as_by_the_whole_chain(
    method: str, path: str, status: int
) -> None:
    short = await answered(ApiHandler(), path, method)
    whole = await answered(get_asgi_application(), path, method)
    assert (short.status_code, short.content) == (status, whole.content)
    assert sorted(short.headers.multi_items()) == sorted(whole.headers.multi_items())
    assert short.headers["Strict-Transport-Security"] == "max-age=3600"
    assert short.headers["X-Content-Type-Options"] == "nosniff"
    assert short.headers["X-Frame-Options"] == "DENY"
    assert short.headers["Referrer-Policy"] == "same-origin"
    assert short.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert short.headers["Content-Length"] == str(len(short.content))


async def test_a_preflight_request_is_answered() -> None:
    asked = {"Access-Control-Request-Method": "POST"}
    answer = await answered(ApiHandler(), "/api/login", "OPTIONS", **asked)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"]


async def test_other_hosts_are_refused(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["chat.example.com"]
    answer = await answered(ApiHandler(), "/api/users/me", Host="elsewhere.example.com")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert (await answered(ApiHandler(), "/healthz", Host="x.example.com")).status_code == 400


def test_the_short_chain_is_that_of_pages_without_cookies_and_files() -> None:
    short = [import_string(path) for path in configured.API_MIDDLEWARE]
    assert all(one.async_capable for one in short)
    # Django's own classes under our names.
    plain = [
        one.__mro__[2] if isinstance(one, type) and OnLoop in one.__mro__ else one for one in short
    ]
    whole = [import_string(path) for path in configured.MIDDLEWARE]
    assert [one for one in whole if one in plain] == plain
    assert [one.__name__ for one in whole if one not in plain] == [
        "error_pages",  # only for answers outside the API
        "StaticFilesMiddleware",
        "SessionMiddleware",
        "CsrfViewMiddleware",
        "AuthenticationMiddleware",
        "MessageMiddleware",
    ]


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [
        ("/api/rooms", "", True),
        ("/api", "", False),
        ("/apis/x", "", False),
        ("/healthz/", "", True),
        ("/metrics", "", True),
        ("/admin/", "", False),
        ("/static/ninja/x.js", "", False),
        ("/chat/api/rooms", "/chat", True),
        ("/chat/admin/", "/chat", False),
    ],
)
async def test_the_path_chooses_the_chain(path: str, root: str, *, expected: bool) -> None:
    scope = {"type": "http", "path": path, "root_path": root}
    assert is_api(scope) is expected
    chosen = []

    def noting(name: str) -> Any:
        async def application(*_: Any) -> None:
            chosen.append(name)

        return application

    await by_path(noting("api"), noting("pages"))(scope, None, None)
    assert chosen == ["api" if expected else "pages"]


async def test_an_asynchronous_view_meets_no_other_thread(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a thread hop")

    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", refuse)
    assert (await answered(ApiHandler(), "/healthz")).status_code == 200


def ident(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"thread": threading.current_thread().name})


async def test_a_call_runs_on_a_kept_thread_and_may_fail() -> None:
    threads = RequestThreads()
    first = await threads.run(threading.get_ident)
    assert first != threading.get_ident()
    assert await threads.run(threading.get_ident) == first
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)


async def test_a_cancelled_call_counts_until_its_thread_is_free() -> None:
    threads, free = RequestThreads(), threading.Event()
    waiting = asyncio.ensure_future(threads.run(free.wait, 10))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.sleep(0.05)
    assert not waiting.done()
    free.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_connections_beyond_the_limit_and_broken_ones_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[BaseDatabaseWrapper] = []
    monkeypatch.setattr(DatabaseWrapper, "close", lambda one: closed.append(one))  # noqa: PLW0108 - a method
    kept = KeptConnections(1)
    kept.keep_or_close()
    kept.keep_or_close()
    assert not closed
    other = threading.Thread(target=kept.keep_or_close)
    other.start()
    other.join()
    assert len(closed) == 1
    monkeypatch.setattr(connection, "errors_occurred", True)
    kept.keep_or_close()
    assert len(closed) == 2


def test_a_database_error_becomes_the_refusal_of_clients() -> None:
    from accounts.kernel.errors import Busy

    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(Busy):
        call_or_refuse(fail, OperationalError("gone"))
    with pytest.raises(KeyError):
        call_or_refuse(fail, KeyError("a fault of ours"))
