"""The doctor: each planted fault is found, and said in a sentence that holds no secret."""

import io
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from pytest_django import Settings
from redis import Redis
from typing_extensions import override

from config.doctor import database, installation, sockets, web
from config.doctor import redis as redis_doctor
from config.doctor.clock import compare
from config.doctor.echo import HEADER, signature
from config.doctor.echo import installation as installation_of_doctor
from config.doctor.finding import Check, Finding, Level, examine, ok
from tests.redis_server import RedisServer, redis_running
from tests.servers import ROOT, environment, free_port, manage, serving

PUBLIC = "https://chat.example.com"
KEY = "a-key-for-the-doctor-that-is-as-long-as-django-wants-it"


@pytest.fixture
def production(settings: Settings) -> Settings:
    settings.DEBUG = False
    settings.SECRET_KEY = KEY
    settings.ALLOWED_HOSTS = ["chat.example.com"]
    settings.SECURE_HSTS_SECONDS = 3600
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
    return settings


def only(findings: Iterable[Finding]) -> Finding:
    (finding,) = list(findings)
    assert finding.sentence.endswith(".") or "migrate" in finding.sentence
    return finding


def worst(findings: Iterable[Finding]) -> Finding:
    """The first that is not ok."""
    return next(one for one in findings if one.level is not Level.OK)


# How checks are run


def test_a_check_that_fails_ends_no_other_and_shows_no_traceback() -> None:
    def breaks() -> Iterator[Finding]:
        yield ok("So far.")
        raise RuntimeError("postgres://user:hunter2@host")

    told = list(examine([Check("a", breaks), Check("b", lambda: [ok("Fine.")])], 5))
    assert [finding.level for _, finding in told] == [Level.OK, Level.WRONG, Level.OK]
    assert "RuntimeError" in told[1][1].sentence
    assert "hunter2" not in told[1][1].sentence


def test_a_check_that_hangs_is_given_up() -> None:
    never = threading.Event()

    def hangs() -> Iterator[Finding]:
        never.wait(30)
        yield ok("Late.")

    (told,) = examine([Check("slow", hangs)], 0.05)
    never.set()
    assert told == ("slow", Finding(Level.WRONG, "This check had no answer within 0.05 s."))


# Settings


def test_a_good_installation_is_called_good(production: Settings) -> None:
    assert only(installation.look_at_settings(PUBLIC)).level is Level.OK


def test_debug_with_a_public_url_is_wrong(settings: Settings) -> None:
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = ["chat.example.com"]
    found = only(installation.look_at_settings(PUBLIC))
    assert (found.level, "Set DEBUG=0" in found.sentence) == (Level.WRONG, True)


def test_debug_at_home_is_fine(settings: Settings) -> None:
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    assert only(installation.look_at_settings("http://127.0.0.1:8000")).level is Level.OK


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALLOWED_HOSTS", ["*"], "ALLOWED_HOSTS is *"),
        ("ALLOWED_HOSTS", ["www.example.com"], "ALLOWED_HOSTS does not name chat.example.com"),
        ("ALLOWED_ORIGINS", ["*"], "ALLOWED_ORIGINS is *"),
        ("SESSION_COOKIE_SECURE", False, "security.W012"),
    ],
)
def test_a_setting_that_is_a_mistake_is_named(
    production: Settings, name: str, value: object, said: str
) -> None:
    setattr(production, name, value)
    assert said in only(installation.look_at_settings(PUBLIC)).sentence


def test_a_public_url_without_tls_is_doubtful(production: Settings) -> None:
    assert "Use https" in only(installation.look_at_settings("http://chat.example.com")).sentence


