"""Routes the pages, which CHAT_WEB=off removes."""

from django.conf import settings
from django.urls import URLPattern, path

from .playground import playground
from .start import create_demo, favicon, start


def pages() -> list[URLPattern]:
    """Returns the patterns.

    They come before those of the API, which takes all of `/api/`.
    """
    patterns = [
        path("", start, name="start"),
        path("favicon.ico", favicon),
        path("api/sockets", playground, name="playground"),
    ]
    if settings.DEBUG:
        patterns.append(path("demo", create_demo, name="demo"))
    return patterns
