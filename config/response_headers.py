"""Sets Content-Security-Policy and Cache-Control by path."""

from django.http.response import HttpResponseBase

# Only our own files, so that a script injected through a name or a title does not run. `data:`
# images are in the styles of Swagger UI and the admin.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
PUBLIC_API_PATHS = frozenset(
    {"/api/docs", "/api/openapi.json", "/api/asyncapi.json", "/api/asyncapi.yaml"}
)
"""Equal for all users. Other answers under /api may contain tokens or personal data."""


def set_address_headers(path: str, response: HttpResponseBase) -> None:
    """Sets the headers. Runs for every response, so it checks only the path."""
    headers = response.headers
    if path.startswith("/api/") and path not in PUBLIC_API_PATHS:
        headers.setdefault("Cache-Control", "no-store")
    elif path == "/api/docs" or path.startswith("/admin/"):
        headers.setdefault("Content-Security-Policy", PAGE_POLICY)