def test_several_workers_need_redis(production: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    production.REDIS_URLS = []
    assert "Set REDIS_URL" in only(installation.look_at_settings(PUBLIC)).sentence
    production.REDIS_URLS = ["redis://localhost"]
    assert only(installation.look_at_settings(PUBLIC)).level is Level.OK


def test_missing_static_files_are_noticed(settings: Settings) -> None:
    assert only(installation.look_at_static_files()).level is Level.OK
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    assert "Static files are missing" in only(installation.look_at_static_files()).sentence


# Database


@pytest.mark.django_db(transaction=True)
def test_an_sqlite_that_does_not_sync_is_wrong() -> None:
    assert only(database.look_at_database()).level is Level.OK
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=OFF")
        found = worst(database._sqlite(cursor, 1.0))
    connection.close()
    assert "does not sync" in found.sentence


@pytest.mark.django_db(transaction=True)
def test_an_sqlite_without_wal_is_wrong(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "plain.sqlite3") as plain:
        found = worst(database._sqlite(plain.cursor(), 1.0))
    plain.close()
    assert "not WAL" in found.sentence


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("server_version_num", "130014", "too old"),
        ("fsync", "off", "fsync=off"),
        ("synchronous_commit", "off", "synchronous_commit=off"),
        ("full_page_writes", "off", "full_page_writes=off"),
        ("max_connections", "10", "raise max_connections"),
        ("ssl", False, "not encrypted"),
    ],
)
def test_a_postgres_that_may_lose_messages_is_wrong(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, said: str
) -> None:
    values: dict[str, object] = {
        "server_version": "18.1",
        "server_version_num": "180001",
        "max_connections": "100",
        "superuser_reserved_connections": "3",
        "ssl": True,
    }
    entry = {"HOST": "db.example.com", "OPTIONS": {"pool": {"max_size": 16}}}
    monkeypatch.setattr(database, "settings", SimpleNamespace(DATABASES={"default": entry}))

    def answer(cursor: object, statement: str) -> object:
        asked = statement.split()[1]
        return (values | {name: value}).get(asked, "on")

    monkeypatch.setattr(database, "_value", answer)
    assert said in worst(database._postgres(None, 1.0)).sentence


# Redis


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_running() as running:
        yield running


def use(settings: Settings, *urls: str) -> None:
    settings.REDIS_URLS = list(urls)
    settings.CHANNEL_LAYERS = {
        f"doctor-{number}": {
            "BACKEND": "realtime.cluster.redis_layer.RedisLayer",
            "CONFIG": {"hosts": [{"address": url}], "prefix": "doctor"},
        }
        for number, url in enumerate(urls)
    }


def test_a_redis_that_answers_is_fine_and_carries_hints(
    settings: Settings, redis: RedisServer
) -> None:
    use(settings, redis.url)
    assert only(redis_doctor.look_at_redis()).level is Level.OK
    hint = only(redis_doctor.look_at_hints())
    assert "A hint crosses" in hint.sentence or "A hint takes" in hint.sentence
    assert only(redis_doctor.look_at_redis_clocks()).level is Level.OK


def test_a_redis_that_is_away_is_wrong_and_its_password_stays_secret(settings: Settings) -> None:
    use(settings, f"redis://user:hunter2@127.0.0.1:{free_port()}/0")
    for look in (
        redis_doctor.look_at_redis,
        redis_doctor.look_at_hints,
        redis_doctor.look_at_redis_clocks,
    ):
        found = only(look())
        assert found.level is Level.WRONG
        assert "does not answer" in found.sentence
        assert "hunter2" not in found.sentence


def test_a_redis_that_wants_a_password_is_wrong(settings: Settings, redis: RedisServer) -> None:
    with Redis(port=redis.port) as client:
        client.config_set("requirepass", "hunter2")
        try:
            use(settings, redis.url)
            assert "wrong user or password" in only(redis_doctor.look_at_redis()).sentence
        finally:
            client.config_set("requirepass", "")


def test_a_redis_that_passes_nothing_on_is_wrong(
    settings: Settings, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_doctor, "HINT_TIMEOUT", 0.7)
    with Redis(port=redis.port) as client:
        client.execute_command("ACL", "SETUSER", "default", "-@pubsub")
        try:
            use(settings, redis.url)
            assert "did not come back" in only(redis_doctor.look_at_hints()).sentence
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+@pubsub")


