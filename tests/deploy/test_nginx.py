"""The file of docs/deploy in a real nginx before two servers.

Skipped without nginx.
"""

import asyncio
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.clients import Person, Socket, opened
from tests.tls_proxy import Authority, make_authority

from .nginx import BINARY, Nginx, nginx_on_a_host, nginx_running
from .stack import ADDRESSES, HOST, PASSWORD, Stack

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="nginx is not on PATH: install it to test docs/deploy/nginx.conf"
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def nginx(
    stack: Stack, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Nginx]:
    folder: Path = tmp_path_factory.mktemp("nginx")
    with nginx_running(folder, ADDRESSES, stack.port, authority, stack.media) as running:
        yield running


@pytest.fixture
def ila(nginx: Nginx) -> dict[str, str]:
    """An account of a client that claims another address."""
    spoofed = {"X-Forwarded-For": "203.0.113.66", "X-Real-IP": "203.0.113.66"}
    account = {"username": f"ila{id(spoofed)}", "password": PASSWORD}
    with nginx.client() as client:
        answer = client.post("/api/register", json=account, headers=spoofed)
        assert answer.status_code == 201, answer.text
        body: dict[str, str] = answer.json()
        return body


def test_nginx_accepts_the_configuration(nginx: Nginx) -> None:
    done = subprocess.run(
        nginx.command("-t"), capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0
    assert "[warn]" not in done.stderr


def test_plain_http_redirects_to_https(nginx: Nginx) -> None:
    asked = f"http://localhost:{nginx.plain}/api/rooms?q=a"
    answer = httpx.get(asked, headers={"Host": HOST})
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"https://{HOST}/api/rooms?q=a"


def test_certbot_challenge_is_served(nginx: Nginx, authority: Authority) -> None:
    challenge = "/.well-known/acme-challenge"
    folder = authority.chain.parent / challenge[1:]
    folder.mkdir(parents=True)
    (folder / "a-token").write_text("a proof")
    plain = f"http://localhost:{nginx.plain}"
    assert httpx.get(f"{plain}{challenge}/a-token").text == "a proof"
    for path in ("/privkey.pem", f"{challenge}/%2e%2e/%2e%2e/privkey.pem"):
        assert httpx.get(plain + path).status_code == 308


def test_proxy_health_check_is_answered(nginx: Nginx) -> None:
    assert httpx.get(f"http://127.0.0.1:{nginx.own}/").status_code == 204


def test_server_sees_that_a_request_came_by_https(nginx: Nginx) -> None:
    with nginx.client() as client:
        answer = client.get("/admin/login/")
    assert answer.status_code == 200
    assert answer.headers["Strict-Transport-Security"]
    assert "nginx/" not in answer.headers["Server"]


def test_metrics_are_not_public(nginx: Nginx) -> None:
    with nginx.client() as client:
        for path in ("/metrics", "/metrics/"):
            answer = client.get(path)
            assert (answer.status_code, "nginx" in answer.text) == (404, True)


def test_too_large_body_is_refused_like_by_the_api(nginx: Nginx) -> None:
    with nginx.client() as client:
        answer = client.post("/api/register", content=b"x" * (1024 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"


def test_client_supplied_address_is_ignored(nginx: Nginx, ila: dict[str, str]) -> None:
    with nginx.client() as client:
        asked = client.get("/api/sessions", headers={"Authorization": f"Bearer {ila['access']}"})
    assert [session["ip"] for session in asked.json()] == ["127.0.0.1"]


async def test_sockets_work_through_the_proxy_with_close_codes(
    nginx: Nginx, ila: dict[str, str]
) -> None:
    person = Person(nginx.https, nginx.wss, {"id": 0, "refresh": "", **ila})
    sockets = [person.public("proxied") for _ in range(4)]
    for one in sockets:
        one.ssl = nginx.trusts
    async with opened(*sockets), person.http:
        await asyncio.sleep(0.3)
        await sockets[0].send(type="message", message="through")
        for one in sockets:
            assert (await one.receive_type("message"))["message"] == "through"
    wrong = Socket(f"{nginx.wss}/ws/chat/proxied/", token="wrong", ssl=nginx.trusts)
    async with wrong:
        assert await wrong.refused() == (4401, "token_invalid")
    assert ila["access"] not in nginx.log_with('"GET /ws/chat/proxied/" 101')


def test_requests_reach_both_servers(stack: Stack, nginx: Nginx) -> None:
    """nginx chooses at random: one server gets all of 40 requests once in 10^11 runs."""
    with nginx.client() as client:
        for _ in range(40):
            client.get("/healthz")
    for address in ADDRESSES:
        nginx.log_with(f"upstream={address}:{stack.port}/200")


def test_one_server_may_stop_and_stay_down(stack: Stack, nginx: Nginx) -> None:
    statuses: Counter[int] = Counter()
    leaving = threading.Thread(target=stack.containers[1].stop)
    with nginx.client() as client:
        leaving.start()
        try:
            while leaving.is_alive() or statuses.total() < 20:
                statuses[client.get("/healthz").status_code] += 1
        finally:
            leaving.join()
            stack.containers[1].start()
    assert set(statuses) == {200}


def test_host_configuration_serves_without_docker(
    stack: Stack, authority: Authority, tmp_path: Path
) -> None:
    with nginx_on_a_host(tmp_path, ADDRESSES, stack.port, authority) as nginx:
        with nginx.client() as client:
            for _ in range(8):
                assert client.get("/healthz").status_code == 200
        for address in ADDRESSES:
            nginx.log_with(f"upstream={address}:{stack.port}/200")
        assert sorted(file.name for file in tmp_path.glob("*.log")) == ["access.log", "error.log"]
    left = (tmp_path / "nginx.conf").read_text()
    assert [line for line in left.splitlines() if "HOST:" in line or "/dev/" in line] == []


class Recorder:
    """Stands in for a server and keeps the bytes that the proxy sends."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.5", 0))
        self.port: int = self.listener.getsockname()[1]
        self.seen: list[str] = []

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.seen.append(connection.recv(65536).decode("latin-1"))
                connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


@contextmanager
def recording(tmp_path: Path, authority: Authority) -> Iterator[tuple[Nginx, list[str]]]:
    recorder = Recorder()
    thread = threading.Thread(target=recorder.serve, daemon=True)
    thread.start()
    with nginx_running(tmp_path, ("127.0.0.5",), recorder.port, authority) as nginx:
        yield nginx, recorder.seen
    recorder.listener.shutdown(socket.SHUT_RDWR)
    recorder.listener.close()
    thread.join(10)


def test_proxy_removes_hop_headers_and_forwarding_claims(
    tmp_path: Path, authority: Authority
) -> None:
    sent = {
        "Connection": "keep-alive, X-Mine",
        "Keep-Alive": "timeout=5",
        "Proxy-Connection": "keep-alive",
        "Proxy-Authorization": "Basic eDp5",
        "Proxy": "http://evil.example",
        "TE": "trailers",
        "Trailer": "Expires",
        "Upgrade": "h2c",
        "Forwarded": "for=203.0.113.66",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-For": "203.0.113.66",
        "X-Real-IP": "203.0.113.66",
        "Authorization": "Bearer kept",
    }
    with recording(tmp_path, authority) as (nginx, seen), nginx.client() as client:
        client.get("/anything", headers=sent)
    (request,) = seen
    pairs = [line.partition(": ") for line in request.split("\r\n")[1:] if line]
    arrived = {name.lower(): value for name, _, value in pairs}
    assert arrived["connection"] == "close"
    assert arrived["x-forwarded-for"] == "127.0.0.1"
    assert arrived["x-forwarded-proto"] == "https"
    assert arrived["authorization"] == "Bearer kept"
    assert arrived["host"] == f"localhost:{nginx.secure}"
    gone = {"connection", "x-forwarded-for", "x-forwarded-proto", "authorization"}
    assert not ({name.lower() for name in sent} - gone) & set(arrived)


def test_without_a_server_the_client_gets_retry_after(tmp_path: Path, authority: Authority) -> None:
    with nginx_running(tmp_path, ("127.0.0.6",), 9, authority) as nginx, nginx.client() as client:
        answer = client.get("/ws/chat/a/?token=a-secret-of-somebody")
        assert answer.status_code == 503
        assert answer.json()["code"] == "busy"
        assert answer.headers["Retry-After"] == "1"
        assert "a-secret" not in nginx.log_with("/502")


def test_nginx_sends_the_files_that_a_server_allows(nginx: Nginx, ila: dict[str, str]) -> None:
    data = b"%PDF-1.7 " + bytes(3_000_000)
    with nginx.client() as client:
        client.headers["Authorization"] = f"Bearer {ila['access']}"
        made = client.post("/api/attachments", files={"file": ("plan.pdf", data)})
        assert made.status_code == 201, made.text
        url = made.json()["url"]
        answer = client.get(url)
        assert answer.content == data
        assert "x-accel-redirect" not in answer.headers
        shown = {
            "content-type": "application/octet-stream",
            "content-disposition": 'attachment; filename="plan.pdf"',
            "cache-control": "private",
            "x-content-type-options": "nosniff",
            "content-security-policy": "sandbox; default-src 'none'",
            "accept-ranges": "bytes",
        }
        assert {name: answer.headers[name] for name in shown} == shown
        part = client.get(url, headers={"Range": "bytes=0-8"})
        assert (part.status_code, part.content) == (206, b"%PDF-1.7 ")
        known = client.get(url, headers={"If-None-Match": answer.headers["etag"]})
        assert known.status_code == 304
        del client.headers["Authorization"]
        assert client.get(url).status_code == 401
        assert client.get("/chat-files/attachments/").status_code == 404
        too_large = client.post("/api/attachments", content=bytes(27 * 1024**2))
        assert (too_large.status_code, too_large.json()["code"]) == (413, "too_large")
