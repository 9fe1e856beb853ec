"""Renders pages with the headers that all of them have."""

from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

from .csp import POLICY


def page(template: str, context: dict[str, Any] | None = None) -> HttpResponse:
    """Returns a page.

    Without context processors: none of the pages needs the database.
    """
    response = HttpResponse(render_to_string(template, context))
    set_page_headers(response)
    return response


def set_page_headers(response: HttpResponseBase) -> None:
    """Sets the policy, and keeps copies out of caches: a page may hold a CSRF token."""
    response["Content-Security-Policy"] = POLICY
    response["Cache-Control"] = "no-store"
