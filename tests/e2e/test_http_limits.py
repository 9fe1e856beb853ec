"""Bounds on one HTTP request or response: unfinished bodies, unread answers."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.clients import Person, fresh, register
from tests.metrics import scrape
from tests.servers import Server, serving

MEBIBYTE = 1024 * 1024
BODY_TIMEOUT = 1.0
UNREAD_TIMEOUT = 2.0
BODIES = 20


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def strict(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with short timeouts and low limits."""
    with serving(
        request.param,
        tmp_path_factory.mktemp(f"strict-{request.param}"),
        CHAT_BODY_TIMEOUT=str(BODY_TIMEOUT),
        CHAT_BODIES_PER_ADDRESS=str(BODIES),
        CHAT_BODY_BYTES="4 MB",
        CHAT_UNREAD_TIMEOUT=str(UNREAD_TIMEOUT),
        CHAT_RESPONSE_BYTES_PER_USER="3 MB",
        CHAT_RESPONSE_BYTES="4 MB",
    ) as server:
        yield server


@pytest.fixture
async def ila(strict: Server) -> AsyncIterator[Person]:
    person = await register(strict.http, strict.ws)
    yield person
    await person.http.aclose()


class Raw:
    """A raw connection with a small receive buffer."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", server.port))
        self.port: int = self.socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def request(self, method: str, path: str, *headers: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def head(self) -> tuple[int, str]:
        """Returns status and head of the next answer."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            one = self.socket.recv(1)
            assert one, f"closed after {head!r}"
            head += one
        return int(head[9:12]), head.decode().lower()

    def answer(self) -> tuple[int, str]:
        """Returns status and `code` of an error, and all bytes up to the end."""
        status, head = self.head()
        assert "connection: close" in head
        body = b""
        while piece := self.socket.recv(65536):
            body += piece
        return status, json.loads(body)["code"]


def announced(server: Server, size: int = 1000, sent: int = 0) -> Raw:
    """A POST with a missing or incomplete body."""
    raw = Raw(server)
    raw.request("POST", "/api/login", f"Content-Length: {size}", "Content-Type: application/json")
    raw.socket.sendall(bytes(sent))
    return raw


def test_unfinished_body_is_answered_after_its_timeout(strict: Server) -> None:
    begun = time.monotonic()
    with announced(strict) as raw:
        assert raw.answer() == (408, "request_timeout")
    assert BODY_TIMEOUT * 0.9 < time.monotonic() - begun < BODY_TIMEOUT + 3


async def test_unfinished_bodies_do_not_block_other_requests(strict: Server, ila: Person) -> None:
    room = (await ila.post("/rooms", {"name": fresh("room")})).json()
    unfinished = [announced(strict) for _ in range(5 * BODIES)]
    for number in range(10):
        answer = await ila.post(f"/rooms/{room['id']}/messages", {"content": f"{number}"})
        assert answer.status_code == 201
    found = await scrape(strict)
    assert found["chat_http_unfinished_bodies"] <= BODIES
    # The oldest requests made room for these.
    assert unfinished[0].answer() == (503, "busy")
    assert found['chat_limit_refusals_total{setting="CHAT_BODIES_PER_ADDRESS"}'] >= BODIES
    for raw in unfinished:
        raw.socket.close()


async def test_bytes_of_unfinished_bodies_are_limited(strict: Server) -> None:
    unfinished = [announced(strict, MEBIBYTE, MEBIBYTE - 1) for _ in range(8)]
    assert unfinished[0].answer() == (503, "busy")
    found = await scrape(strict)
    assert found["chat_http_unfinished_body_bytes"] <= 4 * MEBIBYTE
    for raw in unfinished:
        raw.socket.close()
    for _ in range(50):
        found = await scrape(strict)
        if not found["chat_http_unfinished_body_bytes"]:
            break
        await asyncio.sleep(0.1)
    assert found["chat_http_unfinished_bodies"] == 0
    assert found["chat_http_unfinished_body_bytes"] == 0


@pytest.mark.skipif(not Path("/proc").exists(), reason="Linux has it")
def test_bodies_are_not_written_to_disk(strict: Server) -> None:
    with announced(strict, MEBIBYTE, MEBIBYTE - 1):
        time.sleep(0.2)
        files = Path(f"/proc/{strict.process.pid}/fd")
        open_files = [str(file.readlink()) for file in files.iterdir() if file.is_symlink()]
    assert not [name for name in open_files if "(deleted)" in name]


