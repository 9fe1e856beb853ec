"""The chat as people reach it: through the public URL and every proxy on the way."""

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

from .clock import compare
from .echo import HEADER, installation, signature
from .finding import Finding, ok, warning, wrong
from .installation import is_local

PATIENCE = 5.0
LARGE = 1024**3
CHUNK, CHUNKS = 256 * 1024, 16
CLAIMED = "192.0.2.1"
"""An address of nobody (RFC 5737)."""
TIMES = 8
UNREACHABLE = (OSError, HTTPException)


@dataclass(frozen=True)
class Answer:
    """Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def connection_to(url: str, patience: float = PATIENCE) -> HTTPConnection:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=patience)


def ask(url: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Raises OSError, HTTPException."""
    connection = connection_to(url)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, named, answer.read())
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


def look_at_health(url: str) -> Iterator[Finding]:
    try:
        healthz, readyz = ask(url, "/healthz"), ask(url, "/readyz")
    except UNREACHABLE as error:
        yield wrong(
            f"{url} does not answer ({reason_of(error)}). Start proxy and server, check DNS."
        )
        return
    if healthz.status != HTTPStatus.OK:
        yield wrong(_instead(healthz.status))
    elif readyz.status != HTTPStatus.OK:
        yield wrong(f"The server is up and not ready: {_state(readyz)}.")
    elif _state(readyz) != "ok":
        yield warning(f"The server is ready, but {_state(readyz)}: see its log.")
    else:
        yield ok("/healthz and /readyz answer.")


def _instead(status: int) -> str:
    known: dict[int, str] = {
        HTTPStatus.BAD_REQUEST: "the server refuses the host name: see ALLOWED_HOSTS, and let the "
        "proxy hand on Host",
        HTTPStatus.NOT_FOUND: "something else than the chat answers there",
        HTTPStatus.BAD_GATEWAY: "the proxy reaches no server: see its upstream",
        HTTPStatus.SERVICE_UNAVAILABLE: "the proxy reaches no server: see its upstream",
    }
    # A number: those of CDNs, such as 522, are in no standard.
    why = known.get(status, "a proxy on the way answers in place of the chat")
    return f"/healthz answers {status}: {why}."


