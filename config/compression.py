"""Answers with documents that hold no secrets: compressed once, with an ETag, 304 when unchanged.

Only such documents: next to text of an attacker's choice, the length of a compressed secret tells
what it is (BREACH).
"""

import gzip
import hashlib

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response, patch_vary_headers


class Representation:
    """The bytes of a document, plain and compressed."""

    __slots__ = ("etag", "gzipped", "plain")

    def __init__(self, plain: bytes) -> None:
        self.plain = plain
        self.gzipped = gzip.compress(plain, mtime=0)
        self.etag = hashlib.sha256(plain).hexdigest()[:16]


def respond(request: HttpRequest, response: HttpResponse, document: Representation) -> HttpResponse:
    """Fills the response with the representation that the client takes, or makes it a 304."""
    compressed = accepts_gzip(request)
    response.content = document.gzipped if compressed else document.plain
    return negotiated(request, response, etag=document.etag, compressed=compressed)


def negotiated(
    request: HttpRequest, response: HttpResponse, *, etag: str, compressed: bool
) -> HttpResponse:
    """The headers of one representation of several; 304 for a client that has it."""
    if compressed:
        response["Content-Encoding"] = "gzip"
    # Other bytes, so another strong tag (RFC 9110 §8.8.1).
    response["ETag"] = f'"{etag}-gzip"' if compressed else f'"{etag}"'
    patch_vary_headers(response, ["Accept-Encoding"])
    etag = response["ETag"]
    return get_conditional_response(request, etag=etag, response=response) or response


def accepts_gzip(request: HttpRequest) -> bool:
    """Whether `Accept-Encoding` names gzip, or anything, with a weight above zero."""
    weights = {}
    for offer in request.headers.get("Accept-Encoding", "").lower().split(","):
        name, _, weight = offer.replace(" ", "").partition(";q=")
        weights[name] = weight
    weight = weights.get("gzip", weights.get("*", "0"))
    return weight.strip("0.") != "" or weight == ""
