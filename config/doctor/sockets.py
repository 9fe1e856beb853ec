"""Checks WebSockets through the public URL.

The checks authenticate no user: the close code and error of a refusal are enough.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Origin

from .finding import Finding, ok, warning, wrong
from .web import reason_of

TIMEOUT = 5.0
PATH = "/ws/chat/doctor/?token=none"
FOREIGN_ORIGIN = "https://doctor.invalid"
MAX_FRAMES = 5


def refusal(url: str, origin: str | None = None) -> tuple[int, str]:
    """Returns the close code and the code of the error frame ("" without one).

    Raises OSError, InvalidHandshake.
    """
    return asyncio.run(_refusal(url, origin))


async def _refusal(url: str, origin: str | None) -> tuple[int, str]:
    """Uses the asyncio client.

    The threaded one reads and writes one TLS connection at once. OpenSSL does not allow that:
    sometimes a request was lost while the other thread read the session tickets that follow the
    handshake.
    """
    parts = urlsplit(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    async with connect(
        f"{scheme}://{parts.netloc}{PATH}",
        origin=Origin(origin) if origin else None,
        open_timeout=TIMEOUT,
        close_timeout=1,
        compression=None,
        proxy=None,
    ) as connection:
        error_code = ""
        try:
            for _ in range(MAX_FRAMES):
                async with asyncio.timeout(TIMEOUT):
                    error_code = _error_code(await connection.recv()) or error_code
        except ConnectionClosed as closing:
            return closing.rcvd.code if closing.rcvd else 1006, error_code
    return 0, error_code


def _error_code(text: str | bytes) -> str:
    try:
        frame: Any = json.loads(text)
        return str(frame["code"]) if frame["type"] == "error" else ""
    except (ValueError, KeyError, TypeError):
        return ""


def check_websocket(url: str) -> Iterator[Finding]:
    """Expects an error frame and close code 4401 for an invalid token."""
    try:
        close_code, error_code = refusal(url)
    except InvalidStatus as error:
        yield wrong(
            f"A WebSocket is answered with HTTP {error.response.status_code}. Configure the proxy "
            "to pass on Upgrade and Connection with HTTP/1.1 (docs/deployment.md)."
        )
    except InvalidHandshake as error:
        yield wrong(f"A WebSocket cannot be opened ({type(error).__name__}). Check the proxy.")
    except TimeoutError:
        yield wrong(
            "A WebSocket opens but no frame arrives. Switch off the proxy's buffering for /ws/."
        )
    except OSError as error:
        yield wrong(f"Not checked: {url} does not answer ({reason_of(error)}).")
    else:
        if (close_code, error_code) == (4401, "token_invalid"):
            yield ok("A WebSocket opens. An invalid token is refused with its reason and 4401.")
        else:
            yield wrong(
                f"An invalid token ended in close code {close_code} and error "
                f"{error_code or 'without a frame'}, not in 4401 and token_invalid. A proxy "
                "changes or closes the connection."
            )


def check_origin(url: str) -> Iterator[Finding]:
    """Checks that the chat's own pages may open sockets, and other origins may not."""
    parts = urlsplit(url)
    try:
        own = refusal(url, f"{parts.scheme}://{parts.netloc}")
        foreign = refusal(url, FOREIGN_ORIGIN)
    except (InvalidHandshake, OSError) as error:
        yield wrong(f"Not checked: no WebSocket opens at the URL ({reason_of(error)}).")
        return
    if own[1] == "forbidden":
        yield wrong(
            f"A page at {parts.scheme}://{parts.netloc} may not open a socket. Configure the proxy "
            "to pass on Host unchanged, or add that origin to ALLOWED_ORIGINS."
        )
    elif foreign[1] != "forbidden" and "*" in settings.ALLOWED_ORIGINS:
        yield warning("Pages of any origin may open sockets: ALLOWED_ORIGINS is *.")
    elif foreign[1] != "forbidden":
        yield wrong("A page of a foreign origin may open a socket: the proxy removes Origin.")
    else:
        yield ok("The chat's own pages may open sockets, pages of other origins may not.")
