"""Serves public documents compressed, with an ETag, and 304 when unchanged.

Only for documents without secrets: the compressed length of a secret beside attacker-chosen text
reveals the secret (BREACH).
"""

import gzip
import hashlib

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response, patch_vary_headers


class Representation:
    """Holds the bytes of a document, plain and compressed, and its ETag."""

    __slots__ = ("etag", "gzipped", "plain")

    def __init__(self, plain: bytes) -> None:
        self.plain = plain
        self.gzipped = gzip.compress(plain, mtime=0)
        self.etag = hashlib.sha256(plain).hexdigest()[:16]


def respond(request: HttpRequest, response: HttpResponse, document: Representation) -> HttpResponse:
    """Fills the response with what the client accepts, or returns a 304."""
    compressed = accepts_gzip(request)
    response.content = document.gzipped if compressed else document.plain
    return negotiated(request, response, etag=document.etag, compressed=compressed)


def negotiated(
    request: HttpRequest, response: HttpResponse, *, etag: str, compressed: bool
) -> HttpResponse:
    """Sets the headers of a representation; returns a 304 when the client has it."""
    if compressed:
        response["Content-Encoding"] = "gzip"
    # Different bytes need a different strong tag (RFC 9110 §8.8.1).
    response["ETag"] = f'"{etag}-gzip"' if compressed else f'"{etag}"'
    patch_vary_headers(response, ["Accept-Encoding"])
    etag = response["ETag"]
    return get_conditional_response(request, etag=etag, response=response) or response


def accepts_gzip(request: HttpRequest) -> bool:
    """Returns whether `Accept-Encoding` has gzip or `*` with a weight above zero."""
    weights = {}
    for offer in request.headers.get("Accept-Encoding", "").lower().split(","):
        name, _, weight = offer.replace(" ", "").partition(";q=")
        weights[name] = weight
    weight = weights.get("gzip", weights.get("*", "0"))
    return weight.strip("0.") != "" or weight == ""