@pytest.mark.parametrize("expect", ["X-Nothing: here", "Expect: 100-continue"])
def test_too_large_content_length_is_rejected_unread(strict: Server, expect: str) -> None:
    begun = time.monotonic()
    with Raw(strict) as raw:
        raw.request("POST", "/api/login", f"Content-Length: {300 * MEBIBYTE}", expect)
        assert raw.answer() == (413, "too_large")
    assert time.monotonic() - begun < 5


def test_chunked_body_is_rejected_at_the_limit(strict: Server) -> None:
    with Raw(strict) as raw:
        raw.request("POST", "/api/login", "Transfer-Encoding: chunked")
        for _ in range(17):  # of 64 KiB each: one more than fits into a mebibyte
            raw.socket.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
        assert raw.answer() == (413, "too_large")


def test_client_waiting_for_100_continue_receives_it(strict: Server) -> None:
    with Raw(strict) as raw:
        raw.request("POST", "/api/token/verify", "Content-Length: 14", "Expect: 100-continue")
        assert raw.head()[0] == 100
        raw.socket.sendall(b'{"token": "x"}')
        assert raw.head()[0] == 401


async def test_slow_body_is_accepted(strict: Server) -> None:
    body = b'{"token": "x"}'
    with Raw(strict) as raw:
        raw.request("POST", "/api/token/verify", f"Content-Length: {len(body)}")
        for byte in body:
            raw.socket.sendall(bytes([byte]))
            await asyncio.sleep(0.02)
        assert raw.head()[0] == 401


async def test_unread_answers_of_a_user_are_limited(strict: Server, ila: Person) -> None:
    room = (await ila.post("/rooms", {"name": fresh("room")})).json()
    path = f"/rooms/{room['id']}/messages"
    for _ in range(40):
        await ila.post(path, {"content": "\N{CAT FACE}" * 4000})
    size = len((await ila.get(path, limit=200)).content)
    assert size > MEBIBYTE // 2
    hungry = [Raw(strict) for _ in range(12)]
    for raw in hungry:
        raw.request("GET", f"/api{path}?limit=200", f"Authorization: Bearer {ila.access}")
    statuses = [raw.head()[0] for raw in hungry]
    assert set(statuses) == {200, 503}
    found = await scrape(strict)
    assert found["chat_http_response_bytes"] <= 3 * MEBIBYTE
    # Small answers and those of other users are served meanwhile.
    assert (await ila.get("/users/me")).status_code == 200
    other = await register(strict.http, strict.ws)
    assert (await other.get("/rooms")).status_code == 200
    await other.http.aclose()
    # Clients that read nothing are closed, and their bytes released.
    deadline = time.monotonic() + UNREAD_TIMEOUT + 8
    while (await scrape(strict))["chat_http_response_bytes"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    assert (await ila.get(path, limit=200)).status_code == 200
    for raw in hungry:
        raw.socket.close()


async def test_slow_client_receives_a_large_answer_completely(strict: Server, ila: Person) -> None:
    room = (await ila.post("/rooms", {"name": fresh("room")})).json()
    path = f"/rooms/{room['id']}/messages"
    for _ in range(40):
        await ila.post(path, {"content": "\N{CAT FACE}" * 4000})
    expected = (await ila.get(path, limit=200)).content
    with Raw(strict) as raw:
        raw.request("GET", f"/api{path}?limit=200", f"Authorization: Bearer {ila.access}")
        assert raw.head()[0] == 200
        body = b""
        while len(body) < len(expected):
            body += raw.socket.recv(65536)
            await asyncio.sleep(0.001)
        assert body == expected
        # The connection serves the next request.
        raw.request("GET", "/healthz")
        assert raw.head()[0] == 200


async def test_slow_client_receives_a_static_file_completely(strict: Server, ila: Person) -> None:
    path = "/static/ninja/swagger-ui-bundle.js"
    expected = (await ila.http.get(f"{strict.http}{path}")).content
    assert len(expected) > MEBIBYTE
    with Raw(strict) as raw:
        raw.request("GET", path)
        status, head = raw.head()
        assert status == 200
        assert f"content-length: {len(expected)}" in head
        body = b""
        while len(body) < len(expected):
            body += raw.socket.recv(65536)
            await asyncio.sleep(0.0005)
        assert body == expected
