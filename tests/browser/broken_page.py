"""Serves the application with an address that raises an unexpected error."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from config.asgi import application  # loads the apps, which the addresses need

__all__ = ["application"]


def broken(request: HttpRequest) -> HttpResponse:
    raise LookupError("a secret detail")


def add_address() -> None:
    from config.urls import urlpatterns

    urlpatterns.insert(0, path("broken", broken))


add_address()
