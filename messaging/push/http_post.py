"""Sends one POST to a push service, to an address that was checked.

Not `requests`: that resolves the name anew, follows redirects, and has no bound on the time of a
whole answer. Here one deadline covers everything, and only the head of an answer is read.
"""

import functools
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

from .addresses import SocketAddress, check_addresses, resolve
from .endpoints import Endpoint

TIMEOUT = 10.0
CONNECT_TIMEOUT = 4.0
MAX_HEAD_BYTES = 16_384
STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*(\d{1,6})[ \t]*\r\n", re.IGNORECASE)
FIRST_FINAL_STATUS = 200


class BadAnswer(Exception):
    """The answer is not HTTP, or its head is too large."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The status of an answer, and the seconds to wait that it asks for."""

    status: int
    retry_after: int | None


def post(endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Answer:
    """Sends the request. Redirects are answers like others.

    Raises AddressRefused, Unresolved, OSError (also for TLS and timeouts), BadAnswer.
    """
    deadline = time.monotonic() + TIMEOUT
    connection = _connect(resolve(endpoint.host, endpoint.port))
    try:
        if endpoint.scheme == "https":
            connection.settimeout(_left(deadline))
            connection = tls_context().wrap_socket(connection, server_hostname=endpoint.host)
        connection.settimeout(_left(deadline))
        connection.sendall(_request(endpoint, headers, body))
        return _read_answer(connection, deadline)
    finally:
        connection.close()


def _connect(addresses: list[SocketAddress]) -> socket.socket:
    """Connects to the first address that answers. Raises OSError, AddressRefused."""
    error: OSError = OSError("no address")
    for address in addresses:
        connection = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_TIMEOUT / len(addresses))
            connection.connect((address.ip, address.port))
            # What the kernel connected to, in case an address has another form.
            check_addresses([connection.getpeername()[0]])
        except OSError as failure:
            connection.close()
            error = failure
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise error


@functools.cache
def tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _request(endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [
        f"POST {endpoint.target} HTTP/1.1",
        f"Host: {endpoint.authority}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _read_answer(connection: socket.socket, deadline: float) -> Answer:
    received = b""
    while True:
        head, end, rest = received.partition(b"\r\n\r\n")
        if end:
            line = STATUS_LINE.match(head + b"\r")
            if line is None:
                raise BadAnswer("it is not HTTP")
            if int(line[1]) >= FIRST_FINAL_STATUS:
                wait = RETRY_AFTER.search(head + b"\r\n")
                return Answer(int(line[1]), int(wait[1]) if wait else None)
            received = rest  # an interim answer
            continue
        if len(received) > MAX_HEAD_BYTES:
            raise BadAnswer("its head is too large")
        connection.settimeout(_left(deadline))
        data = connection.recv(4096)
        if not data:
            raise BadAnswer("the connection was closed without an answer")
        received += data


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left
