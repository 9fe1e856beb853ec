"""Serves the document as JSON and YAML, with the address of the request."""

import functools

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from config.documents import Document, compact_json

from .document import document_for
from .yaml_text import yaml_text

PLACEHOLDER = "%HOST%"
"""YAML quotes it, so that any host fits in its place. Writing YAML takes 90 ms: too long for each
port that a client names in `Host`."""


@functools.cache
def _json_template(scheme: str) -> bytes:
    return compact_json(document_for(PLACEHOLDER, secure=scheme == "https"))


@functools.cache
def _yaml_template(scheme: str) -> bytes:
    return yaml_text(document_for(PLACEHOLDER, secure=scheme == "https")).encode()


def _encode_json(scheme: str, host: str) -> bytes:
    return _json_template(scheme).replace(PLACEHOLDER.encode(), host.encode())


def _encode_yaml(scheme: str, host: str) -> bytes:
    return _yaml_template(scheme).replace(PLACEHOLDER.encode(), host.encode())


_json = Document("application/json", _encode_json)
_yaml = Document("application/yaml", _encode_yaml)


@csrf_exempt  # so that other methods answer 405, not the HTML page of a CSRF failure
@require_safe
async def asyncapi_json(request: HttpRequest) -> HttpResponse:
    """Answers with the document as JSON."""
    return await _json.answer(request)


@csrf_exempt
@require_safe
async def asyncapi_yaml(request: HttpRequest) -> HttpResponse:
    """Answers with the document as YAML (RFC 9512)."""
    return await _yaml.answer(request)
