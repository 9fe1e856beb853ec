"""Sends one POST to a push service, to an address that was checked.

Not `requests`: that resolves the name anew, follows redirects, and has no bound on the time of a
whole answer. Here one deadline covers everything, and little more than the head of an answer is
read. The connection is kept for the next push (`connection_pool.py`).
"""

import functools
import logging
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

from .connection_pool import pool
from .endpoints import Endpoint
from .public_addresses import SocketAddress, check_addresses, resolve

log = logging.getLogger(__name__)

TIMEOUT = 10.0
CONNECT_TIMEOUT = 4.0
MAX_HEAD_BYTES = 16_384
STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*(\d{1,6})[ \t]*\r\n", re.IGNORECASE)
FIRST_FINAL_STATUS = 200
NO_CONTENT = b"204"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?=\r\n)", re.IGNORECASE)
NOT_KEPT = re.compile(
    rb"\r\n(?:transfer-encoding:|connection:[^\r\n]*close|upgrade:)", re.IGNORECASE
)
"""Heads after which the connection is not used again. Chunks are not worth parsing."""
MAX_BODY_BYTES = 16_384
BODY_TIMEOUT = 1.0


class BadAnswer(Exception):
    """The answer is not HTTP, or its head is too large."""


class ClosedUnanswered(BadAnswer):
    """The connection was closed before the first byte of an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The status of an answer, and the seconds to wait that it asks for."""

    status: int
    retry_after: int | None


def post(endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Answer:
    """Sends the request. Redirects are answers like others.

    Raises AddressRefused, Unresolved, ResolverBusy, OSError (also for TLS and timeouts), BadAnswer.
    """
    deadline = time.monotonic() + TIMEOUT
    request = _request(endpoint, headers, body)
    kept = pool.take(endpoint.origin)
    if kept is not None:
        try:
            return _exchange(endpoint, kept, request, deadline)
        except (ConnectionError, ssl.SSLError, ClosedUnanswered):
            # The service closed it at this moment. A push that arrives twice has the same topic.
            log.debug("An idle connection to %s was closed", endpoint.host)
    return _exchange(endpoint, _open(endpoint, deadline), request, deadline)


def _open(endpoint: Endpoint, deadline: float) -> socket.socket:
    """Resolves the host, checks its addresses and connects to one of these."""
    connection = _connect(resolve(endpoint.host, endpoint.port))
    if endpoint.scheme != "https":
        return connection
    try:
        connection.settimeout(_left(deadline))
        return tls_context().wrap_socket(connection, server_hostname=endpoint.host)
    except BaseException:
        connection.close()
        raise


def _exchange(
    endpoint: Endpoint, connection: socket.socket, request: bytes, deadline: float
) -> Answer:
    """Sends a request and reads the answer; keeps a connection read to its end."""
    is_complete = False
    try:
        connection.settimeout(_left(deadline))
        connection.sendall(request)
        answer, is_complete = _read_answer(connection, deadline)
        return answer
    finally:
        if is_complete:
            pool.put(endpoint.origin, connection)
        else:
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
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _read_answer(connection: socket.socket, deadline: float) -> tuple[Answer, bool]:
    """Returns the answer, and whether nothing of it is left to read."""
    received = b""
    while True:
        head, received = _read_head(connection, received, deadline)
        line = STATUS_LINE.match(head)
        if line is None:
            raise BadAnswer("it is not HTTP")
        if int(line[1]) >= FIRST_FINAL_STATUS:  # not an interim answer
            wait = RETRY_AFTER.search(head)
            answer = Answer(int(line[1]), int(wait[1]) if wait else None)
            return answer, _read_body(connection, head, received, deadline)


def _read_head(connection: socket.socket, received: bytes, deadline: float) -> tuple[bytes, bytes]:
    """Returns a head with its last line end, and what was read after it."""
    while True:
        head, end, rest = received.partition(b"\r\n\r\n")
        if end:
            return head + b"\r\n", rest
        if len(received) > MAX_HEAD_BYTES:
            raise BadAnswer("its head is too large")
        connection.settimeout(_left(deadline))
        data = connection.recv(4096)
        if not data and not received:
            raise ClosedUnanswered("the connection was closed without an answer")
        if not data:
            raise BadAnswer("the connection was closed within an answer")
        received += data


def _read_body(connection: socket.socket, head: bytes, body: bytes, deadline: float) -> bool:
    """Reads a short body of a stated length; False for any other, left unread.

    A failure does not matter either: the answer is known.
    """
    lengths = CONTENT_LENGTH.findall(head)
    is_plain = head.startswith(b"HTTP/1.1 ") and not NOT_KEPT.search(head)
    length = 0 if head[9:12] == NO_CONTENT else int(lengths[0]) if len(lengths) == 1 else None
    if not is_plain or length is None or length > MAX_BODY_BYTES:
        return False
    try:
        while len(body) < length:
            connection.settimeout(min(BODY_TIMEOUT, _left(deadline)))
            data = connection.recv(4096)
            if not data:
                return False
            body += data
    except OSError:
        return False
    return len(body) == length


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left