def test_clocks_that_differ_are_told() -> None:
    now = time.time()
    assert compare("PostgreSQL", now, now + 0.5).level is Level.OK
    assert compare("PostgreSQL", now, now + 3).level is Level.WARNING
    assert "3.0 s ahead of that of PostgreSQL" in compare("PostgreSQL", now, now + 3).sentence
    assert compare("PostgreSQL", now, now - 200).level is Level.WRONG
    assert "behind" in compare("PostgreSQL", now, now - 200).sentence


# Through the public URL


class Proxy(ThreadingHTTPServer):
    """One that answers everything in the same wrong way."""

    status = 200
    body = b""
    kind = "text/html"


class _Answers(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_GET  # noqa: N815 - http.server names it

    @override
    def log_message(self, *args: Any) -> None:
        """Nothing on the terminal."""


@contextmanager
def proxy(status: int, body: bytes = b"") -> Iterator[str]:
    with Proxy(("127.0.0.1", 0), _Answers) as server:
        server.status, server.body = status, body
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(5)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "ALLOWED_HOSTS"),
        (404, "something else"),
        (502, "reaches no server"),
        (503, "reaches no server"),
        (301, "in place of the chat"),
        (522, "in place of the chat"),
    ],
)
def test_what_answers_in_place_of_the_server_is_told(status: int, said: str) -> None:
    with proxy(status) as url:
        assert said in only(web.look_at_health(url)).sentence


def test_a_state_that_is_less_than_good_is_told() -> None:
    with proxy(200, b'{"status": "degraded", "database": "ok"}') as url:
        assert "degraded" in only(web.look_at_health(url)).sentence


def test_a_proxy_that_knows_no_websockets_is_wrong() -> None:
    with proxy(200) as url:
        found = only(sockets.look_at_upgrade(url))
        assert "answered with HTTP 200" in found.sentence
        assert "Upgrade" in found.sentence
        assert "no WebSocket opens" in only(sockets.look_at_origins(url)).sentence


def test_a_proxy_that_keeps_static_files_to_itself_is_wrong() -> None:
    with proxy(404) as url:
        assert "Static files are not served" in only(web.look_at_pages(url)).sentence


def test_a_body_without_a_limit_is_doubtful() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "client_max_body_size" in only(web.look_at_bodies(url)).sentence
    with proxy(413) as url:
        assert only(web.look_at_bodies(url)).level is Level.OK
    with proxy(200) as url:
        assert "expect 413" in only(web.look_at_bodies(url)).sentence


def test_a_url_where_nobody_is_is_wrong_for_every_check() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    looks = (web.look_at_health, web.look_at_proxy, web.look_at_processes, web.look_at_bodies)
    for look in (*looks, web.look_at_pages, sockets.look_at_upgrade, sockets.look_at_origins):
        assert only(look(url)).level is Level.WRONG


def test_a_server_with_another_key_is_told() -> None:
    with proxy(404) as url:
        assert "another SECRET_KEY" in only(web.look_at_proxy(url)).sentence


def saw(**changes: object) -> dict[str, object]:
    """What a server behind one proxy sees when all is well."""
    good = {"scheme": "https", "address": "198.51.100.7", "forwarded": 1, "trusted": 1}
    own = {
        "process": "a",
        "installation": installation_of_doctor(),
        "debug": False,
        "time": time.time(),
    }
    return good | own | changes


@pytest.mark.parametrize(
    ("plain", "claimed", "said"),
    [
        ({"trusted": 0}, {"trusted": 0, "forwarded": 2}, "Set CHAT_TRUSTED_PROXIES=1"),
        ({"trusted": 2}, {"trusted": 2, "address": web.CLAIMED}, "can choose the address"),
        ({"trusted": 1, "forwarded": 3}, {}, "but 3 proxies"),
        ({"trusted": 0, "forwarded": 0}, {"trusted": 0}, "No proxy adds"),
        ({"scheme": "http"}, {"scheme": "http"}, "takes requests by https for http"),
        ({}, {"scheme": "http"}, "overwrite X-Forwarded-Proto"),
        ({"installation": "other"}, {}, "another DATABASE_URL or REDIS_URL"),
        ({"debug": True}, {}, "Set DEBUG=0 there"),
        ({"time": 0.0}, {}, "clock"),
    ],
)
def test_what_a_proxy_does_wrong_is_told(
    production: Settings,
    monkeypatch: pytest.MonkeyPatch,
    plain: dict[str, object],
    claimed: dict[str, object],
    said: str,
) -> None:
    monkeypatch.setattr(web, "hear", lambda url, **claims: saw(**(claimed if claims else plain)))
    assert said in worst(web.look_at_proxy(PUBLIC)).sentence


