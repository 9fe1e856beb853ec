"""The doctor reports each planted fault in a sentence without secrets."""

import io
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from redis import Redis
from typing_extensions import override

from config.doctor import database, followers, installation, sockets, web
from config.doctor import redis as redis_doctor
from config.doctor.clock import compare_clocks
from config.doctor.echo import HEADER, signature
from config.doctor.echo import installation as installation_of_doctor
from config.doctor.finding import Check, Finding, Level, ok, run_checks
from config.doctor.storage import check_storage
from messaging.follower.lease import Lease
from messaging.models import Message
from messaging.push.vapid import new_private_key
from tests.factories import make_caller, make_room, store_message
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
    """Returns the first finding that is not ok."""
    return next(one for one in findings if one.level is not Level.OK)


# How checks are run


def test_failing_check_stops_no_other_and_shows_no_traceback() -> None:
    def breaks() -> Iterator[Finding]:
        yield ok("So far.")
        raise RuntimeError("postgres://user:hunter2@host")

    findings = list(run_checks([Check("a", breaks), Check("b", lambda: [ok("Fine.")])], 5))
    assert [finding.level for _, finding in findings] == [Level.OK, Level.WRONG, Level.OK]
    assert "RuntimeError" in findings[1][1].sentence
    assert "hunter2" not in findings[1][1].sentence


def test_hanging_check_times_out() -> None:
    never = threading.Event()

    def hangs() -> Iterator[Finding]:
        never.wait(30)
        yield ok("Late.")

    (finding,) = run_checks([Check("slow", hangs)], 0.05)
    never.set()
    assert finding == ("slow", Finding(Level.WRONG, "This check had no answer within 0.05 s."))


# Settings


def test_good_settings_are_ok(production: Settings) -> None:
    assert only(installation.check_settings(PUBLIC)).level is Level.OK


def test_debug_with_a_public_url_is_wrong(settings: Settings) -> None:
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = ["chat.example.com"]
    found = only(installation.check_settings(PUBLIC))
    assert (found.level, "Set DEBUG=0" in found.sentence) == (Level.WRONG, True)


def test_debug_with_a_local_url_is_ok(settings: Settings) -> None:
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    assert only(installation.check_settings("http://127.0.0.1:8000")).level is Level.OK


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ALLOWED_HOSTS", ["*"], "ALLOWED_HOSTS is *"),
        ("ALLOWED_HOSTS", ["www.example.com"], "ALLOWED_HOSTS does not contain chat.example.com"),
        ("ALLOWED_ORIGINS", ["*"], "ALLOWED_ORIGINS is *"),
        ("SESSION_COOKIE_SECURE", False, "security.W012"),
    ],
)
def test_wrong_setting_is_reported(
    production: Settings, name: str, value: object, expected: str
) -> None:
    setattr(production, name, value)
    assert expected in only(installation.check_settings(PUBLIC)).sentence


def test_public_url_without_tls_is_a_warning(production: Settings) -> None:
    assert "Use https" in only(installation.check_settings("http://chat.example.com")).sentence


