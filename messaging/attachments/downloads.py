"""Sends the bytes of a file, from the disk, by nginx or from object storage.

The disk's answer has ranges (RFC 9110 §14), an ETag and conditional requests. Access is checked
before, at every request; `private` without a lifetime makes browsers ask again each time.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import IO

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header, parse_etags
from typing_extensions import override

from accounts.kernel.json_answers import json_answer
from messaging.models import Attachment

from . import storage
from .errors import NoSuchAttachment, RangeNotSatisfiable
from .file_types import DOWNLOAD, INLINE

CHUNK = 64 * 1024
POLICY = "sandbox; default-src 'none'"
ONE_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*")
THUMBNAIL_TYPE = "image/webp"


def content_response(request: HttpRequest, attachment: Attachment) -> HttpResponseBase:
    return _response(request, attachment.key, attachment.content_type, attachment.name)


def thumbnail_response(request: HttpRequest, attachment: Attachment) -> HttpResponseBase:
    """Raises NoSuchAttachment for a file without a thumbnail."""
    if not attachment.has_thumbnail:
        raise NoSuchAttachment
    key = storage.thumbnail_key(attachment.key)
    return _response(request, key, THUMBNAIL_TYPE, f"{attachment.name}.webp")


def _response(request: HttpRequest, key: str, content_type: str, name: str) -> HttpResponseBase:
    is_inline = content_type in INLINE
    served_type = content_type if is_inline else DOWNLOAD
    disposition = content_disposition_header(not is_inline, name) or "inline"
    response: HttpResponseBase
    if storage.is_remote():
        response = HttpResponseRedirect(storage.signed_url(key, served_type, disposition))
    elif settings.CHAT_SENDFILE_PATH:
        # nginx sends the file, with ranges and an ETag of its own.
        response = HttpResponse(headers={"X-Accel-Redirect": settings.CHAT_SENDFILE_PATH + key})
    else:
        response = _from_disk(request, key)
    if response.status_code in (200, 206):
        response["Content-Type"] = served_type
    response["Content-Disposition"] = disposition
    response["Cache-Control"] = "private"
    response["Content-Security-Policy"] = POLICY
    response["X-Content-Type-Options"] = "nosniff"
    return response


class _FileResponse(StreamingHttpResponse):
    """Closes its file also when no byte of it is ever sent."""

    def __init__(self, file: IO[bytes], start: int, end: int, status: int) -> None:
        file.seek(start)
        length = {"Content-Length": str(end + 1 - start)}
        super().__init__(_chunks(file, end + 1 - start), status=status, headers=length)
        self._file = file

    @override
    def close(self) -> None:
        self._file.close()
        super().close()


def _from_disk(request: HttpRequest, key: str) -> HttpResponseBase:
    # A key is used for one content only.
    etag = f'"{sha256(key.encode()).hexdigest()[:32]}"'
    if _is_known(request, etag):
        return HttpResponse(status=304, headers={"ETag": etag})
    try:
        file = storage.opened(key)
    except FileNotFoundError:
        raise NoSuchAttachment from None
    size = file.seek(0, 2)
    try:
        part = wanted_range(request, size, etag)
    except RangeNotSatisfiable as error:
        file.close()
        return _unsatisfiable(error, size)
    start, end = part or (0, size - 1)
    answer = _FileResponse(file, start, end, 206 if part else 200)
    if part:
        answer["Content-Range"] = f"bytes {start}-{end}/{size}"
    answer["Accept-Ranges"] = "bytes"
    answer["ETag"] = etag
    return answer


def _unsatisfiable(error: RangeNotSatisfiable, size: int) -> HttpResponseBase:
    response = json_answer({"code": error.code, "detail": error.message}, 416)
    response["Content-Range"] = f"bytes */{size}"
    return response


def _is_known(request: HttpRequest, etag: str) -> bool:
    known = parse_etags(request.headers.get("If-None-Match", ""))
    return "*" in known or etag in (one.removeprefix("W/") for one in known)


def wanted_range(request: HttpRequest, size: int, etag: str) -> tuple[int, int] | None:
    """Returns first and last byte, None for the whole file.

    Raises RangeNotSatisfiable.

    Several ranges in one request answer with the whole file, as RFC 9110 §14.2 allows.
    """
    match = ONE_RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or match.groups() == ("", ""):
        return None
    if request.headers.get("If-Range", etag) != etag:
        return None
    first, last = match.groups()
    if not first:  # the last bytes
        if int(last) == 0:
            raise RangeNotSatisfiable
        return max(0, size - int(last)), size - 1
    start, end = int(first), int(last) if last else size - 1
    if last and end < start:
        return None
    if start >= size:
        raise RangeNotSatisfiable
    return start, min(end, size - 1)


async def _chunks(file: IO[bytes], left: int) -> AsyncIterator[bytes]:
    """Reads in threads as fast as the client does; the event loop waits for no disk."""
    while left > 0:
        chunk = await asyncio.to_thread(file.read, min(CHUNK, left))
        if not chunk:
            return  # the file was cut off behind our back
        left -= len(chunk)
        yield chunk
