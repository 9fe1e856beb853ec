"""WebSockets through the public URL. Nobody signs in: the refusals tell all that is to be known."""

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

PATIENCE = 5.0
PATH = "/ws/chat/doctor/?token=none"
STRANGER = "https://doctor.invalid"
MAX_FRAMES = 5


def refusal(url: str, origin: str | None = None) -> tuple[int, str]:
    """Close code, and the code of the error frame before it ("" without one).

    Raises OSError, InvalidHandshake.
    """
    return asyncio.run(_refusal(url, origin))


async def _refusal(url: str, origin: str | None) -> tuple[int, str]:
    """On a loop: the client with threads reads and writes one TLS connection at once.

    OpenSSL does not allow that: now and then a request was lost on its way, while the other thread
    read the session tickets that follow the handshake.
    """
    parts = urlsplit(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    async with connect(
        f"{scheme}://{parts.netloc}{PATH}",
        origin=Origin(origin) if origin else None,
        open_timeout=PATIENCE,
        close_timeout=1,
        compression=None,
        proxy=None,
    ) as connection:
        said = ""
        try:
            for _ in range(MAX_FRAMES):
                async with asyncio.timeout(PATIENCE):
                    said = _code_in(await connection.recv()) or said
        except ConnectionClosed as closing:
            return closing.rcvd.code if closing.rcvd else 1006, said
    return 0, said


def _code_in(text: str | bytes) -> str:
    try:
        frame: Any = json.loads(text)
        return str(frame["code"]) if frame["type"] == "error" else ""
    except (ValueError, KeyError, TypeError):
        return ""


def look_at_upgrade(url: str) -> Iterator[Finding]:
    """A wrong token is answered by an error frame and 4401, when all on the way let it through."""
    try:
        code, said = refusal(url)
    except InvalidStatus as error:
        yield wrong(
            f"A WebSocket is answered with HTTP {error.response.status_code}: let the proxy hand "
            "on Upgrade and Connection, by HTTP/1.1 (docs/deployment.md)."
        )
    except InvalidHandshake as error:
        yield wrong(f"A WebSocket cannot be opened ({type(error).__name__}): see the proxy.")
    except TimeoutError:
        yield wrong(
            "A WebSocket hangs: the proxy holds it back. Switch its buffering off for /ws/."
        )
    except OSError as error:
        yield wrong(f"Cannot tell: {url} does not answer ({reason_of(error)}).")
    else:
        if (code, said) == (4401, "token_invalid"):
            yield ok("A WebSocket opens, and a wrong token is refused with its reason and 4401.")
        else:
            yield wrong(
                f"A wrong token ended in close code {code} and error {said or 'without a frame'}, "
                "not in token_invalid and 4401: something on the way cuts in."
            )


def look_at_origins(url: str) -> Iterator[Finding]:
    """Browsers say which page opens a socket: our own ones may, others may not."""
    parts = urlsplit(url)
    try:
        own, foreign = refusal(url, f"{parts.scheme}://{parts.netloc}"), refusal(url, STRANGER)
    except (InvalidHandshake, OSError) as error:
        yield wrong(f"Cannot tell: no WebSocket opens at the URL ({reason_of(error)}).")
        return
    if own[1] == "forbidden":
        yield wrong(
            f"A page at {parts.scheme}://{parts.netloc} may not open a socket: let the proxy hand "
            "on Host as it came, or add that origin to ALLOWED_ORIGINS."
        )
    elif foreign[1] != "forbidden" and "*" in settings.ALLOWED_ORIGINS:
        yield warning("Pages of any origin may open sockets: ALLOWED_ORIGINS is *.")
    elif foreign[1] != "forbidden":
        yield wrong("A page of a foreign origin may open a socket: the proxy hides Origin.")
    else:
        yield ok("Our own pages may open sockets, pages from elsewhere may not.")
