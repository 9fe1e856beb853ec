"""Settings that are taken and yet a mistake, as far as they can be told without asking anybody."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core import checks
from django.http.request import validate_host

from realtime.library_versions import unfamiliar_libraries

from .finding import Finding, ok, warning, wrong

LOCAL = ("localhost", "127.0.0.1", "::1")
ASSETS = ("admin/css/base.css", "ninja/swagger-ui-bundle.js")


def is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in LOCAL or host.startswith("127.")


def look_at_settings(url: str | None) -> Iterator[Finding]:
    """`url` is where people reach the chat, None when the doctor was not told."""
    found = [*_debug(url), *_hosts(url), *_origins(), *_workers(), *_django()]
    if url is not None and urlsplit(url).scheme == "http" and not is_local(url):
        found.append(
            warning("The URL is http: tokens and messages can be read on the way. Use https.")
        )
    if found:
        yield from found
    elif settings.DEBUG:
        yield ok("Development mode (DEBUG=1), which is right on this machine alone.")
    else:
        yield ok("DEBUG is off, hosts and origins are named.")


def _debug(url: str | None) -> Iterator[Finding]:
    if settings.DEBUG and url is not None and not is_local(url):
        yield wrong(
            "DEBUG is on and the chat has a public URL: every error shows the inside to everybody. "
            "Set DEBUG=0."
        )


def _hosts(url: str | None) -> Iterator[Finding]:
    if "*" in settings.ALLOWED_HOSTS:
        yield warning(
            "ALLOWED_HOSTS is *: a request may claim any host name. Name those of the chat instead."
        )
    host = urlsplit(url).hostname if url else None
    if host and not validate_host(host, settings.ALLOWED_HOSTS):
        yield wrong(f"ALLOWED_HOSTS does not name {host}: every request there is refused. Add it.")


def _origins() -> Iterator[Finding]:
    if "*" in settings.ALLOWED_ORIGINS and not settings.DEBUG:
        yield warning(
            "ALLOWED_ORIGINS is *: any web page may use the API with a token that it got hold of. "
            "Name the origins of your own pages."
        )


def _workers() -> Iterator[Finding]:
    wanted = os.environ.get("WEB_CONCURRENCY", "")
    if wanted.isdecimal() and int(wanted) > 1 and not settings.REDIS_URLS:
        yield warning(
            f"WEB_CONCURRENCY starts {wanted} server processes, and no REDIS_URL joins them: they "
            "hear of each other a second late, and each knows its own users. Set REDIS_URL."
        )


def _django() -> Iterator[Finding]:
    """Django's own checks, which would otherwise stop the doctor at the door."""
    for message in checks.run_checks(include_deployment_checks=not settings.DEBUG):
        if message.is_silenced() or message.level < checks.WARNING:
            continue
        tell = wrong if message.is_serious() else warning
        yield tell(f"Django's check {message.id}: {' '.join(message.msg.split())}")


def look_at_libraries() -> Iterator[Finding]:
    """Whether the libraries whose inside we use are as we know them."""
    unfamiliar = unfamiliar_libraries()
    for library in unfamiliar:
        yield warning(library.sentence)
    if not unfamiliar:
        yield ok("uvicorn, daphne and channels_redis are of versions that were tested.")


def look_at_static_files() -> Iterator[Finding]:
    missing = [name for name in ASSETS if finders.find(name) is None]
    if missing:
        yield wrong(
            f"Static files are missing ({', '.join(missing)}): install requirements.txt anew."
        )
    else:
        yield ok("The pages of admin and Swagger UI have their files.")
