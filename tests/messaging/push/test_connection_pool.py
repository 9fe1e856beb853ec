"""Connections to push services are used again, but never after an answer that may go on."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from messaging.push import connection_pool
from messaging.push.connection_pool import ConnectionPool, pool
from messaging.push.endpoints import parse_endpoint
from messaging.push.http_post import post

CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """A server that answers each request with the next of `answers`; it counts connections."""

    def __init__(self, *answers: bytes, requests_per_connection: int = 100) -> None:
        self.answers = list(answers)
        self.connections = 0
        self._most = requests_per_connection
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/x"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while self.answers:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                for _ in range(self._most):
                    if not self.answers or not connection.recv(65536):
                        break
                    connection.sendall(self.answers.pop(0))

    def close(self) -> None:
        self._listening.close()

    def ask(self) -> int:
        return post(parse_endpoint(self.url), {}, b"body").status


@pytest.fixture(autouse=True)
def _empty_pool(settings: Settings) -> Iterator[None]:
    settings.CHAT_PUSH_LOOPBACK = True
    pool.clear()
    yield
    pool.clear()


def test_connection_is_used_again_without_a_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer(*[CREATED] * 3)
    assert peer.ask() == 201
    # The name may resolve to another address now. The connection leads to the one that was checked.
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    assert [peer.ask(), peer.ask()] == [201, 201]
    assert peer.connections == 1
    peer.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 201 Created\r\n\r\n",
        b"HTTP/1.0 201 Created\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 99999999\r\n\r\n",
        CREATED + b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_connection_is_closed_after_an_answer_that_may_not_have_ended(answer: bytes) -> None:
    peer = Peer(answer, CREATED)
    assert [peer.ask(), peer.ask()] == [201, 201]
    assert peer.connections == 2
    peer.close()


def test_connection_that_the_service_closed_is_replaced() -> None:
    peer = Peer(CREATED, CREATED, requests_per_connection=1)
    assert [peer.ask(), peer.ask()] == [201, 201]
    assert peer.connections == 2
    peer.close()


def test_idle_connections_are_bounded_and_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, pairs = ConnectionPool(), [socket.socketpair() for _ in range(8)]
    monkeypatch.setattr(connection_pool, "MAX_IDLE", 6)
    for number, (here, _) in enumerate(pairs):
        mine.put("a" if number < 5 else "b", here)
    is_open = [here.fileno() != -1 for here, _ in pairs]
    assert is_open == [True] * 4 + [False] + [True] * 2 + [False]
    assert mine.take("a") is pairs[3][0]
    assert mine.take("c") is None
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + connection_pool.IDLE_TIMEOUT + 1)
    assert mine.take("a") is None
    assert pairs[0][0].fileno() == -1
    for pair in pairs:
        for one in pair:
            one.close()
