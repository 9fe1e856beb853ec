"""Checks settings, library versions and static files, without any connection."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core import checks
from django.http.request import validate_host

from realtime.library_versions import unfamiliar_libraries

from .finding import Finding, ok, warning, wrong

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
ASSETS = ["admin/css/base.css", "ninja/swagger-ui-bundle.js"]
if settings.CHAT_WEB:
    ASSETS += ["web/site.css", "web/vendor/htm-preact-standalone.js"]


def is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in LOCAL_HOSTS or host.startswith("127.")


def check_settings(url: str | None) -> Iterator[Finding]:
    """Checks settings for mistakes. `url` is the public URL of the chat, if known."""
    found = [*_debug(url), *_hosts(url), *_origins(), *_workers(), *_django()]
    if url is not None and urlsplit(url).scheme == "http" and not is_local(url):
        found.append(
            warning("The URL is http: the network can read tokens and messages. Use https.")
        )
    if found:
        yield from found
    elif settings.DEBUG:
        yield ok("Development mode (DEBUG=1), which is only for this machine.")
    else:
        yield ok("DEBUG is off, and hosts and origins are set.")


def _debug(url: str | None) -> Iterator[Finding]:
    if settings.DEBUG and url is not None and not is_local(url):
        yield wrong(
            "DEBUG is on and the chat has a public URL: every error page shows internals to "
            "everybody. Set DEBUG=0."
        )


def _hosts(url: str | None) -> Iterator[Finding]:
    if "*" in settings.ALLOWED_HOSTS:
        yield warning(
            "ALLOWED_HOSTS is *: a request may claim any host name. List the chat's host names "
            "instead."
        )
    host = urlsplit(url).hostname if url else None
    if host and not validate_host(host, settings.ALLOWED_HOSTS):
        yield wrong(f"ALLOWED_HOSTS does not contain {host}: all its requests are refused. Add it.")


def _origins() -> Iterator[Finding]:
    if "*" in settings.ALLOWED_ORIGINS and not settings.DEBUG:
        yield warning(
            "ALLOWED_ORIGINS is *: any web page that has a token may use the API with it. List the "
            "origins of your own pages instead."
        )


def _workers() -> Iterator[Finding]:
    workers = os.environ.get("WEB_CONCURRENCY", "")
    if workers.isdecimal() and int(workers) > 1 and not settings.REDIS_URLS:
        yield warning(
            f"WEB_CONCURRENCY starts {workers} server processes without REDIS_URL: they deliver "
            "each other's messages a second late, and each knows only its own online users. Set "
            "REDIS_URL."
        )


def _django() -> Iterator[Finding]:
    """Runs Django's own checks, which would otherwise end the command first."""
    for message in checks.run_checks(include_deployment_checks=not settings.DEBUG):
        if message.is_silenced() or message.level < checks.WARNING:
            continue
        finding = wrong if message.is_serious() else warning
        yield finding(f"Django's check {message.id}: {' '.join(message.msg.split())}")


def check_libraries() -> Iterator[Finding]:
    """Checks the versions of the libraries whose private names the code uses."""
    unfamiliar = unfamiliar_libraries()
    for library in unfamiliar:
        yield warning(library.sentence)
    if not unfamiliar:
        yield ok("The versions of uvicorn, daphne and channels_redis are tested ones.")


def check_static_files() -> Iterator[Finding]:
    missing = [name for name in ASSETS if finders.find(name) is None]
    if missing:
        yield wrong(
            f"Static files are missing ({', '.join(missing)}): reinstall requirements.txt, and "
            "copy all files of this version."
        )
    else:
        yield ok("The static files of the pages, the admin and Swagger UI are installed.")
