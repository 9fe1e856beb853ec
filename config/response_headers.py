"""Headers that depend on the address: what pages may load, and what nobody may keep."""

from django.http.response import HttpResponseBase

# Our own files alone: a script that somebody smuggles into a name or a title does not run. Images
# may be data, as the styles of Swagger UI and the admin have them.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
PUBLIC_API_PATHS = frozenset({"/api/docs", "/api/openapi.json"})
"""The same for everybody. All else under /api holds tokens or personal data."""


def set_address_headers(path: str, response: HttpResponseBase) -> None:
    """Asked for every response of Django, so it looks at nothing but the path."""
    headers = response.headers
    if path.startswith("/api/") and path not in PUBLIC_API_PATHS:
        headers.setdefault("Cache-Control", "no-store")
    elif path == "/api/docs" or path.startswith("/admin/"):
        headers.setdefault("Content-Security-Policy", PAGE_POLICY)