def test_a_good_proxy_is_called_good(production: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "hear", lambda url, **claims: saw())
    assert [one.level for one in web.look_at_proxy(PUBLIC)] == [Level.OK, Level.OK]


def test_several_processes_without_redis_are_noticed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter("abababab")
    monkeypatch.setattr(web, "hear", lambda url: {"process": next(names)})
    settings.REDIS_URLS = []
    assert "At least 2 server processes" in only(web.look_at_processes(PUBLIC)).sentence


@pytest.mark.parametrize(
    ("own", "foreign", "allowed", "said"),
    [
        ((4403, "forbidden"), (4403, "forbidden"), [], "hand on Host"),
        ((4401, "token_invalid"), (4401, "token_invalid"), [], "hides Origin"),
        ((4401, "token_invalid"), (4401, "token_invalid"), ["*"], "ALLOWED_ORIGINS is *"),
    ],
)
def test_a_wrong_origin_policy_is_told(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    own: tuple[int, str],
    foreign: tuple[int, str],
    allowed: list[str],
    said: str,
) -> None:
    settings.ALLOWED_ORIGINS = allowed
    monkeypatch.setattr(
        sockets, "refusal", lambda url, origin: foreign if origin == sockets.STRANGER else own
    )
    assert said in only(sockets.look_at_origins(PUBLIC)).sentence


def test_a_refusal_that_was_cut_short_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "refusal", lambda url: (1006, ""))
    assert "close code 1006" in only(sockets.look_at_upgrade(PUBLIC)).sentence


# The echo


def test_the_echo_speaks_to_the_doctor_alone() -> None:
    client = Client()
    assert client.get("/doctor").status_code == 404
    assert client.get("/doctor", headers={HEADER: "made:up:signature"}).status_code == 404
    told = client.get("/doctor", headers={HEADER: signature(), "X-Forwarded-For": "a, b"}).json()
    assert (told["scheme"], told["forwarded"]) == ("http", 2)


# The whole


def test_a_url_that_is_none_is_refused_with_a_sentence() -> None:
    for text in ("chat.example.com", "ftp://a", "https://", "https://[", "https://a/path"):
        with pytest.raises(CommandError, match="must look like"):
            call_command("doctor", url=text, stdout=io.StringIO())


def test_a_healthy_server_is_called_healthy(tmp_path: Path) -> None:
    """No proxy in front, so nothing but the limit of bodies is missing."""
    with serving("daphne", tmp_path) as server:
        told = manage(server.environment, "doctor", "--url", server.http)
    lines = told.splitlines()
    assert lines[-1].startswith("Wrong: 0, ")
    names = {line[9:].split("  ")[0] for line in lines[:-2]}
    assert {"settings", "database", "migrations", "websocket", "origin", "proxy"} <= names


def test_an_installation_in_ruins_is_told_line_by_line(tmp_path: Path) -> None:
    nobody = free_port()
    ruins = {
        "DATABASE_URL": f"postgres://chat:hunter2@127.0.0.1:{nobody}/chat",
        "REDIS_URL": f"redis://:hunter2@127.0.0.1:{nobody}/0",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--url", f"http://127.0.0.1:{nobody}"],
        cwd=ROOT,
        env=environment(tmp_path, **ruins),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "connection refused" in done.stdout
    assert "hunter2" not in done.stdout
    assert "Traceback" not in done.stdout
    assert "wrong    migrations" in done.stdout