def test_workers_without_redis_are_a_warning(
    production: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    production.REDIS_URLS = []
    assert "Set REDIS_URL" in only(installation.check_settings(PUBLIC)).sentence
    production.REDIS_URLS = ["redis://localhost"]
    assert only(installation.check_settings(PUBLIC)).level is Level.OK


def test_missing_static_files_are_wrong(settings: Settings) -> None:
    assert only(installation.check_static_files()).level is Level.OK
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    assert "Static files are missing" in only(installation.check_static_files()).sentence


# Database


@pytest.mark.django_db(transaction=True)
def test_sqlite_without_sync_is_wrong() -> None:
    assert only(database.check_database()).level is Level.OK
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=OFF")
        found = worst(database._sqlite(cursor, 1.0))
    connection.close()
    assert "does not sync" in found.sentence


@pytest.mark.django_db(transaction=True)
def test_sqlite_without_wal_is_wrong(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "plain.sqlite3") as plain:
        found = worst(database._sqlite(plain.cursor(), 1.0))
    plain.close()
    assert "not WAL" in found.sentence


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("server_version_num", "130014", "too old"),
        ("fsync", "off", "fsync=off"),
        ("synchronous_commit", "off", "synchronous_commit=off"),
        ("full_page_writes", "off", "full_page_writes=off"),
        ("max_connections", "10", "raise max_connections"),
        ("ssl", False, "not encrypted"),
    ],
)
def test_unsafe_postgres_settings_are_reported(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, expected: str
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
    assert expected in worst(database._postgres(None, 1.0)).sentence


# Redis


def test_folder_that_takes_files_is_ok(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    assert [finding.level for finding in check_storage()] == [Level.OK]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_folder_that_cannot_be_written_is_wrong(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "media").write_text("a file")
    settings.MEDIA_ROOT = tmp_path / "media"
    (finding,) = check_storage()
    assert finding.level == Level.WRONG
    assert "is not writable" in finding.sentence


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


def test_redis_that_answers_and_broadcasts_is_ok(settings: Settings, redis: RedisServer) -> None:
    use(settings, redis.url)
    assert only(redis_doctor.check_redis()).level is Level.OK
    assert "A broadcast through" in only(redis_doctor.check_broadcast()).sentence
    assert only(redis_doctor.check_redis_clocks()).level is Level.OK


def test_unreachable_redis_is_wrong_and_its_password_stays_secret(settings: Settings) -> None:
    use(settings, f"redis://user:hunter2@127.0.0.1:{free_port()}/0")
    for check in (
        redis_doctor.check_redis,
        redis_doctor.check_broadcast,
        redis_doctor.check_redis_clocks,
    ):
        found = only(check())
        assert found.level is Level.WRONG
        assert "does not answer" in found.sentence
        assert "hunter2" not in found.sentence


def test_redis_with_another_password_is_wrong(settings: Settings, redis: RedisServer) -> None:
    with Redis(port=redis.port) as client:
        client.config_set("requirepass", "hunter2")
        try:
            use(settings, redis.url)
            assert "wrong user or password" in only(redis_doctor.check_redis()).sentence
        finally:
            client.config_set("requirepass", "")


def test_redis_without_pubsub_is_wrong(
    settings: Settings, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_doctor, "BROADCAST_TIMEOUT", 0.7)
    with Redis(port=redis.port) as client:
        client.execute_command("ACL", "SETUSER", "default", "-@pubsub")
        try:
            use(settings, redis.url)
            assert "did not arrive" in only(redis_doctor.check_broadcast()).sentence
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+@pubsub")


def test_clocks_that_differ_are_reported() -> None:
    now = time.time()
    assert compare_clocks("PostgreSQL", now, now + 0.5).level is Level.OK
    assert compare_clocks("PostgreSQL", now, now + 3).level is Level.WARNING
    assert (
        "3.0 s ahead of that of PostgreSQL" in compare_clocks("PostgreSQL", now, now + 3).sentence
    )
    assert compare_clocks("PostgreSQL", now, now - 200).level is Level.WRONG
    assert "behind" in compare_clocks("PostgreSQL", now, now - 200).sentence


# Through the public URL


class Proxy(ThreadingHTTPServer):
    """Gives the same wrong answer to every request."""

    status = 200
    body = b""
    kind = "text/html"


class _FixedAnswer(BaseHTTPRequestHandler):
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
    with Proxy(("127.0.0.1", 0), _FixedAnswer) as server:
        server.status, server.body = status, body
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(5)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "ALLOWED_HOSTS"),
        (404, "another program"),
        (502, "reaches no server"),
        (503, "reaches no server"),
        (301, "instead of the chat"),
        (522, "instead of the chat"),
    ],
)
def test_wrong_health_status_is_explained(status: int, expected: str) -> None:
    with proxy(status) as url:
        assert expected in only(web.check_health(url)).sentence