def _state(readyz: Answer) -> str:
    try:
        told = json.loads(readyz.body)
        return str(told["status"]) if told["status"] != "unavailable" else str(told["database"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {readyz.status}"


def hear(url: str, **claims: str) -> dict[str, Any]:
    """What the server saw of a request. Raises OSError, HTTPException; ValueError for no answer."""
    answer = ask(url, "/doctor", {HEADER: signature(), **claims})
    if answer.status != HTTPStatus.OK:
        raise ValueError(answer.status)
    told: dict[str, Any] = json.loads(answer.body)
    return told


def look_at_proxy(url: str) -> Iterator[Finding]:
    """Scheme and addresses as the server sees them, and whether a client can make them up."""
    claims = {"X-Forwarded-For": CLAIMED, "X-Forwarded-Proto": _other_scheme(url)}
    try:
        plain, claimed = hear(url), hear(url, **claims)
    except UNREACHABLE as error:
        yield wrong(f"Cannot tell: {url} does not answer ({reason_of(error)}).")
        return
    except ValueError:
        yield wrong(
            "The server at the URL does not know this doctor: it has another SECRET_KEY or "
            "version. Run the doctor with the environment of the server."
        )
        return
    found = [
        *_installation(plain),
        *_scheme(url, plain, claimed),
        *_addresses(url, plain, claimed),
    ]
    yield from found or [ok("Scheme and client addresses arrive, and nobody can make them up.")]
    yield compare("the server", plain["time"], time.time())


def _other_scheme(url: str) -> str:
    return "http" if urlsplit(url).scheme == "https" else "https"


def _installation(plain: dict[str, Any]) -> Iterator[Finding]:
    if plain["installation"] != installation():
        yield warning(
            "The server at the URL uses another DATABASE_URL or REDIS_URL than this doctor: what "
            "the other lines say may not be about it."
        )
    if plain["debug"] and not settings.DEBUG:
        yield wrong("The server at the URL runs with DEBUG on. Set DEBUG=0 there.")


def _scheme(url: str, plain: dict[str, Any], claimed: dict[str, Any]) -> Iterator[Finding]:
    scheme = urlsplit(url).scheme
    if plain["scheme"] != scheme and not settings.DEBUG:
        yield warning(
            f"The server takes requests by {scheme} for {plain['scheme']}. Let the proxy set "
            "X-Forwarded-Proto, and CHAT_TRUSTED_PROXIES to the number of proxies."
        )
    elif claimed["scheme"] != plain["scheme"]:
        yield wrong(
            "A client can make the server believe in another scheme: let the proxy overwrite "
            "X-Forwarded-Proto."
        )


def _addresses(url: str, plain: dict[str, Any], claimed: dict[str, Any]) -> Iterator[Finding]:
    """`forwarded` is how many entries proxies made; the claim of a client comes on top, or not."""
    arrived, trusted = plain["forwarded"], plain["trusted"]
    if claimed["address"] == CLAIMED:
        yield wrong(
            f"A client can choose the address that its limits count for: CHAT_TRUSTED_PROXIES is "
            f"{trusted}, and {arrived} proxies add to X-Forwarded-For. Set it to {arrived}."
        )
    elif arrived and not trusted:
        yield wrong(
            "X-Forwarded-For arrives and CHAT_TRUSTED_PROXIES is 0: all clients count as one "
            f"address and share its limits. Set CHAT_TRUSTED_PROXIES={arrived}."
        )
    elif arrived != trusted:
        yield wrong(
            f"CHAT_TRUSTED_PROXIES is {trusted}, but {arrived} proxies add to X-Forwarded-For: "
            f"the addresses are wrong. Set it to {arrived}, or let each proxy add the address it "
            "saw."
        )
    elif not arrived and not is_local(url):
        yield warning("No proxy adds X-Forwarded-For: if there is one, all clients look like it.")


def look_at_processes(url: str) -> Iterator[Finding]:
    try:
        seen = {hear(url)["process"] for _ in range(TIMES)}
    except (*UNREACHABLE, ValueError):
        yield wrong("Cannot tell: the server at the URL did not say who it is.")
        return
    if len(seen) > 1 and not settings.REDIS_URLS:
        yield warning(
            f"At least {len(seen)} server processes answer, and no REDIS_URL joins them: they hear "
            "of each other a second late, and each knows its own users. Set REDIS_URL."
        )
    else:
        yield ok(f"{len(seen)} server processes answered {TIMES} requests.")


def look_at_bodies(url: str) -> Iterator[Finding]:
    """Announces a body far too large. nginx refuses at once, Caddy after what it lets through."""
    connection = connection_to(url, patience=2.0)
    try:
        status = _announce_large_body(connection)
    except TimeoutError:
        yield warning(
            "Nobody refuses a body of 1 GiB in time. Limit bodies in the proxy (nginx: "
            "client_max_body_size 1m); Caddy's max_size cuts them without a word, which is fine."
        )
        return
    except UNREACHABLE as error:
        yield wrong(f"Cannot tell: {url} does not answer ({reason_of(error)}).")
        return
    finally:
        connection.close()
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        yield ok("Bodies that are too large are refused.")
    else:
        yield warning(f"A body that is too large is answered {status}: clients expect 413.")


def _announce_large_body(connection: HTTPConnection) -> int:
    """Starts to send a body of 1 GiB; the status of the answer."""
    connection.putrequest("POST", "/api/login")
    connection.putheader("Content-Length", str(LARGE))
    connection.putheader("Content-Type", "application/json")
    connection.endheaders()
    _send_until_answered(connection)
    return connection.getresponse().status


def _send_until_answered(connection: HTTPConnection) -> None:
    """A few MiB; no more than a server without any limit can bear."""
    with suppress(OSError):  # it has stopped reading: the answer tells what it thinks of it
        for _ in range(CHUNKS):
            if select.select([connection.sock], [], [], 0.05)[0]:
                return
            connection.send(b" " * CHUNK)


def look_at_pages(url: str) -> Iterator[Finding]:
    try:
        style = ask(url, f"/{settings.STATIC_URL.strip('/')}/admin/css/base.css")
    except UNREACHABLE as error:
        yield wrong(f"Cannot tell: {url} does not answer ({reason_of(error)}).")
        return
    kind = style.headers.get("content-type", "")
    if style.status != HTTPStatus.OK or not kind.startswith("text/css"):
        yield wrong(
            f"Static files are not served: /static/admin/css/base.css answers {style.status}. Let "
            "the proxy hand /static/ on to the server."
        )
    else:
        yield ok("Static files are served.")
