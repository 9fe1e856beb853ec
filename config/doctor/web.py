"""Checks the chat over HTTP, through its public URL and all proxies."""

import json
import select
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from .clock import compare_clocks
from .echo import HEADER, installation, signature
from .finding import Finding, ok, warning, wrong
from .installation import is_local

TIMEOUT = 5.0
TOO_LARGE_BODY = 1024**3
CHUNK, MAX_CHUNKS = 256 * 1024, 16
FORGED_ADDRESS = "192.0.2.1"
"""Reserved for documentation (RFC 5737): no client has it."""
REQUESTS = 8
UNREACHABLE = (OSError, HTTPException)


@dataclass(frozen=True)
class Answer:
    """An HTTP response; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def connection_to(url: str, timeout: float = TIMEOUT) -> HTTPConnection:
    parts = urlsplit(url)
    connection_class = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return connection_class(parts.hostname or "", parts.port, timeout=timeout)


def get(url: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Sends a GET request. Raises OSError, HTTPException."""
    connection = connection_to(url)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, received, response.read())
    finally:
        connection.close()


def reason_of(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted, {error.verify_message}"
    known: dict[type[Exception], str] = {
        socket.gaierror: "unknown host name",
        ConnectionRefusedError: "connection refused",
        TimeoutError: "no answer",
    }
    return known.get(type(error), type(error).__name__)


def check_health(url: str) -> Iterator[Finding]:
    try:
        healthz, readyz = get(url, "/healthz"), get(url, "/readyz")
    except UNREACHABLE as error:
        yield wrong(
            f"{url} does not answer ({reason_of(error)}). Start proxy and server, check DNS."
        )
        return
    if healthz.status != HTTPStatus.OK:
        yield wrong(_health_failure(healthz.status))
    elif readyz.status != HTTPStatus.OK:
        yield wrong(f"The server is up but not ready: {_state(readyz)}.")
    elif _state(readyz) != "ok":
        yield warning(f"The server is ready, but {_state(readyz)}. See its log.")
    else:
        yield ok("/healthz and /readyz answer.")


def _health_failure(status: int) -> str:
    known: dict[int, str] = {
        HTTPStatus.BAD_REQUEST: "the server refuses the host name. Check ALLOWED_HOSTS, and "
        "configure the proxy to pass on Host",
        HTTPStatus.NOT_FOUND: "another program than the chat answers there",
        HTTPStatus.BAD_GATEWAY: "the proxy reaches no server. Check its upstream",
        HTTPStatus.SERVICE_UNAVAILABLE: "the proxy reaches no server. Check its upstream",
    }
    # Keyed by number: statuses of CDNs, such as 522, are in no standard.
    reason = known.get(status, "a proxy answers instead of the chat")
    return f"/healthz answers {status}: {reason}."


def _state(readyz: Answer) -> str:
    try:
        body = json.loads(readyz.body)
        return str(body["status"]) if body["status"] != "unavailable" else str(body["database"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {readyz.status}"


def request_echo(url: str, **headers: str) -> dict[str, Any]:
    """Returns what the server sees of a request with these headers.

    Raises OSError, HTTPException; ValueError for another status than 200.
    """
    answer = get(url, "/doctor", {HEADER: signature(), **headers})
    if answer.status != HTTPStatus.OK:
        raise ValueError(answer.status)
    body: dict[str, Any] = json.loads(answer.body)
    return body


def check_proxy(url: str) -> Iterator[Finding]:
    """Checks scheme and address as the server sees them.

    Clients must not be able to forge them.
    """
    forged_headers = {"X-Forwarded-For": FORGED_ADDRESS, "X-Forwarded-Proto": _other_scheme(url)}
    try:
        plain, forged = request_echo(url), request_echo(url, **forged_headers)
    except UNREACHABLE as error:
        yield wrong(f"Not checked: {url} does not answer ({reason_of(error)}).")
        return
    except ValueError:
        yield wrong(
            "The server at the URL does not accept this doctor: its SECRET_KEY or version differs. "
            "Run the doctor with the environment of the server."
        )
        return
    found = [
        *_installation(plain),
        *_scheme(url, plain, forged),
        *_addresses(url, plain, forged),
    ]
    yield from found or [ok("Scheme and client addresses arrive, and clients cannot forge them.")]
    yield compare_clocks("the server", plain["time"], time.time())


def _other_scheme(url: str) -> str:
    return "http" if urlsplit(url).scheme == "https" else "https"


def _installation(plain: dict[str, Any]) -> Iterator[Finding]:
    if plain["installation"] != installation():
        yield warning(
            "The server at the URL uses another DATABASE_URL or REDIS_URL than this doctor: the "
            "other lines may describe another installation."
        )
    if plain["debug"] and not settings.DEBUG:
        yield wrong("The server at the URL runs with DEBUG on. Set DEBUG=0 there.")


def _scheme(url: str, plain: dict[str, Any], forged: dict[str, Any]) -> Iterator[Finding]:
    scheme = urlsplit(url).scheme
    if plain["scheme"] != scheme and not settings.DEBUG:
        yield warning(
            f"The server takes {scheme} requests for {plain['scheme']}. Configure the proxy to set "
            "X-Forwarded-Proto, and set CHAT_TRUSTED_PROXIES to the number of proxies."
        )
    elif forged["scheme"] != plain["scheme"]:
        yield wrong(
            "A client can forge the scheme. Configure the proxy to overwrite X-Forwarded-Proto."
        )


def _addresses(url: str, plain: dict[str, Any], forged: dict[str, Any]) -> Iterator[Finding]:
    """Checks the client address.

    `forwarded` counts the entries that proxies add to the header.
    """
    proxies, trusted = plain["forwarded"], plain["trusted"]
    if forged["address"] == FORGED_ADDRESS:
        yield wrong(
            f"A client can choose the address that its limits apply to: CHAT_TRUSTED_PROXIES is "
            f"{trusted}, but {proxies} proxies add to X-Forwarded-For. Set it to {proxies}."
        )
    elif proxies and not trusted:
        yield wrong(
            "X-Forwarded-For arrives and CHAT_TRUSTED_PROXIES is 0: all clients count as one "
            f"address and share its limits. Set CHAT_TRUSTED_PROXIES={proxies}."
        )
    elif proxies != trusted:
        yield wrong(
            f"CHAT_TRUSTED_PROXIES is {trusted}, but {proxies} proxies add to X-Forwarded-For: the "
            f"client addresses are wrong. Set it to {proxies}, or configure each proxy to add its "
            "client's address."
        )
    elif not proxies and not is_local(url):
        yield warning(
            "X-Forwarded-For is missing. If there is a proxy, all clients count as its address."
        )


def check_processes(url: str) -> Iterator[Finding]:
    try:
        processes = {request_echo(url)["process"] for _ in range(REQUESTS)}
    except (*UNREACHABLE, ValueError):
        yield wrong("Not checked: the server at the URL does not answer the doctor.")
        return
    if len(processes) > 1 and not settings.REDIS_URLS:
        yield warning(
            f"At least {len(processes)} server processes run without REDIS_URL: they deliver each "
            "other's messages a second late, and each knows only its own online users. Set "
            "REDIS_URL."
        )
    else:
        yield ok(f"{len(processes)} server processes answered {REQUESTS} requests.")


def check_bodies(url: str) -> Iterator[Finding]:
    """Announces a body of 1 GiB.

    nginx refuses it at once, Caddy after its `max_size`.
    """
    connection = connection_to(url, timeout=2.0)
    try:
        status = _announce_large_body(connection)
    except TimeoutError:
        yield warning(
            "A body of 1 GiB is not refused within 2 s. Limit bodies in the proxy (nginx: "
            "client_max_body_size 1m). Caddy's max_size cuts them without an answer, which is fine."
        )
        return
    except UNREACHABLE as error:
        yield wrong(f"Not checked: {url} does not answer ({reason_of(error)}).")
        return
    finally:
        connection.close()
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        yield ok("Bodies that are too large are refused.")
    else:
        yield warning(f"A body that is too large is answered {status}; clients expect 413.")


def _announce_large_body(connection: HTTPConnection) -> int:
    """Starts to send a body of 1 GiB, and returns the status of the response."""
    connection.putrequest("POST", "/api/login")
    connection.putheader("Content-Length", str(TOO_LARGE_BODY))
    connection.putheader("Content-Type", "application/json")
    connection.endheaders()
    _send_until_answered(connection)
    return connection.getresponse().status


def _send_until_answered(connection: HTTPConnection) -> None:
    """Sends at most 4 MiB, so that a server without a limit is not harmed."""
    with suppress(OSError):  # the server has closed its side; its answer can still be read
        for _ in range(MAX_CHUNKS):
            if select.select([connection.sock], [], [], 0.05)[0]:
                return
            connection.send(b" " * CHUNK)


def check_pages(url: str) -> Iterator[Finding]:
    try:
        style = get(url, f"/{settings.STATIC_URL.strip('/')}/admin/css/base.css")
    except UNREACHABLE as error:
        yield wrong(f"Not checked: {url} does not answer ({reason_of(error)}).")
        return
    content_type = style.headers.get("content-type", "")
    if style.status != HTTPStatus.OK or not content_type.startswith("text/css"):
        yield wrong(
            f"Static files are not served: /static/admin/css/base.css answers {style.status}. "
            "Configure the proxy to pass /static/ on to the server."
        )
    else:
        yield ok("Static files are served.")