def test_degraded_server_is_reported() -> None:
    with proxy(200, b'{"status": "degraded", "database": "ok"}') as url:
        assert "degraded" in only(web.check_health(url)).sentence


def test_proxy_without_websockets_is_wrong() -> None:
    with proxy(200) as url:
        found = only(sockets.check_websocket(url))
        assert "answered with HTTP 200" in found.sentence
        assert "Upgrade" in found.sentence
        assert "no WebSocket opens" in only(sockets.check_origin(url)).sentence


def test_proxy_that_hides_static_files_is_wrong() -> None:
    with proxy(404) as url:
        assert "Static files are not served" in only(web.check_pages(url)).sentence


def test_unlimited_body_is_a_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "client_max_body_size" in only(web.check_bodies(url)).sentence
    with proxy(413) as url:
        assert only(web.check_bodies(url)).level is Level.OK
    with proxy(200) as url:
        assert "expect 413" in only(web.check_bodies(url)).sentence


def test_unreachable_url_is_wrong_for_every_check() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    checks = (web.check_health, web.check_proxy, web.check_processes, web.check_bodies)
    for check in (*checks, web.check_pages, sockets.check_websocket, sockets.check_origin):
        assert only(check(url)).level is Level.WRONG


def test_server_with_another_key_is_reported() -> None:
    with proxy(404) as url:
        assert "SECRET_KEY or version differs" in only(web.check_proxy(url)).sentence


def echo_of(**changes: object) -> dict[str, object]:
    """Returns what a server behind one well configured proxy sees."""
    good = {"scheme": "https", "address": "198.51.100.7", "forwarded": 1, "trusted": 1}
    own = {
        "process": "a",
        "installation": installation_of_doctor(),
        "debug": False,
        "time": time.time(),
    }
    return good | own | changes


@pytest.mark.parametrize(
    ("plain", "forged", "expected"),
    [
        ({"trusted": 0}, {"trusted": 0, "forwarded": 2}, "Set CHAT_TRUSTED_PROXIES=1"),
        ({"trusted": 2}, {"trusted": 2, "address": web.FORGED_ADDRESS}, "can choose the address"),
        ({"trusted": 1, "forwarded": 3}, {}, "but 3 proxies"),
        ({"trusted": 0, "forwarded": 0}, {"trusted": 0}, "X-Forwarded-For is missing"),
        ({"scheme": "http"}, {"scheme": "http"}, "takes https requests for http"),
        ({}, {"scheme": "http"}, "overwrite X-Forwarded-Proto"),
        ({"installation": "other"}, {}, "another DATABASE_URL or REDIS_URL"),
        ({"debug": True}, {}, "Set DEBUG=0 there"),
        ({"time": 0.0}, {}, "clock"),
    ],
)
def test_wrong_proxy_headers_are_reported(
    production: Settings,
    monkeypatch: pytest.MonkeyPatch,
    plain: dict[str, object],
    forged: dict[str, object],
    expected: str,
) -> None:
    monkeypatch.setattr(
        web, "request_echo", lambda url, **headers: echo_of(**(forged if headers else plain))
    )
    assert expected in worst(web.check_proxy(PUBLIC)).sentence


def test_good_proxy_headers_are_ok(production: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "request_echo", lambda url, **headers: echo_of())
    assert [one.level for one in web.check_proxy(PUBLIC)] == [Level.OK, Level.OK]


