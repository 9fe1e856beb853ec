"""Serves the WebSocket guide, and answers mistyped URLs."""

from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    HttpResponseServerError,
    JsonResponse,
)
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

UPGRADE_HINT = (
    "This is a WebSocket address. Open it with a WebSocket client, as ws:// or wss://; "
    "/docs/websocket.md describes the frames"
)


async def websocket_guide(request: HttpRequest) -> HttpResponse:
    """Answers with `docs/websocket.md` as plain text."""
    text = (settings.BASE_DIR / "docs" / "websocket.md").read_text(encoding="utf-8")
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


async def to_admin(request: HttpRequest) -> HttpResponse:
    """Redirects `/admin` to `/admin/`."""
    return HttpResponseRedirect(reverse("admin:index"))


def server_error(request: HttpRequest) -> HttpResponse:
    """Answers 500 without a template, which Django's own view looks for.

    `web.error_pages` makes a page of it for browsers.
    """
    return HttpResponseServerError("<h1>Server Error (500)</h1>")


@csrf_exempt  # a POST must get this answer too
async def upgrade_required(request: HttpRequest) -> HttpResponse:
    """Answers plain HTTP at a WebSocket URL with 426 and the headers of RFC 9110."""
    answer = JsonResponse({"code": "upgrade_required", "detail": UPGRADE_HINT}, status=426)
    answer["Upgrade"] = "websocket"
    answer["Connection"] = "Upgrade"
    return answer
