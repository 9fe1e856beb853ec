"""Renders pages with the headers that all of them have."""

from typing import Any

from django.http import HttpResponse
from django.template.loader import render_to_string

from .csp import POLICY


def page(template: str, context: dict[str, Any] | None = None) -> HttpResponse:
    """Returns a page. Without context processors: none of the pages needs the database."""
    return with_page_headers(HttpResponse(render_to_string(template, context)))


def with_page_headers(response: HttpResponse) -> HttpResponse:
    """Adds the policy, and keeps copies out of caches: a page may hold a CSRF token."""
    response["Content-Security-Policy"] = POLICY
    response["Cache-Control"] = "no-store"
    return response
