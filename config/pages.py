"""The written guide to the frames, served where Swagger UI links it."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse


async def websocket_guide(request: HttpRequest) -> HttpResponse:
    """`docs/websocket.md` as it is in the repository, to be read in a browser."""
    text = (settings.BASE_DIR / "docs" / "websocket.md").read_text(encoding="utf-8")
    return HttpResponse(text, content_type="text/plain; charset=utf-8")