def test_processes_without_redis_are_a_warning(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter("abababab")
    monkeypatch.setattr(web, "request_echo", lambda url: {"process": next(names)})
    settings.REDIS_URLS = []
    assert "At least 2 server processes" in only(web.check_processes(PUBLIC)).sentence


@pytest.mark.parametrize(
    ("own", "foreign", "allowed", "expected"),
    [
        ((4403, "forbidden"), (4403, "forbidden"), [], "pass on Host"),
        ((4401, "token_invalid"), (4401, "token_invalid"), [], "removes Origin"),
        ((4401, "token_invalid"), (4401, "token_invalid"), ["*"], "ALLOWED_ORIGINS is *"),
    ],
)
def test_wrong_origin_policy_is_reported(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    own: tuple[int, str],
    foreign: tuple[int, str],
    allowed: list[str],
    expected: str,
) -> None:
    settings.ALLOWED_ORIGINS = allowed
    monkeypatch.setattr(
        sockets, "refusal", lambda url, origin: foreign if origin == sockets.FOREIGN_ORIGIN else own
    )
    assert expected in only(sockets.check_origin(PUBLIC)).sentence


def test_refusal_without_close_code_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "refusal", lambda url: (1006, ""))
    assert "close code 1006" in only(sockets.check_websocket(PUBLIC)).sentence


# The echo


def test_echo_answers_the_doctor_only() -> None:
    client = Client()
    assert client.get("/doctor").status_code == 404
    assert client.get("/doctor", headers={HEADER: "made:up:signature"}).status_code == 404
    seen = client.get("/doctor", headers={HEADER: signature(), "X-Forwarded-For": "a, b"}).json()
    assert (seen["scheme"], seen["forwarded"]) == ("http", 2)


# The whole


def test_malformed_url_is_refused() -> None:
    for text in ("chat.example.com", "ftp://a", "https://", "https://[", "https://a/path"):
        with pytest.raises(CommandError, match="must look like"):
            call_command("doctor", url=text, stdout=io.StringIO())


def test_healthy_server_has_no_wrong_finding(tmp_path: Path) -> None:
    """Without a proxy only the limit of bodies is missing."""
    with serving("daphne", tmp_path) as server:
        output = manage(server.environment, "doctor", "--url", server.http)
    lines = output.splitlines()
    assert lines[-1].startswith("Wrong: 0, ")
    names = {line[9:].split("  ")[0] for line in lines[:-2]}
    assert {"settings", "database", "migrations", "websocket", "origin", "proxy"} <= names


def test_every_unreachable_service_is_reported(tmp_path: Path) -> None:
    unused_port = free_port()
    unreachable = {
        "DATABASE_URL": f"postgres://chat:hunter2@127.0.0.1:{unused_port}/chat",
        "REDIS_URL": f"redis://:hunter2@127.0.0.1:{unused_port}/0",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--url", f"http://127.0.0.1:{unused_port}"],
        cwd=ROOT,
        env=environment(tmp_path, **unreachable),
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


# Followers and push


def test_missing_vapid_key_is_reported_in_production(production: Settings) -> None:
    finding = only(followers.check_push())
    assert finding.level is Level.WARNING
    assert "vapid_keys" in finding.sentence
    production.CHAT_VAPID_PRIVATE_KEY = new_private_key()
    production.CHAT_VAPID_CONTACT = "mailto:ops@example.com"
    assert only(followers.check_push()).level is Level.OK
    production.CHAT_PUSH_LOOPBACK = True
    assert "CHAT_PUSH_LOOPBACK" in worst(followers.check_push()).sentence


@pytest.mark.django_db(transaction=True)
def test_late_followers_are_reported(settings: Settings) -> None:
    assert only(followers.check_followers()).level is Level.OK
    lease = Lease("push")
    assert lease.hold()
    assert "0 s behind" in only(followers.check_followers()).sentence
    store_message(make_caller(), make_room())
    Message.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    finding = only(followers.check_followers())
    assert finding.level is Level.WRONG
    assert "late" in finding.sentence
    lease.release()
    finding = only(followers.check_followers())
    assert finding.level is Level.WARNING
    assert "No process follows" in finding.sentence
    settings.CHAT_FOLLOWER = "off"
    assert only(followers.check_followers()).level is Level.OK
