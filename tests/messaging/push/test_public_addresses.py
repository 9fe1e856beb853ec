"""No push goes to an address that is not public, for any endpoint (SSRF)."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from messaging.push import http_post, public_addresses
from messaging.push.endpoints import parse_endpoint
from messaging.push.http_post import BadAnswer, post
from messaging.push.public_addresses import (
    AddressRefused,
    ResolverBusy,
    Unresolved,
    is_public,
    resolve,
    subscriber_lookups,
)

PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "100.63.255.255", "172.15.0.1", "172.32.0.1", "192.167.1.1"),
    *("2606:4700:4700::1111", "2a00:1450:4001:812::200a", "64:ff9b::808:808"),
]
NOT_PUBLIC = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::"),
    *("2002:808:808::", "3fff::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%lo", "fec0::1"),
    *("ff02::1", "::ffff:0:127.0.0.1", "", "localhost", "2130706433"),
]
# Spellings of this machine that resolvers understand.
LOCAL_HOSTS = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "0"),
    *("::1", "::", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:0:0:1", "localhost"),
]


@pytest.fixture(autouse=True)
def no_loopback(settings: Settings) -> None:
    settings.CHAT_PUSH_LOOPBACK = False


@pytest.mark.parametrize("ip", PUBLIC)
def test_addresses_of_the_internet_are_public(ip: str) -> None:
    assert is_public(ip)


@pytest.mark.parametrize("ip", NOT_PUBLIC)
def test_other_addresses_are_not(ip: str) -> None:
    assert not is_public(ip)


@pytest.mark.parametrize("host", LOCAL_HOSTS)
def test_a_spelling_of_this_machine_is_refused_or_no_address(host: str) -> None:
    with pytest.raises((AddressRefused, Unresolved)):
        resolve(host, 443)


def answer_with(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Makes DNS give these answers in turn, and returns the names it was asked."""
    asked: list[str] = []
    left = iter(answers)

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [
            (
                socket.AF_INET6 if ":" in ip else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (ip, port),
            )
            for ip in next(left)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_one_bad_address_among_good_ones_refuses_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, ["1.1.1.1", "10.0.0.1"])
    with pytest.raises(AddressRefused):
        resolve("push.example.com", 443)


def test_a_name_that_changes_between_check_and_connection_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer_with(monkeypatch, ["1.1.1.1"], ["127.0.0.1"])
    assert [one.ip for one in resolve("push.example.com", 443)] == ["1.1.1.1"]
    with pytest.raises(AddressRefused):
        post(parse_endpoint("https://push.example.com/x"), {}, b"")


def test_the_name_is_resolved_once_for_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the address that was checked, not to a second answer."""
    asked = answer_with(monkeypatch, ["1.1.1.1"], ["127.0.0.1"])
    tried: list[Any] = []

    def connect(self: socket.socket, place: Any) -> None:
        tried.append(place)
        raise ConnectionRefusedError

    class Unconnected(socket.socket):
        pass

    monkeypatch.setattr(Unconnected, "connect", connect)
    monkeypatch.setattr(socket, "socket", Unconnected)
    with pytest.raises(ConnectionRefusedError):
        post(parse_endpoint("https://push.example.com/x"), {}, b"")
    assert asked == ["push.example.com"]
    assert tried == [("1.1.1.1", 443)]


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(public_addresses, "RESOLVE_TIMEOUT", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(10))
    with pytest.raises(Unresolved):
        resolve("push.example.com", 443)
    release.set()


def test_subscribers_that_fill_their_resolver_delay_no_delivery(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        if host == "hangs.example":
            release.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("1.1.1.1", port))]

    monkeypatch.setattr(public_addresses, "RESOLVE_TIMEOUT", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for _ in range(4):
        with pytest.raises(Unresolved):
            resolve("hangs.example", 443, subscriber_lookups)
    with pytest.raises(ResolverBusy):
        resolve("push.example.com", 443, subscriber_lookups)
    assert [one.ip for one in resolve("push.example.com", 443)] == ["1.1.1.1"]
    release.set()


@pytest.mark.parametrize(
    "url",
    [
        "http://push.example.com/x",
        "http://127.0.0.1/x",
        "ftp://push.example.com/x",
        "file:///etc/passwd",
        "https:///x",
        "https://user@push.example.com/x",
        "https://user:password@push.example.com/x",
        "https://push.example.com/x#y",
        "https://push.example.com\\@127.0.0.1/x",
        "https://push.example.com/x\r\nHost: y",
        "https://push.example.com/ x",
        "https://pu\u00dfh.example.com/x",
        "https://push.example.com:0x50/x",
        "https://push.example.com:99999/x",
        "https://[::1/x",
        "https://[fe80::1%25eth0]/x",
        "push.example.com",
        "",
    ],
)
def test_a_url_that_is_not_plain_https_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|is not"):
        parse_endpoint(url)


def test_parts_of_an_endpoint() -> None:
    parts = parse_endpoint("https://Push.example.com:8443/a/b?c=d")
    assert (parts.host, parts.port, parts.target) == ("push.example.com", 8443, "/a/b?c=d")
    assert parts.origin == "https://push.example.com:8443"
    assert parse_endpoint("https://[2606:4700::1111]").origin == "https://[2606:4700::1111]"


# Answers of a push service that means harm


@pytest.fixture
def peer(settings: Settings) -> Iterator[socket.socket]:
    settings.CHAT_PUSH_LOOPBACK = True
    listening = socket.create_server(("127.0.0.1", 0))
    yield listening
    listening.close()


def ask(peer: socket.socket, *pieces: bytes, every: float = 0.0) -> http_post.Answer:
    """Posts to a peer that answers with these pieces."""
    stop = threading.Event()

    def serve() -> None:
        connection, _ = peer.accept()
        with connection:
            connection.recv(65536)
            for piece in pieces:
                try:
                    connection.sendall(piece)
                except OSError:
                    return
                if stop.wait(every):
                    return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        return post(parse_endpoint(f"http://127.0.0.1:{peer.getsockname()[1]}/x"), {}, b"body")
    finally:
        stop.set()
        thread.join(10)


def test_status_and_retry_after_are_read(peer: socket.socket) -> None:
    answer = ask(peer, b"HTTP/1.1 429 Slow down\r\nA: b\r\nretry-after: 7\r\n\r\nmore")
    assert (answer.status, answer.retry_after) == (429, 7)


def test_interim_answers_are_skipped(peer: socket.socket) -> None:
    answer = ask(peer, b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 201 C", b"reated\r\n\r\n")
    assert (answer.status, answer.retry_after) == (201, None)


def test_a_body_is_not_read(peer: socket.socket) -> None:
    assert ask(peer, b"HTTP/1.1 500 x\r\nContent-Length: 999999999\r\n\r\n").status == 500


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\n" + b"a" * 99999],
)
def test_what_is_no_answer_is_refused(answer: bytes, peer: socket.socket) -> None:
    with pytest.raises((BadAnswer, ConnectionError)):
        ask(peer, answer)


def test_a_peer_that_drips_is_not_waited_for(
    peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_post, "TIMEOUT", 0.3)
    with pytest.raises(TimeoutError):
        ask(peer, b"HTTP/1.1 200 OK\r\n", *[b"a"] * 1000, every=0.05)
