"""Serves static files of installed packages, compressed at first request.

Without `collectstatic` there are no `.gz` files beside them. Compressing all files at the start
would cost each worker 0.3 s, for files that are rarely requested.
"""

import asyncio
import gzip
import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from prometheus_client import Gauge
from servestatic.middleware import ServeStaticMiddleware
from servestatic.responders import MissingFileError, StaticFile
from typing_extensions import override

from .compression import accepts_gzip, negotiated

COMPRESSIBLE = {".css", ".html", ".js", ".json", ".svg", ".txt", ".xml"}
MIN_SIZE = 1024
"""Bytes. A smaller file fits into one packet uncompressed."""
REVALIDATED = ("/static/web/", "/static/chat-client/")
FOR_EVERY_ORIGIN = "/static/chat-client/"
"""Pages of other origins import the client. It is public code; ALLOWED_ORIGINS guards the API."""
COPIED_HEADERS = (
    "Access-Control-Allow-Origin",
    "Cache-Control",
    "Content-Type",
    "Last-Modified",
)

cache_bytes = Gauge(
    "chat_static_cache_bytes",
    "Bytes of compressed static files in memory",
    multiprocess_mode="livesum",
)


class StaticFilesMiddleware(ServeStaticMiddleware):  # type: ignore[misc]
    """Extends servestatic: compressed copies in memory, and 404 for missing files."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._cache = GzipCache(settings.CHAT_STATIC_CACHE_SIZE)

    @override
    def add_cache_headers(self, headers: Any, path: str, url: str) -> None:
        """Makes browsers ask before they use a copy of a module or style of our pages.

        Modules import each other by names without a hash: after an update a cached one would meet
        a new one. An unchanged file costs a 304.
        """
        super().add_cache_headers(headers, path, url)
        if url.startswith(REVALIDATED):
            headers["Cache-Control"] = "public, no-cache"
        if url.startswith(FOR_EVERY_ORIGIN):
            headers["Access-Control-Allow-Origin"] = "*"

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        file = self.files.get(request.path_info)
        if not isinstance(file, StaticFile) or not is_compressible(file):
            return await self._plain(request)
        whole = request.method in ("GET", "HEAD") and "Range" not in request.headers
        zipped = await self._cache.get(path_of(file)) if whole and accepts_gzip(request) else None
        if zipped is not None:
            return compressed(request, file, zipped)
        response: HttpResponseBase = await super().__call__(request)
        patch_vary_headers(response, ["Accept-Encoding"])
        return response

    async def _plain(self, request: HttpRequest) -> HttpResponseBase:
        """Answers without compression. With DEBUG servestatic raises for a missing file."""
        try:
            response: HttpResponseBase = await super().__call__(request)
        except MissingFileError:
            response = await self.get_response(request)
        return response


def path_of(file: StaticFile) -> str:
    _, path, _ = file.alternatives[-1]
    return str(path)


def is_compressible(file: StaticFile) -> bool:
    """Returns whether to compress a file: not if servestatic has a `.gz` of it."""
    if len(file.alternatives) > 1:
        return False
    _, path, headers = file.alternatives[0]
    return Path(path).suffix in COMPRESSIBLE and int(dict(headers)["Content-Length"]) >= MIN_SIZE


def compressed(request: HttpRequest, file: StaticFile, zipped: bytes) -> HttpResponse:
    _, _, headers = file.alternatives[-1]
    kept = {name: value for name, value in headers if name in COPIED_HEADERS}
    # CommonMiddleware, which sets the length of other responses, runs inside this middleware.
    response = HttpResponse(zipped, headers=kept | {"Content-Length": str(len(zipped))})
    return negotiated(request, response, etag=file.etag.strip('"'), compressed=True)


class GzipCache:
    """Caches compressed files up to a size limit.

    Further files are sent uncompressed. Nothing is evicted: two files that do not fit together
    would be compressed at each request.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._files: dict[str, bytes] = {}
        self._size = 0
        self._refused: set[str] = set()
        self._compressing = threading.Lock()

    async def get(self, path: str) -> bytes | None:
        if path in self._refused:
            return None
        return self._files.get(path) or await asyncio.to_thread(self._add, path)

    def _add(self, path: str) -> bytes | None:
        # One at a time, so that simultaneous requests for a file compress it once.
        with self._compressing:
            if path in self._files or path in self._refused:
                return self._files.get(path)
            zipped = gzip.compress(Path(path).read_bytes(), mtime=0)
            if self._limit is not None and self._size + len(zipped) > self._limit:
                self._refused.add(path)
                return None
            self._files[path] = zipped
            self._size += len(zipped)
            cache_bytes.inc(len(zipped))
            return zipped
