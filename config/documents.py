"""Serves documents that name the server's address: OpenAPI and AsyncAPI.

Each is built once and cached for each origin, compressed and with an ETag.
"""

import asyncio
import functools
import json
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from .compression import Representation, respond

MAX_ORIGINS = 16
"""Origins whose document is cached, 160 KB each. Another port in `Host` is another origin, so a
client that varies it costs 6 ms per request: as much as two ordinary requests."""

Encode = Callable[[str, str], bytes]
"""Returns a document for a scheme, `http` or `https`, and a host."""


class Document:
    """A document in one format."""

    def __init__(self, content_type: str, encode: Encode) -> None:
        self._content_type = content_type
        self._building = threading.Lock()
        self._encode = encode
        self._representation = functools.lru_cache(MAX_ORIGINS)(self._represent)

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answers with the document for the origin of the request."""
        response = HttpResponse(
            content_type=self._content_type, headers={"Cache-Control": "no-cache"}
        )
        if settings.SECURE_PROXY_SSL_HEADER:
            # A cache between the proxy and this process sees both schemes at one URL.
            response["Vary"] = "X-Forwarded-Proto"
        origin = (request.scheme or "http", request.get_host())
        # Off the loop: the first request builds the document.
        return respond(request, response, await asyncio.to_thread(self._representation, *origin))

    def _represent(self, scheme: str, host: str) -> Representation:
        with self._building:
            return Representation(self._encode(scheme, host))


def compact_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
